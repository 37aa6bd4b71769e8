"""Workloads: saving one derives its chains, checks them whole, and writes all of it in one transaction.

`controlplane.rpc.workloads` calls it. Only the first save makes a route; later ones move none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper, commit
from controlplane.catalog.derivation import DEFAULT_CHAIN, Deriver, save_revision
from controlplane.catalog.documents import Document, check_etag, read, readable, same, scan, write
from controlplane.catalog.masks import merged, without
from controlplane.catalog.paging import Page, cut
from controlplane.catalog.removal import WorkloadRemoval, not_found
from controlplane.catalog.revisions import Standing, derived_uses, standing
from enchain.chains import workloads as rules
from enchain.chains.errors import AlreadyExistsError, InvalidArgumentError, Violation
from enchain.chains.names import ChainName, workload_id, workload_name
from enchain.chains.routes import whole
from enchain.state import keys
from enchain.state.store import Put, Store, absent
from enchain.v1 import chain_pb2, workload_pb2

OUTPUT_ONLY = frozenset({"name", "etag", "create_time", "update_time"})

PROFILE = OUTPUT_ONLY | {"description", "slo", "demand", "cost", "planning"}
"""What chains are not made of."""

Workloads = Sequence[workload_pb2.Workload]


@dataclass(frozen=True, slots=True)
class Found:
    """What stands before a workload is saved.

    Attributes:
        workload: Its document; None before the first save.
        route: Its route; None before the first save.
        uses: The engines wanted by step of each named chain that there is, by chain id.
    """

    workload: Document[workload_pb2.Workload] | None
    route: Document[chain_pb2.Route] | None
    uses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class WorkloadCatalog:
    """All workloads.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
        deriver: Derives chains, with what engines say.
    """

    def __init__(self, store: Store, stamp: Stamper, deriver: Deriver) -> None:
        self._store = store
        self._stamp = stamp
        self._deriver = deriver
        self._removal = WorkloadRemoval(store, stamp)

    async def create(
        self, workload: str, sent: workload_pb2.Workload, caller: Caller, *, validate_only: bool = False
    ) -> workload_pb2.Workload:
        """Create a workload, its default chain and its route. Creating again what is there answers it.

        Raises:
            AlreadyExistsError: There is another one of that name.
            CallerError: It is wrong, or an engine that it needs has no instance.
        """
        if sent.name not in ("", workload_name(workload)):
            fault = Violation("workload.name", f"it is not {workload_name(workload)}", "NAMES_DIFFER")
            raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])

        async def decide() -> Change[workload_pb2.Workload]:
            found = await self._find(workload)
            wanted = merged(workload_pb2.Workload(), sent, (), output_only=OUTPUT_ONLY)
            return await self._decide_save(workload, wanted, found, caller, new=True)

        return await commit(self._store, decide, validate_only=validate_only)

    async def update(
        self,
        sent: workload_pb2.Workload,
        paths: Sequence[str],
        caller: Caller,
        *,
        allow_missing: bool = False,
        validate_only: bool = False,
    ) -> workload_pb2.Workload:
        """Replace the named fields of a workload and derive its chains again. No route moves.

        Raises:
            NotFoundError: There is none, and `allow_missing` is not set.
            ConflictError: It has changed since it was read.
            CallerError: It is wrong, or an engine that it needs has no instance.
        """
        workload = workload_id(sent.name, "workload.name")

        async def decide() -> Change[workload_pb2.Workload]:
            found = await self._find(workload)
            if found.workload is None:
                if sent.etag or not allow_missing:
                    raise not_found(workload)
                stored = workload_pb2.Workload()
            else:
                check_etag(sent.etag, found.workload, workload_name(workload))
                stored = found.workload.message
            wanted = merged(stored, sent, paths, output_only=OUTPUT_ONLY)
            return await self._decide_save(workload, wanted, found, caller)

        return await commit(self._store, decide, validate_only=validate_only)

    async def get(self, workload: str) -> workload_pb2.Workload:
        """Answer one workload.

        Raises:
            NotFoundError: There is none.
        """
        document = await read(self._store, workload_pb2.Workload, keys.workload(workload))
        if document is None:
            raise not_found(workload)
        return _named(document)

    async def list(self, page: Page) -> tuple[Workloads, str]:
        """Answer a page of workloads in the order of their names, and the token of the next."""
        found = [item async for item in scan(self._store, keys.WORKLOADS, keys_only=True)]
        shown, token = cut([item.key for item in found], page, str)
        items = [await self._store.get(key) for key in shown]
        documents = readable(workload_pb2.Workload, [item for item in items if item])
        return [_named(document) for document in documents], token

    async def delete(self, workload: str, etag: str, caller: Caller, *, validate_only: bool = False) -> None:
        """Delete a workload with its chains and route.

        Raises:
            NotFoundError: There is none.
            PreconditionError: Resources of it exist, or operations on it run.
        """
        await self._removal.delete(workload, etag, caller, validate_only=validate_only)

    async def _find(self, workload: str) -> Found:
        return Found(
            await read(self._store, workload_pb2.Workload, keys.workload(workload)),
            await read(self._store, chain_pb2.Route, keys.route(workload)),
            await derived_uses(self._store, workload),
        )

    async def _decide_save(
        self,
        workload: str,
        wanted: workload_pb2.Workload,
        found: Found,
        caller: Caller,
        *,
        new: bool = False,
    ) -> Change[workload_pb2.Workload]:
        """Check, derive, and decide what to write; nothing where nothing differs."""
        wanted.name = workload_name(workload)
        wanted = rules.check(wanted)
        if found.workload is not None:
            current = _named(found.workload)
            if found.route is not None and without(wanted, OUTPUT_ONLY) == without(current, OUTPUT_ONLY):
                return Change(current)
            if new:
                raise _exists(workload)
            if found.route is not None and _makes_the_same_chains(wanted, current):
                return decide_save(wanted, (), found, {}, self._stamp(), caller)
        uses = {DEFAULT_CHAIN: {}, **found.uses}
        derived = await self._deriver.derive(wanted, uses, existing=found.uses.keys() - {DEFAULT_CHAIN})
        names = {each.name: ChainName.parse(each.name, whole=True) for each in derived.values()}
        stands = {name: await standing(self._store, names[name]) for name in names}
        return decide_save(wanted, list(derived.values()), found, stands, self._stamp(), caller)


def decide_save(
    wanted: workload_pb2.Workload,
    derived: Sequence[chain_pb2.Chain],
    found: Found,
    stands: Mapping[str, Standing],
    stamp: Stamp,
    caller: Caller,
) -> Change[workload_pb2.Workload]:
    """Decide to write a workload, its chains, and a route where there is none: all or nothing.

    Args:
        wanted: The workload, checked.
        derived: Its chains, the default one first; none where they stay as they are.
        found: What stands now.
        stands: What stands where each chain belongs, by its name.
        stamp: Time and id of the decision.
        caller: Who asks.
    """
    workload = workload_id(wanted.name)
    before = found.workload.message if found.workload else None
    saved = workload_pb2.Workload()
    saved.CopyFrom(wanted)
    saved.update_time.FromDatetime(stamp.now)
    saved.create_time.FromDatetime(stamp.now)
    if before is not None:
        saved.create_time.CopyFrom(before.create_time)
    puts = [write(keys.workload(workload), saved)]
    compares = [same(found.workload, keys.workload(workload))]
    for chain in derived:
        _, put = save_revision(chain, stands[chain.name], saved.etag, stamp)
        if put is not None:
            puts.append(put)
            compares.append(same(stands[chain.name].document, put.key))
    if found.route is None:
        puts.append(_first_route(workload, derived[0].name, stamp))
        compares.append(absent(keys.route(workload)))
    audit = record(stamp, caller, saved.name, before=before, after=saved)
    return Change(saved, tuple(compares), tuple(puts), audit)


def _makes_the_same_chains(wanted: workload_pb2.Workload, current: workload_pb2.Workload) -> bool:
    """Say whether only what chains are not made of differs: then no engine is asked, and none need run."""
    return without(wanted, PROFILE) == without(current, PROFILE)


def _first_route(workload: str, chain: str, stamp: Stamp) -> Put:
    route = whole(chain)
    route.update_time.FromDatetime(stamp.now)
    return write(keys.route(workload), route)


def _named(document: Document[workload_pb2.Workload]) -> workload_pb2.Workload:
    """Name a workload by its key; one put by hand may have left its name out."""
    document.message.name = workload_name(document.key.removeprefix(keys.WORKLOADS))
    return document.message


def _exists(workload: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{workload_name(workload)} exists and is another one",
        reason="WORKLOAD_EXISTS",
        remedy="Update it instead.",
        metadata={"name": workload_name(workload)},
    )
