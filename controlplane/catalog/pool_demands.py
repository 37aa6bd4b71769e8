"""What workloads ask of pools: written where a plan is carried out, and while experiments share requests out.

The loops that plan and that size pools for arms call it, as leader. How many instances come of it is the
pools' loop's business; a target that a person has set is left alone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, read, readable, same, scan, write
from controlplane.planning.assembling import Version
from enchain.chains.decision_names import PoolName, arms_of, asked_for
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


def demanded_by_arms(
    pools: Mapping[Version, pool_pb2.Pool], workload: str, shares: Mapping[Version, float]
) -> dict[Version, pool_pb2.Pool]:
    """Answer the pools that change where the arms of a workload's experiments ask for these instances.

    They never lift a ceiling: what a policy lets plans do is no matter of experiments.

    Args:
        pools: As they stand.
        workload: Its id.
        shares: Instances that they ask for beyond what the workload itself asks for.
    """
    name = arms_of(workload_name(workload))
    changed = {}
    for version in sorted({*pools, *shares}):
        before = pools.get(version, pool_pb2.Pool(name=str(PoolName(*version)), set_by="enchain"))
        wanted = shares.get(version, 0.0)
        if abs(before.demands.get(name, 0.0) - wanted) < LEAST:
            continue
        after = pool_pb2.Pool()
        after.CopyFrom(before)
        after.demands.pop(name, None)
        if wanted:
            after.demands[name] = wanted
        changed[version] = after
    return changed


async def ask_for_arms(
    store: Store, stamp: Stamper, workload: str, needed: Mapping[Version, float]
) -> Sequence[Version]:
    """Write what the arms of a workload's experiments ask of pools from now on; answer the pools that change.

    Args:
        store: Where pools are kept.
        stamp: Gives time to each decision.
        workload: Its id.
        needed: Instances that its chains need while experiments share its requests out; empty: none run.

    Raises:
        ConflictError: Others change the pools all the time.
    """

    async def decide() -> Change[Sequence[Version]]:
        documents = await _pools(store)
        pools = {version: document.message for version, document in documents.items()}
        own = {version: pool.demands.get(workload_name(workload), 0.0) for version, pool in pools.items()}
        more = {version: count - own.get(version, 0.0) for version, count in needed.items()}
        changed = demanded_by_arms(
            pools, workload, {of: count for of, count in more.items() if count > LEAST}
        )
        now = stamp().now
        for pool in changed.values():
            pool.update_time.FromDatetime(now)
        return Change(
            tuple(changed),
            tuple(same(documents.get(version), keys.pool(*version)) for version in changed),
            tuple(write(keys.pool(*version), pool) for version, pool in changed.items()),
        )

    return await commit(store, decide)


async def asked_by_arms(store: Store) -> set[str]:
    """Answer the ids of the workloads for whose experiments something is asked of pools."""
    names = [name for document in (await _pools(store)).values() for name in document.message.demands]
    return {asked_for(name).removeprefix(workload_name("")) for name in names if asked_for(name) != name}


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
