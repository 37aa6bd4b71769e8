"""A pool as people are shown it: what was set, with what is there and what is amiss. Pure.

The pool service asks it. Nothing of what it adds is stored: it follows from launches, registrations and
needs, by the same rules that the leader goes by.
"""

from collections.abc import Sequence

from controlplane.switching.launch_states import DRAINING, FAILED, FINAL, STARTING, Patience
from controlplane.switching.pool_rules import faltered, faltering, retry_time
from controlplane.switching.pool_targets import NOBODY, Wanted, wanted, why_not_launchable
from controlplane.switching.pool_world import World, pool_of
from enchain.chains.decision_names import PoolName
from enchain.v1.engine_pb2 import EngineInstance
from enchain.v1.pool_pb2 import Launching, Pool

LAUNCHES_SHOWN_MAX = 10

OUTPUT_ONLY = frozenset(
    {
        "name", "etag", "update_time", "set_by", "ready", "starting", "draining", "floor", "floor_reason",
        "launchable", "problem", "launches", "wanted", "wanted_reason",
    }
)  # fmt: skip
"""What callers may send and nobody reads."""


def shown(world: World, name: PoolName, patience: Patience) -> Pool:
    """Answer one pool; one that has no record, and merely instances, too."""
    pool = Pool()
    pool.CopyFrom(world.pools.get(name, Pool()))
    pool.name = str(name)
    engine = world.engines.get(name.engine)
    kept = wanted(name, world.pools, engine, world.needs.get(name, NOBODY))
    if name not in world.pools:
        kept = Wanted(0, "", kept.floor, kept.floor_reason)
    own = sorted((each for each in world.launches if pool_of(each) == name), key=lambda each: each.name)
    obstacle = why_not_launchable(name, engine, world.pools)
    _count(pool, world, name, own)
    pool.wanted, pool.wanted_reason = kept.count, kept.reason
    pool.floor, pool.floor_reason = kept.floor, kept.floor_reason
    pool.launchable = not obstacle
    pool.problem = _problem(pool, kept, own, obstacle, patience)
    pool.launches.extend([each for each in reversed(own) if _is_news(each, patience)][:LAUNCHES_SHOWN_MAX])
    return pool


def _count(pool: Pool, world: World, name: PoolName, own: Sequence[Launching]) -> None:
    told = [
        each
        for instances in world.instances.values()
        for each in instances
        if (each.engine, each.version) == (name.engine, name.version)
    ]
    leaving = {each.name.rpartition("/")[2] for each in own if each.state == DRAINING}
    ready = [each for each in told if each.state == EngineInstance.STATE_READY]
    pool.ready = sum(each.name.rpartition("/")[2] not in leaving for each in ready)
    pool.starting = sum(each.state == STARTING for each in own)
    ours = {each.name.rpartition("/")[2] for each in own}
    by_themselves = [each for each in told if each not in ready and each.name.rpartition("/")[2] not in ours]
    pool.draining = len(leaving) + len(by_themselves)
    del world


def _problem(pool: Pool, kept: Wanted, own: Sequence[Launching], obstacle: str, patience: Patience) -> str:
    """Answer why instances that are wanted are not there."""
    missing = kept.count - pool.ready
    if missing <= 0:
        return kept.problem
    if missing - pool.starting > 0 and obstacle:
        return f"{missing} more are wanted: {obstacle}"
    failed = faltering(own, patience)
    if failed is None:
        return kept.problem
    tries = (
        f"{failed.attempts} in a row did not come up; next try after {retry_time(failed, patience):%H:%M:%SZ}"
    )
    return f"{failed.reason}: {failed.description} ({tries})"


def _is_news(launch: Launching, patience: Patience) -> bool:
    """Say whether a launch is under way, or went wrong of late."""
    return launch.state not in FINAL or launch.state == FAILED or faltered(launch, patience)
