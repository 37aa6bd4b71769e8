"""Chains: named ones are derived from their workload when saved; all are immutable revisions.

`controlplane.rpc.chains` calls it. Saving moves no route.
"""

from collections.abc import Sequence
from functools import partial

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.derivation import CHAINS_MAX, DEFAULT_CHAIN, Deriver, save_revision
from controlplane.catalog.documents import Document, check_etag, read, readable, same
from controlplane.catalog.experiment_owners import owning
from controlplane.catalog.paging import Page, cut
from controlplane.catalog.removal import not_found
from controlplane.catalog.revisions import named, newest, require, revisions, standing
from controlplane.catalog.users import refuse_while_used, users_of
from enchain.chains.errors import ExhaustedError, InvalidArgumentError, PreconditionError, Violation
from enchain.chains.names import ChainName, route_name, workload_name
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import Delete, Store
from enchain.v1 import chain_pb2, workload_pb2

Chains = Sequence[chain_pb2.Chain]


class ChainCatalog:
    """The chains of all workloads.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
        deriver: Derives chains, with what engines say.
    """

    def __init__(self, store: Store, stamp: Stamper, deriver: Deriver) -> None:
        self._store = store
        self._stamp = stamp
        self._deriver = deriver

    async def create(
        self, name: ChainName, sent: chain_pb2.Chain, caller: Caller, *, validate_only: bool = False
    ) -> chain_pb2.Chain:
        """Save a named chain: derived from its workload with `use`, checked whole.

        Saving what is there already changes nothing. Saving `default` derives it again, which is how it comes
        to the engine versions that run now; it takes no `use`.

        Raises:
            NotFoundError: There is no such workload.
            CallerError: `use` is wrong, the chain is not whole, or an engine has no instance.
        """
        if name.chain == DEFAULT_CHAIN and sent.use:
            fault = Violation(
                "chain.use",
                "the default chain takes the first implementation of each step; name another chain",
                "DEFAULT_CHAIN",
            )
            raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])
        return await commit(
            self._store, partial(self._decide_create, name, sent, caller), validate_only=validate_only
        )

    async def get(self, name: ChainName) -> chain_pb2.Chain:
        """Answer the revision that is named, or the newest.

        Raises:
            NotFoundError: There is none.
        """
        return (await require(self._store, name)).message

    async def list(self, workload: str, page: Page, *, all_revisions: bool = False) -> tuple[Chains, str]:
        """Answer a page of the chains of a workload, or of all where it is empty, and the next token."""
        found = await revisions(self._store, workload)
        shown = found if all_revisions else newest(found).values()
        positions, token = cut(sorted(item.key for item in shown), page, str)
        items = [await self._store.get(key) for key in positions]
        documents = readable(chain_pb2.Chain, [item for item in items if item])
        return [named(document).message for document in documents], token

    async def delete(
        self, name: ChainName, etag: str, caller: Caller, *, validate_only: bool = False
    ) -> None:
        """Delete one revision, or all of a chain where none is named.

        Whoever wants to use it meanwhile must come through the route, which is compared.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
            PreconditionError: The route, an experiment, a resource or a running operation needs it.
        """
        await commit(
            self._store, partial(self._decide_delete, name, etag, caller), validate_only=validate_only
        )

    async def _decide_create(
        self, name: ChainName, sent: chain_pb2.Chain, caller: Caller
    ) -> Change[chain_pb2.Chain]:
        workload = await read(self._store, workload_pb2.Workload, keys.workload(name.workload))
        if workload is None:
            raise not_found(name.workload)
        await self._check_number(name)
        workload.message.name = workload_name(name.workload)
        derived = (await self._deriver.derive(workload.message, {name.chain: dict(sent.use)}))[name.chain]
        derived.description = sent.description
        stands = await standing(self._store, ChainName.parse(derived.name, whole=True))
        stamp = self._stamp()
        chain, put = save_revision(derived, stands, workload.etag, stamp)
        if put is None:
            return Change(chain)
        before = stands.document.message if stands.document else None
        return Change(
            chain,
            (same(workload, workload.key), same(stands.document, put.key)),
            (put,),
            record(stamp, caller, chain.name, before=before, after=chain),
        )

    async def _decide_delete(self, name: ChainName, etag: str, caller: Caller) -> Change[None]:
        document = await require(self._store, name)
        check_etag(etag, document, str(name))
        route = await read(self._store, chain_pb2.Route, keys.route(name.workload))
        _refuse_while_routed(name, route)
        await self._refuse_while_tested(name, route)
        users = await users_of(self._store, lambda _, chain: _is_meant(name, chain))
        refuse_while_used(users, str(name))
        prefix = keys.revisions_of(name.workload, name.chain)
        return Change(
            None,
            (same(route, keys.route(name.workload)), same(document, document.key)),
            (Delete(document.key) if name.revision else Delete(prefix, prefix=True),),
            record(self._stamp(), caller, str(name), before=document.message, after=None),
        )

    async def _refuse_while_tested(self, name: ChainName, route: Document[chain_pb2.Route] | None) -> None:
        """Refuse to delete what an arm is pinned to: the route names its experiment, and is compared."""
        for experiment in await owning(self._store, name.workload) if route is not None else ():
            arm = next((arm for arm in experiment.arms if _is_meant(name, arm.chain)), None)
            if arm is not None:
                raise PreconditionError(
                    f"{experiment.name} sends the requests of its arm {arm.name} to {arm.chain}",
                    reason="IN_USE",
                    remedy="Conclude the experiment first: enchain experiments conclude.",
                    metadata={"name": str(name), "subject": experiment.name},
                )

    async def _check_number(self, name: ChainName) -> None:
        """Refuse a new chain where there are too many: saving a workload writes all in one transaction."""
        found = newest(await revisions(self._store, name.workload))
        if (name.workload, name.chain) not in found and len(found) >= CHAINS_MAX:
            raise ExhaustedError(
                f"{workload_name(name.workload)} has {len(found)} chains; at most {CHAINS_MAX} are kept",
                reason="TOO_MANY_CHAINS",
                remedy="Delete chains that nobody uses.",
                metadata={"name": workload_name(name.workload), "limit": str(CHAINS_MAX)},
            )


def _is_meant(name: ChainName, chain: str) -> bool:
    """Say whether a chain's full name is the one meant, or a revision of it where no revision is named."""
    return chain == str(name) or (not name.revision and chain.startswith(f"{name}@"))


def _refuse_while_routed(name: ChainName, route: Document[chain_pb2.Route] | None) -> None:
    if route is not None and any(_is_meant(name, chain) for chain in chains_of(route.message)):
        raise PreconditionError(
            f"{route_name(name.workload)} leads to {name}",
            reason="IN_USE",
            remedy="Switch to another chain first.",
            metadata={"name": str(name), "subject": route_name(name.workload)},
        )
