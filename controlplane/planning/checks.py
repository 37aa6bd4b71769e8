"""What a problem must be for a plan to mean anything. Pure.

Planning checks every problem with it first. It must not mend anything.
"""

import math
from collections.abc import Iterable, Iterator

from controlplane.planning.problem import Call, Demand, Problem
from enchain.chains.errors import InvalidArgumentError, Violation


def check(problem: Problem) -> None:
    """Refuse a problem that has no meaning.

    Raises:
        InvalidArgumentError: With every fault that was found.
    """
    faults = [*_demand_faults(problem.demand), *_chain_faults(problem), *_figure_faults(problem)]
    if faults:
        raise InvalidArgumentError(
            faults[0].description,
            reason="UNUSABLE_PLANNING_INPUTS",
            remedy="Make the inputs anew from the store; these were put together wrongly.",
            violations=faults,
        )


def _demand_faults(demand: Demand) -> Iterator[Violation]:
    levels = demand.levels
    if not levels or list(levels) != sorted(set(levels)) or not 0 <= levels[0] <= levels[-1] <= 1:
        yield Violation("levels", "the quantiles' levels must ascend within 0 to 1", "LEVELS")
    if not demand.step_seconds > 0:
        yield Violation("step", "the steps of the demand must be longer than nothing", "STEP")
    if not demand.rates:
        yield Violation("demand", "there is no demand to plan for", "NO_DEMAND")
    every = [rate for step in demand.rates for rate in step]
    if any(len(step) != len(levels) for step in demand.rates):
        yield Violation("demand", "each step needs a rate for each level", "LEVELS")
    if not math.isfinite(sum(every) + demand.reactive_rate) or min([*every, demand.reactive_rate]) < 0:
        yield Violation("demand", "rates must be finite and not negative", "RATE")


def _chain_faults(problem: Problem) -> Iterator[Violation]:
    names = [candidate.chain for candidate in problem.candidates]
    if len(set(names)) < len(names):
        yield Violation("chains", "a chain stands there twice", "TWICE")
    if any(not candidate.calls for candidate in problem.candidates):
        yield Violation("chains", "a chain has no step", "NO_STEP")
    engines = [pool.engine for pool in problem.pools]
    if len(set(engines)) < len(engines):
        yield Violation("engines", "an engine version stands there twice", "TWICE")


def _figure_faults(problem: Problem) -> Iterator[Violation]:
    for candidate in problem.candidates:
        for call in candidate.calls:
            if not _sane(call):
                words = f"the figures of {call.engine} in {candidate.chain} make no sense"
                yield Violation("chains", words, "FIGURE")
    for pool in problem.pools:
        figures = (pool.price_per_hour, pool.price_per_request, pool.cold_start_seconds, *pool.other_load)
        if not _finite(figures) or pool.capacity < 1:
            yield Violation("engines", f"the figures of {pool.engine} make no sense", "FIGURE")


def _sane(call: Call) -> bool:
    figures = (call.samples, call.mean_seconds, call.variation, call.attempts, call.cost)
    return _finite(figures) and 0 <= call.success <= 1


def _finite(figures: Iterable[float]) -> bool:
    values = list(figures)
    return math.isfinite(sum(values)) and min(values) >= 0
