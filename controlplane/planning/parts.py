"""How many instances pools need where several chains of a workload each get a part of its requests. Pure.

Whoever sizes pools for the arms of experiments calls it. Each part is planned as if it were a workload of its
own, beside the others, so every chain is sized to keep what was promised at its own part, and a pool that
several of them use is sized for what is on it in all. It must never answer more for a part than it needs.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from controlplane.planning.plan import plan_together
from controlplane.planning.problem import Demand, EngineVersion, Problem

HUNDREDTHS = 100
"""Needs are rounded up to so many parts of an instance: smaller changes are none."""

NOISE = 1e-6


def instances_of_parts(problem: Problem, parts: Mapping[str, float]) -> dict[EngineVersion, float]:
    """Answer how many instances each pool needs in all; a version that nothing is known of is left out.

    Args:
        problem: The whole workload's, with every chain that has a part among its candidates.
        parts: The share of requests of each chain, in 0..1.

    Raises:
        InvalidArgumentError: The problem has no meaning.
    """
    known = {candidate.chain for candidate in problem.candidates}
    taken = {chain: share for chain, share in parts.items() if share > 0 and chain in known}
    if not taken or not _comes(problem.demand):
        return {}
    plans = plan_together([_part(problem, chain, share) for chain, share in taken.items()])
    found: dict[EngineVersion, float] = {}
    launchable = {pool.engine for pool in problem.pools if pool.launchable}
    for plan in plans:
        for pool in plan.chosen.pools if plan.chosen is not None else ():
            if pool.engine in launchable:
                found[pool.engine] = found.get(pool.engine, 0.0) + pool.share
    return {engine: _rounded(count) for engine, count in found.items()}


def _part(problem: Problem, chain: str, share: float) -> Problem:
    """Answer a problem whose only answer is the chain, with its part of the demand.

    All candidates stay in it: what was measured of one says what to think of another.
    """
    demand = problem.demand
    return replace(
        problem,
        demand=replace(
            demand,
            rates=tuple(tuple(rate * share for rate in step) for step in demand.rates),
            reactive_rate=demand.reactive_rate * share,
        ),
        current=chain,
        settled=chain,
        rejected=frozenset(),
    )


def _comes(demand: Demand) -> bool:
    return demand.reactive_rate > 0 or any(rate > 0 for step in demand.rates for rate in step)


def _rounded(count: float) -> float:
    return max(math.ceil(count * HUNDREDTHS - NOISE), 0) / HUNDREDTHS
