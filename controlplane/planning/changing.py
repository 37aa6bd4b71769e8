"""What it costs to change from the chain in force to another. Pure.

Options add it to what chains cost. It must not decide whether the change is worth it.
"""

import math
from collections.abc import Sequence

from controlplane.planning.problem import PoolFacts, PoolTarget
from controlplane.planning.rows import Row

Targets = Sequence[PoolTarget]


def switching(rows: Sequence[Row], pools: Sequence[Targets], fastest: Sequence[float]) -> list[float]:
    """Answer what the change to each row costs an hour, spread over the horizon; 0 for those in force.

    Args:
        rows: The rows of many problems.
        pools: Their pools, as they are planned.
        fastest: The P95 of each where nothing ever waits, in seconds.
    """
    current = {row.at: i for i, row in enumerate(rows) if row.candidate.chain == row.problem.current}
    found = []
    for i, row in enumerate(rows):
        old = current.get(row.at)
        if i == old:
            found.append(0.0)
            continue
        demand = row.problem.demand
        starting = _starting(row, pools[i])
        money = _started(row, pools[i]) * starting
        if old is not None:
            draining = fastest[old] if math.isfinite(fastest[old]) else 0.0
            money += _surplus(rows[old], pools[old], pools[i]) * (starting + draining)
        found.append(money / (demand.step_seconds * len(demand.rates)))
    return found


def _starting(row: Row, pools: Targets) -> float:
    """Answer how long the change waits for instances, in seconds: not at all where all are ready."""
    return max(
        (
            pool.cold_start_seconds
            for pool, plan in zip(row.pools, pools, strict=True)
            if plan.target > pool.ready
        ),
        default=0.0,
    )


def _started(row: Row, pools: Targets) -> float:
    """Answer what the instances cost an hour that must be started: they are paid for while they do."""
    return sum(
        pool.price_per_hour * max(0, plan.target - pool.ready)
        for pool, plan in zip(row.pools, pools, strict=True)
    )


def _surplus(row: Row, old: Targets, new: Targets) -> float:
    """Answer what the instances cost an hour that neither the new chain nor other workloads need.

    They are paid for while the new ones start, and until the last operation on them has ended.
    """
    needed = {plan.engine: plan.share for plan in new}
    surplus = 0.0
    for pool, plan in zip(row.pools, old, strict=True):
        # What is kept whatever is planned is kept for this workload as far as the pool is its own.
        kept = _kept(pool) * plan.share / plan.target if plan.target else 0.0
        surplus += pool.price_per_hour * max(0.0, plan.share - max(needed.get(plan.engine, 0.0), kept))
    return surplus


def _kept(pool: PoolFacts) -> int:
    return max(pool.minimum, pool.floor) if pool.launchable and not pool.pinned else pool.ready
