"""From what is seen of pools to what is to be written and done about them. Pure.

The leader's loop (`controlplane.loops.pools`) calls `reconcile` in every round, stores what it answers,
and acts only on what is stored. It is level-triggered: it looks at what is, never at what happened, so
that any leader can go on from any point. What becomes of a pool depends on nothing of another engine's.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from controlplane.switching.launch_states import (
    DRAINING,
    ENDED,
    FAILED,
    FINAL,
    READY,
    STARTING,
    Patience,
    Sight,
    drained,
    judge,
)
from controlplane.switching.pool_targets import (
    NOBODY,
    bounds,
    current_version,
    trusted_version,
    wanted,
    why_not_launchable,
)
from controlplane.switching.pool_world import (
    Act,
    Deed,
    Learned,
    Plan,
    World,
    launch_id,
    others,
    pool_of,
    sight_of,
)
from enchain.chains.decision_names import UNKNOWN_VERSION, PoolName
from enchain.v1.pool_pb2 import Launching, Pool

KEPT_MAX = 20
"""Launches of an engine that are over and kept for people to see."""


def reconcile(world: World, patience: Patience) -> Plan:
    """Answer what is to be written and done."""
    judged = [judge(launch, sight_of(world, launch), world.now, patience) for launch in world.launches]
    settled: list[Launching] = []
    launching: dict[PoolName, tuple[Launching, ...]] = {}
    due: list[datetime] = []
    for name, own in _by_pool(world, judged).items():
        kept = _without_surplus(world, name, own, patience)
        settled.extend(kept)
        begun, again = _missing(world, name, kept, patience)
        launching |= {name: begun} if begun else {}
        due.extend(again)
    before = {launch.name: launch for launch in world.launches}
    moved = tuple(launch for launch in settled if launch != before[launch.name])
    return Plan(
        tuple(new_pools(world)),
        tuple(_learned(world, settled)),
        moved,
        launching,
        tuple(_forgotten(world, settled)),
        tuple(_acts(world, settled, patience)),
        min([*due, *_deadlines(settled)], default=None),
    )


def faltering(launches: Iterable[Launching], patience: Patience) -> Launching | None:
    """Answer the newest launch of a pool whose outcome is known, where it is a bad one."""
    known = [launch for launch in launches if launch.state != STARTING]
    newest = max(known, key=lambda launch: launch.name, default=None)
    return newest if newest is not None and faltered(newest, patience) else None


def retry_time(failed: Launching, patience: Patience) -> datetime:
    """Answer when a pool may launch again after a launch failed."""
    doubled = patience.first_backoff * 2.0 ** min(failed.attempts - 1, 30)
    return _utc(failed.end_time.ToDatetime()) + timedelta(seconds=min(doubled, patience.longest_backoff))


def faltered(launch: Launching, patience: Patience) -> bool:
    """Say whether an instance did not come up, or died soon after."""
    if launch.state != ENDED:
        return launch.state == FAILED
    lived = launch.end_time.ToDatetime() - launch.ready_time.ToDatetime()
    return launch.reason == "DIED" and lived < timedelta(seconds=patience.stable)


def new_pools(world: World) -> Iterable[Pool]:
    """Answer the pools that are there by themselves: of engines with a command, as kept or as needed."""
    for engine, document in world.engines.items():
        if not document.launch.process:
            continue
        unknown = PoolName(engine, UNKNOWN_VERSION)
        known = current_version(world.pools, engine)
        if document.pool.min > 0 and not known and unknown not in world.pools:
            yield Pool(name=str(unknown), set_by="enchain")
        for name, need in world.needs.items():
            asked = name.engine == engine and (need.routes or need.operations)
            if asked and name not in world.pools:
                yield Pool(name=str(name), set_by="enchain")


def _by_pool(world: World, launches: Iterable[Launching]) -> dict[PoolName, list[Launching]]:
    found: dict[PoolName, list[Launching]] = {name: [] for name in world.pools}
    for launch in launches:
        found.setdefault(pool_of(launch), []).append(launch)
    return found


def _without_surplus(
    world: World, name: PoolName, launches: Sequence[Launching], patience: Patience
) -> list[Launching]:
    """Drain what is beyond what is wanted: first what is not ready yet, then the youngest."""
    have = sum(launch.state in {STARTING, READY} for launch in launches) + others(world, name)
    surplus = max(have - _wanted(world, name), 0)
    ours = [launch for launch in launches if launch.state in {STARTING, READY}]
    ours.sort(key=lambda launch: (launch.state == STARTING, launch.name), reverse=True)
    leaving = {launch.name for launch in ours[:surplus]}
    reason = ("SURPLUS", "it is not wanted any more")
    return [
        drained(launch, *reason, world.now, patience) if launch.name in leaving else launch
        for launch in launches
    ]


def _missing(
    world: World, name: PoolName, launches: Sequence[Launching], patience: Patience
) -> tuple[tuple[Launching, ...], list[datetime]]:
    """Answer the launches to begin, or when to look again."""
    starting = sum(launch.state == STARTING for launch in launches)
    have = starting + sum(launch.state == READY for launch in launches) + others(world, name)
    have += sum(launch.state in FINAL and launch_id(launch) in (world.found or {}) for launch in launches)
    missing = _wanted(world, name) - have
    if missing <= 0 or world.found is None or not _launchable(world, name):
        return (), []
    failed = faltering(launches, patience)
    if failed is not None and world.now < retry_time(failed, patience):
        return (), [retry_time(failed, patience)]
    # Whether it comes up at all, or which version comes up, one instance tells as well as many.
    trusted = trusted_version(world.pools, name.engine, world.engines[name.engine])
    count = min(missing, 1 - starting) if failed is not None or not trusted else missing
    return tuple(_launch(world, name, failed.attempts + 1 if failed else 1) for _ in range(count)), []


def _launch(world: World, name: PoolName, attempts: int) -> Launching:
    return Launching(
        engine=name.engine,
        version=name.version,
        state=STARTING,
        launcher=world.launcher,
        attempts=attempts,
    )


def _launchable(world: World, name: PoolName) -> bool:
    """Say whether a pool may launch: not one that has no record, or is about to take a version's name."""
    if name not in world.pools:
        return False
    if name.version == UNKNOWN_VERSION and current_version(world.pools, name.engine):
        return False
    return not why_not_launchable(name, world.engines.get(name.engine), world.pools)


