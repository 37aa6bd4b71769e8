"""Reading what there is of pools: records, documents, launches, registrations and needs.

The leader's loop and the pool service read through it, so that both see the same. It writes nothing. A
value that cannot be read costs itself alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.catalog.documents import readable, scan
from controlplane.catalog.instances import live
from controlplane.catalog.pool_needs import Needs, with_resources
from controlplane.switching.launch_states import FINAL
from controlplane.switching.pool_targets import Pools, why_not_launchable
from controlplane.switching.pool_world import World, by_id, pool_of
from enchain.chains.decision_names import UNKNOWN_VERSION, VERSION, LaunchName, PoolName
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import engine_name
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.store import Compare, Store, unchanged
from enchain.v1 import engine_pb2, pool_pb2

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A world as it was read, and at which revisions its records stood."""

    world: World
    revisions: dict[str, int] = field(default_factory=dict)

    def same(self, key: str) -> Compare:
        """Condition: a record is as it was read."""
        return unchanged(key, self.revisions.get(key, 0))


async def read_world(
    store: Store, needs: Needs, now: datetime, *, engine: str = "", of_resources: bool = False
) -> Seen:
    """Read what there is, of one engine or of all.

    Args:
        store: What is read.
        needs: Finds out who needs what.
        now: What time it is.
        engine: Only this engine; all where it is empty.
        of_resources: Count resources too, whoever needs to know; else only where they may matter.
    """
    revisions: dict[str, int] = {}
    pools = await _pools(store, engine, revisions)
    engines = await _engines(store, engine)
    launches = await _launches(store, engine, revisions)
    found = await needs.now()
    idle = [name for name in _unlaunchable(pools, engines) if any(_runs(each, name) for each in launches)]
    if of_resources or idle:
        found = with_resources(found, await needs.resources())
    world = World(
        now=now,
        pools=pools,
        engines=engines,
        launches=tuple(launches),
        instances=by_id(await live(store, engine)),
        needs=found,
    )
    return Seen(world, revisions)


def pool_name_of(key: str) -> PoolName | None:
    """Answer the pool that lies under a key; None where the key is none of a pool."""
    engine, _, version = key.removeprefix(keys.POOLS).partition("/")
    return PoolName(engine, version) if VERSION.pattern.fullmatch(version) else None


async def _pools(store: Store, engine: str, revisions: dict[str, int]) -> dict[PoolName, pool_pb2.Pool]:
    found = {}
    items = [item async for item in scan(store, keys.pools_of(engine) if engine else keys.POOLS)]
    # Also of what cannot be read, so that it can be written anew.
    revisions |= {item.key: item.mod_revision for item in items}
    for document in readable(pool_pb2.Pool, items):
        name = pool_name_of(document.key)
        if name is not None:
            document.message.name = str(name)
            found[name] = document.message
    return found


async def _engines(store: Store, engine: str) -> dict[str, engine_pb2.Engine]:
    item = await store.get(keys.engine(engine)) if engine else None
    items = [item] if item else []
    items = items if engine else [each async for each in scan(store, keys.ENGINES)]
    found = {}
    for document in readable(engine_pb2.Engine, items):
        identifier = document.key.removeprefix(keys.ENGINES)
        document.message.name = engine_name(identifier)
        found[identifier] = document.message
    return found


async def _launches(store: Store, engine: str, revisions: dict[str, int]) -> list[pool_pb2.Launching]:
    found = []
    items = [item async for item in scan(store, f"{keys.LAUNCHES}{engine}/" if engine else keys.LAUNCHES)]
    for document in readable(pool_pb2.Launching, items):
        of, _, identifier = document.key.removeprefix(keys.LAUNCHES).partition("/")
        try:
            name = LaunchName.parse(f"engines/{of}/launches/{identifier}")
        except InvalidArgumentError as error:
            _log.warning("launch left out", key=document.key, fault=error.message)
            continue
        document.message.name, document.message.engine = str(name), of
        found.append(document.message)
        revisions[document.key] = document.mod_revision
    return found


def _unlaunchable(pools: Pools, engines: Mapping[str, engine_pb2.Engine]) -> list[PoolName]:
    return [
        name
        for name in pools
        if name.version != UNKNOWN_VERSION and why_not_launchable(name, engines.get(name.engine), pools)
    ]


def _runs(launch: pool_pb2.Launching, name: PoolName) -> bool:
    return launch.state not in FINAL and pool_of(launch) == name
