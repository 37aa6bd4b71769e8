"""What it costs to change from the chain in force to another. Pure.

Planning adds it to the options before it chooses. It must not decide whether the change is worth it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from controlplane.planning.options import Judged
from controlplane.planning.problem import PoolFacts, Problem


def with_switching(problem: Problem, options: Sequence[Judged]) -> list[Judged]:
    """Answer the options, each with what the change to it costs, spread over the horizon."""
    current = next((one for one in options if one.option.chain == problem.current), None)
    return [one if one is current else _charged(problem, current, one) for one in options]


def _charged(problem: Problem, current: Judged | None, other: Judged) -> Judged:
    """Charge the overlap: both sets of instances run while the new one starts and the old one drains.

    The new instances are paid for while they start, and the old ones that the new chain does not need until
    the last operation on them has ended, which takes about the P95 of the old chain.
    """
    demand = problem.demand
    horizon = demand.step_seconds * len(demand.rates)
    warming = other.option.lead_seconds
    money = _started(other) * warming
    if current is not None:
        draining = _finite(current.fastest_seconds)
        money += _surplus(current, other) * (warming + draining)
    return replace(
        other, option=replace(other.option, cost=replace(other.option.cost, switching=money / horizon))
    )


def _started(one: Judged) -> float:
    """Answer what the instances cost an hour that must be started."""
    pools = zip(one.row.pools, one.option.pools, strict=True)
    return sum(pool.price_per_hour * max(0, plan.target - pool.ready) for pool, plan in pools)


def _surplus(current: Judged, other: Judged) -> float:
    """Answer what the instances cost an hour that neither the other chain nor other workloads need."""
    needed = {plan.engine: plan.share for plan in other.option.pools}
    surplus = 0.0
    for pool, plan in zip(current.row.pools, current.option.pools, strict=True):
        # What is kept whatever is planned is kept for this workload as far as the pool is its own.
        kept = _kept(pool) * plan.share / plan.target if plan.target else 0.0
        surplus += pool.price_per_hour * max(0.0, plan.share - max(needed.get(plan.engine, 0.0), kept))
    return surplus


def _kept(pool: PoolFacts) -> int:
    return max(pool.minimum, pool.floor) if pool.launchable and not pool.pinned else pool.ready


def _finite(seconds: float) -> float:
    return seconds if math.isfinite(seconds) else 0.0
