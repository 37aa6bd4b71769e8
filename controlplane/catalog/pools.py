"""Pools: how many instances of an engine version are wanted, and what is there of them.

`controlplane.rpc.pools` calls it. It writes what people want and nothing else; the leader's loop does what
follows. A version that merely has instances is a pool too, which nobody has set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, same, write
from controlplane.catalog.paging import Page, cut
from controlplane.catalog.pool_needs import Needs
from controlplane.catalog.pool_reading import read_world
from controlplane.switching.launch_states import Patience
from controlplane.switching.pool_targets import bounds, current_version
from controlplane.switching.pool_view import shown
from controlplane.switching.pool_world import World
from enchain.chains.decision_names import UNKNOWN_VERSION, PoolName
from enchain.chains.errors import InvalidArgumentError, NotFoundError, Violation
from enchain.chains.names import engine_name
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import pool_pb2

Pools = Sequence[pool_pb2.Pool]


@dataclass(frozen=True, slots=True)
class Found:
    """What a decision rests on: the pool's record, None where there is none, and what there is around it."""

    name: PoolName
    document: Document[pool_pb2.Pool] | None
    world: World


class PoolCatalog:
    """The pools of all engines.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
        patience: How long the leader lets things take.
    """

    def __init__(self, store: Store, stamp: Stamper, patience: Patience | None = None) -> None:
        self._store = store
        self._stamp = stamp
        self._patience = patience or Patience()

    async def get(self, name: PoolName) -> pool_pb2.Pool:
        """Answer one pool; `-` means the version that the engine's command has, where it is known.

        Raises:
            NotFoundError: There is neither a record nor an instance.
        """
        found = await self._find(name)
        if found.document is None and found.name not in set(_names(found.world)):
            raise _missing(name)
        return shown(found.world, found.name, self._patience)

    async def list(self, engine: str, page: Page) -> tuple[Pools, str]:
        """Answer a page of the pools of an engine, or of all where it is empty, and the next token."""
        seen = await read_world(self._store, Needs(self._store), self._stamp().now, engine=engine)
        names, token = cut(sorted(set(_names(seen.world))), page, str)
        return [shown(seen.world, name, self._patience) for name in names], token

    async def update(
        self, sent: pool_pb2.Pool, caller: Caller, *, validate_only: bool = False
    ) -> pool_pb2.Pool:
        """Set how many instances are wanted, and whether plans may change that.

        Raises:
            NotFoundError: There is no such engine.
            InvalidArgumentError: The target is out of the engine's bounds.
            ConflictError: The pool has changed since it was read.
        """
        name = PoolName.parse(sent.name, "pool.name")

        async def decide() -> Change[pool_pb2.Pool]:
            return await self._decide(name, sent, caller)

        return await commit(self._store, decide, validate_only=validate_only)

    async def _decide(self, name: PoolName, sent: pool_pb2.Pool, caller: Caller) -> Change[pool_pb2.Pool]:
        found = await self._find(name)
        if found.document is not None:
            check_etag(sent.etag, found.document, str(found.name))
        elif sent.etag or not _is_known(found):
            raise _missing(found.name)
        check(sent, found.name, found.world)
        stamp, before = self._stamp(), found.document.message if found.document else None
        saved = pool_pb2.Pool()
        saved.CopyFrom(before or saved)
        saved.name, saved.target, saved.pinned = str(found.name), sent.target, sent.pinned
        if before is not None and (before.target, before.pinned) == (saved.target, saved.pinned):
            return Change(shown(found.world, found.name, self._patience))
        saved.reason, saved.set_by = caller.reason, caller.actor.subject
        saved.update_time.FromDatetime(stamp.now)
        key = keys.pool(found.name.engine, found.name.version)
        put = write(key, saved)
        audit = record(stamp, caller, saved.name, before=before, after=saved)
        world = replace(found.world, pools={**found.world.pools, found.name: saved})
        return Change(shown(world, found.name, self._patience), (same(found.document, key),), (put,), audit)

    async def _find(self, name: PoolName) -> Found:
        seen = await read_world(self._store, Needs(self._store), self._stamp().now, engine=name.engine)
        known = current_version(seen.world.pools, name.engine)
        if name.version == UNKNOWN_VERSION and known:
            name = PoolName(name.engine, known)
        document = await read(self._store, pool_pb2.Pool, keys.pool(name.engine, name.version))
        if document is not None:
            document.message.name = str(name)
        return Found(name, document, seen.world)


def check(sent: pool_pb2.Pool, name: PoolName, world: World) -> None:
    """Check what people ask of a pool.

    Raises:
        InvalidArgumentError: The target is out of the engine's bounds.
    """
    least, most = bounds(name, world.engines.get(name.engine), world.pools)
    if least <= sent.target <= most:
        return
    said = f"{sent.target} is out of the bounds of {engine_name(name.engine)}, {least} to {most}"
    raise InvalidArgumentError(
        said,
        reason="OUT_OF_RANGE",
        remedy="Change pool.min or pool.max in the engine's document first.",
        metadata={"name": str(name), "min": str(least), "max": str(most)},
        violations=[Violation("pool.target", said, "OUT_OF_RANGE")],
    )


def _is_known(found: Found) -> bool:
    """Say whether there is anything that a pool could be of."""
    engine = found.name.engine
    return engine in found.world.engines or any(name.engine == engine for name in _names(found.world))


def _names(world: World) -> Iterable[PoolName]:
    """Answer the pools that there are: with a record, instances, or a command of unknown version."""
    yield from world.pools
    for engine, document in world.engines.items():
        if document.launch.process and not current_version(world.pools, engine):
            yield PoolName(engine, UNKNOWN_VERSION)
    for instances in world.instances.values():
        yield from (PoolName(each.engine, each.version) for each in instances)


def _missing(name: PoolName) -> NotFoundError:
    return NotFoundError(
        f"there is no {name}",
        reason="POOL_NOT_FOUND",
        remedy="List the pools: enchain pools. An engine that nobody runs needs a document first.",
        metadata={"name": str(name)},
    )
