"""Which condition decided a size: what to change if one wants another answer. Pure.

Planning asks it for every option. The names are stable; `docs/planning.md` lists them.
"""

from controlplane.planning.options import Judged, Sizing
from controlplane.planning.problem import PoolFacts

SUCCESS, P95, REACTIVE, WORK, WAITING = "success", "p95", "reactive", "demand", "cost"
POOL_MAX, POOL_MIN, POOL_PINNED, POOL_STATIC = "pool.max", "pool.min", "pool.pinned", "pool.static"


def binding(one: Judged) -> str:
    """Answer what stands in the way of the service level, or else what made the pools as large as they are.

    Empty where they are as small as they may be without any demand.
    """
    return _obstacle(one) if not one.option.feasible else _reason(one)


def _obstacle(one: Judged) -> str:
    if not one.succeeds:
        return SUCCESS
    if too_slow_alone(one):
        return P95
    pools = zip(one.row.pools, one.sizings, strict=True)
    walls = [wall(pool) for pool, size in pools if size.short]
    return walls[0] if walls else P95


def _reason(one: Judged) -> str:
    if any(size.size > size.honoured for size in one.sizings):
        return POOL_MAX
    grown = any(size.size > size.least for size in one.sizings)
    checks = (
        (grown and one.planned_rate > one.forecast_rate, REACTIVE),
        (any(size.promised for size in one.sizings), P95),
        (any(size.economic for size in one.sizings), WAITING),
        (any(_worked(size) for size in one.sizings), WORK),
        (any(size.least > max(1, size.worked) for size in one.sizings), POOL_MIN),
    )
    return next((name for holds, name in checks if holds), "")


def _worked(size: Sizing) -> bool:
    return size.worked >= size.size > size.least


def wall(pool: PoolFacts) -> str:
    """Answer what keeps a pool from growing."""
    if pool.pinned:
        return POOL_PINNED
    return POOL_MAX if pool.launchable else POOL_STATIC


def too_slow_alone(one: Judged) -> bool:
    """Say whether a chain is too slow even where nothing ever waits."""
    promised = one.row.problem.promise.p95_seconds
    return promised > 0 and one.fastest_seconds > promised
