"""What workloads ask of pools: written where a plan is carried out.

The planning loop calls it, as leader. How many instances come of it is the pools' loop's business; a target
that a person has set is left alone.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, read, readable, same, scan, write
from controlplane.planning.assembling import Version
from enchain.chains.decision_names import PoolName
from enchain.chains.names import workload_name
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import engine_pb2, pool_pb2

LEAST = 1e-6
"""Demands that differ by less are the same."""


def demanded(
    pools: Mapping[Version, pool_pb2.Pool],
    workload: str,
    shares: Mapping[Version, float],
    ceilings: Mapping[Version, int] = MappingProxyType({}),
) -> dict[Version, pool_pb2.Pool]:
    """Answer the pools that change where a workload asks for these instances, and for no others.

    Args:
        pools: As they stand.
        workload: Its id.
        shares: Instances that it asks for; a share of one where a pool is shared.
        ceilings: How far its policy lets plans go, where that is beyond the engine's maximum.
    """
    name = workload_name(workload)
    changed = {}
    for version in sorted({*pools, *shares}):
        before = pools.get(version, pool_pb2.Pool(name=str(PoolName(*version))))
        wanted = shares.get(version, 0.0)
        ceiling = max(ceilings.get(version, 0), before.ceiling if len(before.demands) > 1 else 0)
        if abs(before.demands.get(name, 0.0) - wanted) < LEAST and ceiling == before.ceiling:
            continue
        after = pool_pb2.Pool()
        after.CopyFrom(before)
        after.ceiling = ceiling
        if wanted:
            after.demands[name] = wanted
        else:
            after.demands.pop(name, None)
        changed[version] = after
    return changed


async def ask_for(
    store: Store,
    stamp: Stamper,
    workload: str,
    shares: Mapping[Version, float],
    *,
    exceed_max_by: float = 0.0,
) -> None:
    """Write what a workload asks of pools from now on.

    Args:
        store: Where pools are kept.
        stamp: Gives time to each decision.
        workload: Its id.
        shares: Instances that it asks for.
        exceed_max_by: How far its policy lets plans go beyond the engines' maxima, as a share of these.

    Raises:
        ConflictError: Others change the pools all the time.
    """

    async def decide() -> Change[None]:
        documents = await _pools(store)
        pools = {version: document.message for version, document in documents.items()}
        changed = demanded(pools, workload, shares, await _ceilings(store, shares, exceed_max_by))
        now = stamp().now
        for pool in changed.values():
            pool.update_time.FromDatetime(now)
        return Change(
            None,
            tuple(same(documents.get(version), keys.pool(*version)) for version in changed),
            tuple(write(keys.pool(*version), pool) for version, pool in changed.items()),
        )

    await commit(store, decide)


async def _ceilings(store: Store, versions: Iterable[Version], exceed_max_by: float) -> dict[Version, int]:
    found: dict[Version, int] = {}
    for version in versions if exceed_max_by > 0 else ():
        engine = await read(store, engine_pb2.Engine, keys.engine(version[0]))
        if engine is not None and engine.message.pool.max:
            found[version] = math.floor(engine.message.pool.max * (1 + exceed_max_by))
    return found


async def _pools(store: Store) -> dict[Version, Document[pool_pb2.Pool]]:
    items = [item async for item in scan(store, keys.POOLS)]
    found: dict[Version, Document[pool_pb2.Pool]] = {}
    for document in readable(pool_pb2.Pool, items):
        engine, _, version = document.key.removeprefix(keys.POOLS).partition("/")
        found[engine, version] = document
    return found
