"""Routes: reading them, and moving them from chain to chain.

`controlplane.rpc.chains` calls it. A route is moved by compare-and-swap only: routers admit by the route's
revision, so the moment of the switch is the commit, whatever any router has read so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from controlplane.catalog import surveys
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, same, write
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
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.catalog.switches import SwitchLog
from controlplane.switching import holding
from controlplane.switching.terms import USUAL, Terms
from enchain.chains import routes
from enchain.chains.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    Violation,
)
from enchain.chains.names import ChainName, SwitchName, route_name
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks of a route: by whom, with which etag, for real or only to try, on which terms."""

    workload: str
    caller: Caller
    etag: str = ""
    validate_only: bool = False
    terms: Terms = USUAL


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
        self._profiles = ProfileCatalog(store)

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

    async def pin(self, wish: Wish) -> chain_pb2.Route:
        """Hold a route where it is. One that is pinned already keeps its pin.

        Raises:
            NotFoundError: The workload has no route.
            ConflictError: It has changed since it was read.
        """
        return await commit(self._store, partial(self._decide_pin, wish, pinned=True))

    async def unpin(self, wish: Wish) -> chain_pb2.Route:
        """Let a route be moved again.

        Raises:
            NotFoundError: The workload has no route.
            ConflictError: It has changed since it was read.
        """
        return await commit(self._store, partial(self._decide_pin, wish, pinned=False))

    async def begun(self, workload: str, request_id: str) -> bool:
        """Say whether a switch was begun for a request id, if it is one of the newest."""
        return await self._log.by_request(workload, request_id) is not None

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
        chain = await surveys.usable(self._store, target)
        shares = routes.whole(chain.message.name).shares
        if in_force(route.message, shares):
            return nothing_to_do(route.message, await self._log.named(route.message.chain_switch))
        move = await self._move(wish, route, shares, [chain])
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
        before = [
            await surveys.usable(self._store, ChainName.parse(name, "chain", whole=True)) for name in names
        ]
        move = await self._move(wish, route, shares, before, rollback_of=undone.name)
        return decide(move, self._stamp(), wish.caller, validate_only=wish.validate_only)

    async def _decide_pin(self, wish: Wish, *, pinned: bool) -> Change[chain_pb2.Route]:
        route = await self._route(wish.workload, etag=wish.etag)
        if route.message.HasField("pin") == pinned:
            return Change(route.message)
        stamp, after = self._stamp(), chain_pb2.Route()
        after.CopyFrom(route.message)
        after.ClearField("pin")
        if pinned:
            after.pin.actor.CopyFrom(wish.caller.actor)
            after.pin.reason = wish.caller.reason
            after.pin.time.FromDatetime(stamp.now)
        put = write(route.key, after)
        audit = record(stamp, wish.caller, after.name, before=route.message, after=after)
        return Change(after, (same(route, route.key),), (put,), audit)

    async def _move(
        self,
        wish: Wish,
        route: Document[chain_pb2.Route],
        shares: Sequence[chain_pb2.RouteShare],
        targets: Sequence[Document[chain_pb2.Chain]],
        rollback_of: str = "",
    ) -> Move:
        """Find out whom a move touches, and what it needs."""
        fleet = await surveys.fleet(self._store)
        users = await surveys.touched(self._store, losing(route.message, shares))
        old = await surveys.known_chains(self._store, chains_of(route.message))
        profiles = await self._profiles.of_workload(wish.workload)
        need = holding.needed([each.message for each in targets], old, fleet, wish.terms.instances)
        return Move(
            wish.workload,
            route,
            shares,
            targets,
            surveys.impact_of(wish.workload, targets, old, fleet, need, users, profiles),
            rollback_of,
            wish.terms,
            holding.short(need, fleet),
            holding.unlaunchable(need, fleet),
            holding.holds(need, old, fleet),
            await self._log.under_way(wish.workload),
        )

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
