"""What workloads put on pools that they share. Pure.

Planning together counts with it. It must know nothing of what a load costs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from controlplane.planning.demand import outlook_of, planned_quantile, planned_rates
from controlplane.planning.moments import others_on
from controlplane.planning.problem import EngineVersion, PoolFacts, Problem
from controlplane.planning.queueing import FloatArray, residual_seconds
from controlplane.planning.rows import Row, row_of


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Work on a pool.

    Attributes:
        work: Shape (steps,): in flight, by step of the horizon.
        left: Shape (steps,): the same times what is left on average of a call in progress, in seconds.
    """

    work: FloatArray
    left: FloatArray


Loads = dict[EngineVersion, Load]


def load_of(problem: Problem, chain: str) -> Loads:
    """Answer what a workload puts on pools by a chain, at the quantile that it is planned for."""
    candidate = next((one for one in problem.candidates if one.chain == chain), None)
    return {} if candidate is None else _load(row_of(problem, candidate))


def _load(row: Row) -> Loads:
    outlook = outlook_of(row.problem.demand)
    quantile = planned_quantile(row.problem.promise, row.capacity_price, outlook)
    rates = planned_rates(outlook, quantile, row.lead_seconds)
    return {
        pool.engine: Load(rates * of.load, rates * (of.load * of.left))
        for pool, of in zip(row.pools, row.figures, strict=True)
    }


def total(loads: Iterable[Loads]) -> Loads:
    """Answer what workloads put on pools in all."""
    found: Loads = {}
    for one in loads:
        for engine, load in one.items():
            known = found.get(engine)
            found[engine] = load if known is None else Load(known.work + load.work, known.left + load.left)
    return found


def changed(whole: Load | None, before: Load | None, after: Load | None) -> Load:
    """Answer what is on a pool in all once one workload puts something else on it; one must be known."""
    known = [load for load in (whole, before, after) if load is not None]
    nothing = Load(np.zeros_like(known[0].work), np.zeros_like(known[0].work))
    whole, before, after = whole or nothing, before or nothing, after or nothing
    return Load(whole.work - before.work + after.work, whole.left - before.left + after.left)


def with_others(problem: Problem, whole: Loads, own: Loads) -> Problem:
    """Answer a problem in which the pools carry what others put on them besides."""
    return replace(problem, pools=tuple(_carrying(problem, pool, whole, own) for pool in problem.pools))


def _carrying(problem: Problem, pool: PoolFacts, whole: Loads, own: Loads) -> PoolFacts:
    if pool.engine not in whole:
        return pool
    nothing = np.zeros(len(problem.demand.rates))
    mine = own.get(pool.engine, Load(nothing, nothing))
    outside = others_on(pool, len(nothing))
    work = np.maximum(whole[pool.engine].work - mine.work, 0.0)
    left = np.maximum(whole[pool.engine].left - mine.left, 0.0).sum()
    left += outside.sum() * residual_seconds(pool.other_seconds, pool.other_variation)
    sum_ = float((work + outside).sum())
    # A variation of 1 makes what is left of a call in progress its mean.
    return replace(
        pool,
        other_load=tuple((work + outside).tolist()),
        other_seconds=float(left) / sum_ if sum_ > 0 else 0.0,
        other_variation=1.0,
    )
