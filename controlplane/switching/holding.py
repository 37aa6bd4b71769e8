"""Which instances a chain switch needs, and what it asks pools to keep for it. Pure.

The catalogue of routes asks it when a switch is begun, the leader's loop while it is carried out. A switch
that must start instances starts as many as the old chain has for the same steps: a plan may ask for another
number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.switching import states
from controlplane.switching.exploring import explores
from controlplane.switching.pool_targets import INSTANCES_MAX, Pools, why_not_launchable
from controlplane.switching.records import Switch
from enchain.chains.decision_names import PoolName, arms_of
from enchain.v1.chain_pb2 import Chain, ChainStep, InstanceChange
from enchain.v1.engine_pb2 import Engine, EngineInstance
from enchain.v1.pool_pb2 import Pool


@dataclass(frozen=True, slots=True)
class Fleet:
    """All engines as they are.

    Attributes:
        instances: Registrations.
        engines: Documents by engine id.
        pools: By name, as they are stored.
        silent: Names of instances that are registered and did not answer.
        problems: Why instances that are wanted are not there, as pools are shown; it is not stored.
    """

    instances: Sequence[EngineInstance] = ()
    engines: Mapping[str, Engine] = field(default_factory=dict)
    pools: Pools = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    problems: Mapping[PoolName, str] = field(default_factory=dict)

    def ready(self, name: PoolName) -> int:
        """Count the instances of a version that take new work."""
        return sum(
            (each.engine, each.version) == (name.engine, name.version)
            and each.state == EngineInstance.STATE_READY
            and each.name not in self.silent
            for each in self.instances
        )

    def launchable(self, name: PoolName) -> bool:
        """Say whether instances of a version can be started here."""
        return not why_not_launchable(name, self.engines.get(name.engine), self.pools)

    def most(self, name: PoolName) -> int:
        """The most instances that there may be of a version."""
        engine = self.engines.get(name.engine)
        return (engine.pool.max if engine is not None else 0) or INSTANCES_MAX


def pool_of(step: ChainStep) -> PoolName:
    """Answer the pool whose instances do a call of a chain."""
    return PoolName(step.engine, step.version)


def pools_of(chains: Iterable[Chain]) -> frozenset[PoolName]:
    """Answer the pools that chains need. Fallbacks are not counted: a chain runs without them."""
    return frozenset(pool_of(step) for chain in chains for step in chain.steps)


def one_of_each(chains: Iterable[Chain]) -> dict[PoolName, int]:
    """Answer that one instance of each version that chains need must be ready."""
    return dict.fromkeys(pools_of(chains), 1)


def needed(
    new: Sequence[Chain], old: Sequence[Chain], fleet: Fleet, asked: Mapping[PoolName, int]
) -> dict[PoolName, int]:
    """Answer how many instances must be ready before requests go to a chain.

    Args:
        new: The chains that are to get requests.
        old: The chains that have them now.
        fleet: What there is.
        asked: What a plan wants, where one does.
    """
    found: dict[PoolName, int] = {}
    for chain in new:
        for step in chain.steps:
            name = pool_of(step)
            count = asked.get(name, 0) or (1 if fleet.ready(name) else _as_many(step, old, fleet))
            count = min(count, fleet.most(name)) if fleet.launchable(name) else 1
            found[name] = max(found.get(name, 1), count)
    return found


def _as_many(step: ChainStep, old: Sequence[Chain], fleet: Fleet) -> int:
    """Count what the old chains have for the same steps; one at least."""
    same = [each for chain in old for each in chain.steps if set(each.steps) & set(step.steps)]
    return max([1, *(fleet.ready(pool_of(each)) for each in same)])


def short(need: Mapping[PoolName, int], fleet: Fleet) -> list[str]:
    """Answer a line for each version of which fewer instances are ready than needed."""
    lines = []
    for name, count in sorted(need.items()):
        if (have := fleet.ready(name)) < count:
            problem = fleet.problems.get(name, "")
            line = f"{name.engine} {name.version}: {have} of {count} ready"
            lines.append(f"{line} ({problem})" if problem else line)
    return lines


def unlaunchable(need: Mapping[PoolName, int], fleet: Fleet) -> list[str]:
    """Answer why versions that nobody serves cannot be started here."""
    missing = [name for name in sorted(need) if not fleet.ready(name)]
    reasons = [why_not_launchable(name, fleet.engines.get(name.engine), fleet.pools) for name in missing]
    return [reason for reason in reasons if reason]


def holds(need: Mapping[PoolName, int], old: Sequence[Chain], fleet: Fleet) -> list[InstanceChange]:
    """Answer what a switch asks pools to keep: what it needs, and what is there of both chains."""
    wanted = {name: max(count, fleet.ready(name)) for name, count in need.items()}
    wanted |= {name: max(wanted.get(name, 0), fleet.ready(name)) for name in pools_of(old)}
    return [
        InstanceChange(engine=name.engine, version=name.version, count=count)
        for name, count in sorted(wanted.items())
        if count and fleet.launchable(name)
    ]


def launched(need: Mapping[PoolName, int], fleet: Fleet) -> list[InstanceChange]:
    """Answer the instances that would be started."""
    return [
        InstanceChange(engine=name.engine, version=name.version, count=count - fleet.ready(name))
        for name, count in sorted(need.items())
        if count > fleet.ready(name) and fleet.launchable(name)
    ]


def need_of(switch: Switch, new: Iterable[Chain]) -> dict[PoolName, int]:
    """Answer how many instances a switch needs before its chain is put in force, as it said when it began."""
    held = {PoolName(each.engine, each.version): each.count for each in switch.holds}
    return {name: max(held.get(name, 1), 1) for name in pools_of(new)}


def held(switches: Iterable[Switch]) -> dict[PoolName, dict[str, int]]:
    """Answer what all switches ask of each pool, by switch."""
    found: dict[PoolName, dict[str, int]] = {}
    for switch in switches:
        if switch.state in states.HOLDING:
            for each in switch.holds:
                found.setdefault(PoolName(each.engine, each.version), {})[switch.name] = each.count
    return found


def with_holds(name: PoolName, pool: Pool | None, wanted: Mapping[str, int]) -> Pool | None:
    """Answer a pool with exactly the holds that are wanted; None where it has them already."""
    if pool is None:
        return Pool(name=str(name), set_by="enchain", holds=wanted) if wanted else None
    if dict(pool.holds) == dict(wanted):
        return None
    changed = Pool()
    changed.CopyFrom(pool)
    changed.holds.clear()
    changed.holds.update(wanted)
    return changed


def surplus(switch: Switch, fleet: Fleet, kept: Mapping[PoolName, int]) -> list[str]:
    """Answer a line for each version of which more instances run than are kept once a switch lets go.

    Args:
        switch: It.
        fleet: What there is.
        kept: How many of each version are kept.
    """
    names = [PoolName(each.engine, each.version) for each in switch.holds]
    return [
        f"{name.engine} {name.version}: {fleet.ready(name)} run, {kept[name]} are kept"
        for name in names
        if fleet.launchable(name) and name in kept and fleet.ready(name) > kept[name]
    ]


def with_demands(
    switch: Switch, new: Sequence[Chain], old: Sequence[Chain], pools: Pools, workload: str
) -> dict[PoolName, Pool]:
    """Answer the pools that change where what a workload asks for moves on with its requests.

    What a promotion asked of the new chain's pools, beyond what the workload did, it asks for itself from now
    on. A plan asks for itself; so nothing changes where a switch carries one out, or merely explores.
    """
    if switch.recommendation or explores(switch):
        return {}
    started = {PoolName(each.engine, each.version) for each in switch.impact.launched}
    held_now = {PoolName(each.engine, each.version): each.count for each in switch.holds}
    changed: dict[PoolName, Pool] = {}
    for name in sorted(pools_of(new)):
        before = pools.get(name, Pool(name=str(name), set_by="enchain"))
        asked = before.demands.get(workload, 0.0)
        wanted = max(
            asked,
            float(held_now.get(name, 0)) if name in started else 0.0,
            _inherited(name, new, old, pools, workload),
            asked + before.demands.get(arms_of(workload), 0.0),
        )
        if wanted > asked:
            changed[name] = _asking(before, workload, wanted)
    for name in sorted(pools_of(old) - pools_of(new)):
        if name in pools and workload in pools[name].demands:
            changed[name] = _asking(pools[name], workload, 0.0)
    return changed


def _inherited(
    name: PoolName, new: Sequence[Chain], old: Sequence[Chain], pools: Pools, workload: str
) -> float:
    """Answer what the workload asks of those that do the same steps for the old chains."""
    steps = {each for chain in new for step in chain.steps if pool_of(step) == name for each in step.steps}
    same = [pool_of(step) for chain in old for step in chain.steps if steps & set(step.steps)]
    return max((pools.get(each, Pool()).demands.get(workload, 0.0) for each in same), default=0.0)


def _asking(pool: Pool, workload: str, count: float) -> Pool:
    changed = Pool()
    changed.CopyFrom(pool)
    changed.demands.pop(workload, None)
    if count:
        changed.demands[workload] = count
    return changed
