"""Routes: reading them, and moving them from chain to chain.

`controlplane.rpc.chains` calls it. A route is moved by compare-and-swap only: routers admit by the route's
revision, so the moment of the switch is the commit, whatever any router has read so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read
from controlplane.catalog.instances import gaps, live
from controlplane.catalog.moves import (
    Move,
    check_undo,
    decide,
    in_force,
    losing,
    nothing_to_do,
    origin,
    to_undo,
)
from controlplane.catalog.paging import Page
from controlplane.catalog.revisions import name_of, require
from controlplane.catalog.switches import SwitchLog
from controlplane.catalog.users import users_of
from enchain.chains import chains, routes
from enchain.chains.errors import (
    CallerError,
    ConflictError,
    InvalidArgumentError,
    MalformedError,
    NotFoundError,
    PreconditionError,
    Violation,
)
from enchain.chains.names import ChainName, SwitchName, route_name
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks of a route: by whom, with which etag, for real or only to try."""

    workload: str
    caller: Caller
    etag: str = ""
    validate_only: bool = False


class RouteCatalog:
    """The routes of all workloads and the switches between chains.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp
        self._log = SwitchLog(store)

    async def get(self, workload: str) -> chain_pb2.Route:
        """Answer where a workload's requests go.

        Raises:
            NotFoundError: It has no route.
        """
        return (await self._route(workload)).message

    async def switch(self, wish: Wish, target: ChainName) -> chain_pb2.ChainSwitch:
        """Move a route to a chain: to the newest revision where none is named.

        Raises:
            CallerError: The chain is not there, not whole, not served, or the route has changed.
        """
        if target.workload != wish.workload:
            fault = Violation(
                "chain", f"{target} is no chain of {route_name(wish.workload)}", "OTHER_WORKLOAD"
            )
            raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])
        if earlier := await self._log.by_request(wish.workload, wish.caller.request_id):
            return earlier
        return await commit(
            self._store, partial(self._decide_switch, wish, target), validate_only=wish.validate_only
        )

    async def rollback(self, wish: Wish) -> chain_pb2.ChainSwitch:
        """Move a route back to where the last switch that is not undone found it.

        Two callers at once undo one switch, not two: the slower one is told.

        Raises:
            CallerError: There is nothing to undo, the chain before is gone, or somebody else was faster.
        """
        if earlier := await self._log.by_request(wish.workload, wish.caller.request_id):
            return earlier
        undone: list[str] = []
        return await commit(
            self._store, partial(self._decide_rollback, wish, undone), validate_only=wish.validate_only
        )

    async def get_switch(self, name: SwitchName) -> chain_pb2.ChainSwitch:
        """Answer one switch.

        Raises:
            NotFoundError: There is none of that name.
        """
        return await self._log.get(name)

    async def list_switches(self, workload: str, page: Page) -> tuple[Sequence[chain_pb2.ChainSwitch], str]:
        """Answer a page of a workload's switches, newest first, and the token of the next."""
        return await self._log.list(workload, page)

    async def _decide_switch(self, wish: Wish, target: ChainName) -> Change[chain_pb2.ChainSwitch]:
        route = await self._route(wish.workload, etag=wish.etag)
        chain = await self._usable(target)
        shares = routes.whole(chain.message.name).shares
        if in_force(route.message, shares):
            return nothing_to_do(route.message, await self._log.named(route.message.chain_switch))
        move = await self._move(wish.workload, route, shares, [chain])
        return decide(move, self._stamp(), wish.caller, validate_only=wish.validate_only)

    async def _decide_rollback(self, wish: Wish, undone_before: list[str]) -> Change[chain_pb2.ChainSwitch]:
        route = await self._route(wish.workload, etag=wish.etag)
        undone = check_undo(
            wish.workload, route.message, to_undo(await self._log.newest_first(wish.workload))
        )
        undone_before.append(undone.name)
        if undone.name != undone_before[0]:
            raise ConflictError(
                f"{undone_before[0]} was undone by somebody else meanwhile",
                reason="ROUTE_MOVED",
                remedy="Look at the route before you roll back further.",
                metadata={"name": route_name(wish.workload), "switch": undone_before[0]},
            )
        shares = origin(undone).shares
        names = dict.fromkeys(share.chain for share in shares)
        before = [await self._usable(ChainName.parse(name, "chain", whole=True)) for name in names]
        move = await self._move(wish.workload, route, shares, before, rollback_of=undone.name)
        return decide(move, self._stamp(), wish.caller, validate_only=wish.validate_only)

    async def _move(
        self,
        workload: str,
        route: Document[chain_pb2.Route],
        shares: Sequence[chain_pb2.RouteShare],
        targets: Sequence[Document[chain_pb2.Chain]],
        rollback_of: str = "",
    ) -> Move:
        """Find out whom a move touches."""
        instances = await live(self._store)
        old = losing(route.message, shares)
        users = await users_of(self._store, lambda _, chain: chain in old)
        impact = chain_pb2.SwitchImpact(
            operations_running=users.operations,
            resources_bound=users.resources,
            gaps=dict.fromkeys(gap for chain in targets for gap in gaps(chain.message, instances)),
        )
        return Move(workload, route, shares, targets, impact, rollback_of)

    async def _route(self, workload: str, *, etag: str = "") -> Document[chain_pb2.Route]:
        document = await read(self._store, chain_pb2.Route, keys.route(workload))
        if document is None:
            raise NotFoundError(
                f"there is no {route_name(workload)}",
                reason="ROUTE_NOT_FOUND",
                remedy="Save the workload first.",
                metadata={"name": route_name(workload)},
            )
        document.message.name = document.message.name or route_name(workload)
        check_etag(etag, document, route_name(workload))
        return document

    async def _usable(self, name: ChainName) -> Document[chain_pb2.Chain]:
        """Read a chain that is to get requests, and check it whole: it may have been put by hand."""
        try:
            document = await require(self._store, name)
            found = name_of(document.key)
            # Once more from its bytes: reading has named it by its key, whatever name it gives itself.
            chains.check(decode(chain_pb2.Chain, document.value, key=document.key), key=found)
        except NotFoundError:
            raise
        except (CallerError, MalformedError) as error:
            raise PreconditionError(
                f"{name} is not whole: {error.message}",
                reason="INVALID_CHAIN",
                remedy="Put a whole chain, or switch to another one.",
                metadata={"name": str(name), "fault": error.reason},
                violations=error.violations,
            ) from error
        return document
