"""How many instances of an engine version are kept, and why. Pure.

The leader's loop and the pool service ask the same functions, so that what people are shown is what is
done. It never looks at launches: how to get from what runs to what is wanted is `pool_rules`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from enchain.chains.decision_names import UNKNOWN_VERSION, PoolName, asked_for
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Pool

INSTANCES_MAX = 100
"""The most of one version, where the engine's document says nothing: a slip starts no thousands."""

NAMES_SHOWN_MAX = 3

Pools = Mapping[PoolName, Pool]


@dataclass(frozen=True, slots=True)
class Need:
    """Who needs a version, as far as somebody looked.

    Attributes:
        routes: Workloads whose route or experiment leads to a chain that names it, fallbacks included.
        operations: How many running operations are on such a chain.
        resources: How many resources it made.
    """

    routes: tuple[str, ...] = ()
    operations: int = 0
    resources: int = 0


NOBODY = Need()


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many instances are kept.

    Attributes:
        count: So many.
        reason: What for.
        floor: The least, because routes, operations or resources need the version.
        floor_reason: Who needs it.
        problem: What is not as it was asked for; empty where all is.
    """

    count: int
    reason: str
    floor: int
    floor_reason: str
    problem: str = ""


def current_version(pools: Pools, engine: str) -> str:
    """Answer the version that an engine's command started last; empty where none is known."""
    known = [
        (pool.current_since.ToNanoseconds(), name.version)
        for name, pool in pools.items()
        if name.engine == engine and pool.HasField("current_since")
    ]
    return max(known, default=(0, ""))[1]


def trusted_version(pools: Pools, name: str, engine: Engine) -> str:
    """Answer the current version, unless the engine's document, so perhaps the command, was changed since."""
    current = current_version(pools, name)
    since = pools[PoolName(name, current)].current_since.ToNanoseconds() if current else 0
    return current if engine.update_time.ToNanoseconds() <= since else ""


def why_not_launchable(name: PoolName, engine: Engine | None, pools: Pools) -> str:
    """Answer why no instance of a version can be started here, and what to do; empty where one can."""
    if engine is None or not engine.launch.process:
        return (
            f"engines/{name.engine} names no command that starts it: start instances where they run, "
            "or write launch.process into the engine's document"
        )
    current = trusted_version(pools, name.engine, engine)
    if not current or name.version in (UNKNOWN_VERSION, current):
        return ""
    return (
        f"the engine's command starts {current}, not {name.version}: start instances of {name.version} by "
        f"other means, or move to a chain of {current}"
    )


def bounds(name: PoolName, engine: Engine | None, pools: Pools) -> tuple[int, int]:
    """Answer the least and the most instances of a version. The least is kept of the current one only."""
    if engine is None:
        return 0, INSTANCES_MAX
    most = engine.pool.max or INSTANCES_MAX
    current = current_version(pools, name.engine)
    kept = bool(engine.launch.process) and name.version == (current or UNKNOWN_VERSION)
    return (min(engine.pool.min, most) if kept else 0), most


def wanted(name: PoolName, pools: Pools, engine: Engine | None, need: Need = NOBODY) -> Wanted:
    """Answer how many instances of a version are kept."""
    pool = pools.get(name, Pool())
    least, most = bounds(name, engine, pools)
    most = max(most, 0 if pool.pinned else pool.ceiling)
    floor, floor_reason = _floor(name, pools, engine, need)
    asked = [
        (_demanded(pool), f"demand of {_some([_asking(name) for name in sorted(pool.demands)])}"),
        _held(pool),
        (floor, floor_reason),
        (least, f"the engine's pool.min is {least}"),
    ]
    most_asked, for_what = max(asked, key=lambda each: each[0])
    if pool.pinned:
        count = min(max(pool.target, least), most)
        more = f"pinned at {count}, and {most_asked} are asked for: {for_what}" if most_asked > count else ""
        return Wanted(count, pool.reason or "pinned", floor, floor_reason, more)
    count, reason = pool.target, pool.reason or "the target that was set"
    if most_asked > count:
        count, reason = most_asked, for_what
    if count > most:
        return Wanted(most, reason, floor, floor_reason, f"{count} are asked for, and pool.max is {most}")
    return Wanted(count, reason if count else "", floor, floor_reason)


def _demanded(pool: Pool) -> int:
    """Demands are real numbers that were added up; a rounding error asks for no instance more."""
    return math.ceil(sum(each for each in pool.demands.values() if math.isfinite(each)) - 1e-9)


def _asking(name: str) -> str:
    workload = asked_for(name)
    return name if workload == name else f"the arms of experiments of {workload}"


def _held(pool: Pool) -> tuple[int, str]:
    switch, count = max(pool.holds.items(), key=lambda hold: (hold[1], hold[0]), default=("", 0))
    return count, f"held for {switch}"


def _floor(name: PoolName, pools: Pools, engine: Engine | None, need: Need) -> tuple[int, str]:
    """Resources alone keep none of what can be started on demand: an operation on them is the demand."""
    if need.routes:
        return 1, f"routes of {_some(need.routes)} lead to it"
    if need.operations:
        return 1, f"{need.operations} running operations need it"
    if need.resources and why_not_launchable(name, engine, pools):
        return 1, f"{need.resources} resources need it, and it could not be started again"
    return 0, ""


def _some(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    return shown if len(names) <= NAMES_SHOWN_MAX else f"{shown} and {len(names) - NAMES_SHOWN_MAX} more"