def _wanted(world: World, name: PoolName) -> int:
    """Answer how many are wanted; what a launch turned out to be may have no pool yet, and is left alone."""
    engine = world.engines.get(name.engine)
    if name not in world.pools and name.version != UNKNOWN_VERSION:
        least, most = bounds(name, engine, world.pools)
        return max(least, most)
    return wanted(name, world.pools, engine, world.needs.get(name, NOBODY)).count


def _learned(world: World, launches: Iterable[Launching]) -> Iterable[Learned]:
    """Answer what the store does not know yet of versions; the newest launch of an engine is believed.

    What has just registered tells, also where it is not wanted any more by now; what has stood longer only
    where nothing is known, such as after somebody deleted the record.
    """
    starting = {each.name for each in world.launches if each.state == STARTING}
    told = [
        each for each in launches if each.state in {READY, DRAINING} and launch_id(each) in world.instances
    ]
    newest = {each.engine: each for each in sorted(told, key=lambda each: each.name)}
    for engine, document in world.engines.items():
        launch, current = newest.get(engine), current_version(world.pools, engine)
        trusted = trusted_version(world.pools, engine, document)
        if launch is not None and launch.version != trusted and (launch.name in starting or not current):
            yield Learned(pool_of(launch), launch.name if launch.name in starting else "")
        elif current and PoolName(engine, UNKNOWN_VERSION) in world.pools:
            yield Learned(PoolName(engine, current))


def _acts(world: World, launches: Iterable[Launching], patience: Patience) -> Iterable[Act]:
    known = {launch_id(launch) for launch in launches}
    for launch in launches:
        deed = _deed(world, launch, sight_of(world, launch), patience)
        if deed is not None:
            yield Act(deed, launch_id(launch), launch.engine)
    for identifier in sorted(set(world.found or {}) - known):
        late = world.strays.get(identifier, 0.0) >= patience.drain
        yield Act(Deed.KILL if late else Deed.DRAIN, identifier, "")


def _deed(world: World, launch: Launching, sight: Sight, patience: Patience) -> Deed | None:
    if launch.state == STARTING:
        return Deed.START if sight.running is False else None
    if launch.state == READY:
        return None
    if sight.elsewhere:
        return Deed.ASK if sight.registered is not None else None
    if not sight.running:
        return None
    if launch.state == FAILED:
        return Deed.KILL
    since = launch.deadline if launch.state == DRAINING else launch.end_time
    extra = 0.0 if launch.state == DRAINING else patience.drain
    late = world.now >= _utc(since.ToDatetime()) + timedelta(seconds=extra)
    return Deed.KILL if late else Deed.DRAIN


def _deadlines(launches: Iterable[Launching]) -> Iterable[datetime]:
    return [_utc(each.deadline.ToDatetime()) for each in launches if each.state in {STARTING, DRAINING}]


def _forgotten(world: World, launches: Iterable[Launching]) -> Iterable[Launching]:
    """Answer what is over, stored so, and neither runs nor is among the newest; of each pool one is kept."""
    stored = {launch.name for launch in world.launches if launch.state in FINAL}
    kept: dict[str, int] = {}
    pools: set[PoolName] = set()
    for launch in sorted(launches, key=lambda each: each.name, reverse=True):
        first = pool_of(launch) not in pools
        pools.add(pool_of(launch))
        if launch.name not in stored or launch_id(launch) in (world.found or {}):
            continue
        kept[launch.engine] = kept.get(launch.engine, 0) + 1
        if kept[launch.engine] > KEPT_MAX and not first:
            yield launch


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)
