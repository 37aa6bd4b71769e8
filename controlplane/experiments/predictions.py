"""What a recommendation said of the arms' chains beforehand, held against what the experiment measured. Pure.

`controlplane.catalog.analyses` calls `checks`, whose answer is kept with the conclusion; planning asks
`doubts` of experiments that are concluded, so that profiles whose predictions did not hold count as less
surely known.

Intervals are as valid at every look as those of the analysis: the boundary of the mixture SPRT around means,
around the share below a quantile for P95. To the latter the sketch's own inaccuracy is added.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from controlplane.experiments import msprt
from controlplane.experiments.merging import COST
from controlplane.experiments.outcome import SUCCESS
from controlplane.profiles.sketch import ACCURACY, Sketch
from enchain.v1 import chain_pb2, experiment_pb2, profile_pb2, recommendation_pb2

ArmStatistics = experiment_pb2.ArmStatistics
Check = experiment_pb2.PredictionCheck

P95 = "p95_time"
SHARE = 0.95
COUNT_MIN = 50
"""Fewer outcomes say nothing of a prediction."""

LEVEL = 0.05
HALF_LIFE_DAYS = 7.0
"""A doubt weighs half as much after so long, as measurements do: the profile has learned meanwhile."""

SAMPLES_MAX = 1e6
Prediction = Mapping[str, float]


def predicted(
    recommendation: recommendation_pb2.Recommendation, inputs: recommendation_pb2.PlanningInputs
) -> Mapping[str, Prediction]:
    """Answer what was said of each chain, by metric; the cost is that which engines report."""
    costs = {
        chain.chain: sum(step.cost * max(step.attempts, 1.0) for step in chain.steps)
        for chain in inputs.chains
    }
    return {
        option.chain: {
            metric: value
            for metric, value in (
                (COST, costs.get(option.chain, 0.0)),
                (P95, option.p95.ToNanoseconds() / 1e9),
                (SUCCESS, option.success),
            )
            if 0 < value < math.inf
        }
        for option in (recommendation.chosen, *recommendation.rivals)
    }


def checks(
    experiment: experiment_pb2.Experiment,
    arms: Mapping[str, ArmStatistics],
    said: Mapping[str, Prediction],
) -> Iterator[Check]:
    """Hold predictions against outcomes, for each arm whose very chain they were about."""
    for arm in experiment.arms:
        statistics = arms.get(arm.name, ArmStatistics())
        for metric, value in said.get(arm.chain, {}).items():
            found = _quantile(statistics) if metric == P95 else _mean(statistics, metric)
            if found is not None:
                middle, lower, upper = found
                held = lower <= value <= upper
                yield Check(
                    arm=arm.name,
                    metric=metric,
                    predicted=value,
                    observed=middle,
                    lower=lower,
                    upper=upper,
                    held=held,
                )


def doubts(experiments: Sequence[experiment_pb2.Experiment], now: datetime) -> Mapping[str, float]:
    """Answer, by chain, how many measurements its profiles may count for after predictions that did not hold.

    An estimate of n measurements is off by about its spread over the root of n. One that was off by e is as
    good as one of so many measurements that this would be e, with a spread as large as the value itself; of
    shares, with that of the share.
    """
    found: dict[str, float] = {}
    for experiment in experiments:
        if not experiment.HasField("conclusion"):
            continue
        chains = {arm.name: arm.chain for arm in experiment.arms}
        age = max((now - experiment.end_time.ToDatetime(UTC)).total_seconds() / 86_400, 0.0)
        for check in experiment.conclusion.evidence.predictions:
            if not check.held and check.arm in chains:
                worth = min(_worth(check) * 2.0 ** min(age / HALF_LIFE_DAYS, 60.0), SAMPLES_MAX)
                chain = chains[check.arm]
                found[chain] = min(found.get(chain, SAMPLES_MAX), worth)
    return {chain: worth for chain, worth in found.items() if worth < SAMPLES_MAX}


def _worth(check: Check) -> float:
    """How many measurements an estimate that was so far off is worth; at least one."""
    if check.metric == SUCCESS:
        share = min(max(check.observed, 0.01), 0.99)
        spread, off = share * (1 - share), check.predicted - check.observed
    elif check.predicted > 0 and check.observed > 0:
        spread, off = 1.0, math.log(check.predicted / check.observed)
    else:
        return 1.0
    return min(max(spread / max(off * off, 1e-12), 1.0), SAMPLES_MAX)


def _reach(count: float) -> float:
    return float(msprt.boundary(np.asarray(count), LEVEL))


def _mean(statistics: ArmStatistics, metric: str) -> tuple[float, float, float] | None:
    """Mean and interval; None where too little is known."""
    if metric not in statistics.metrics or statistics.metrics[metric].count < COUNT_MIN:
        return None
    sums = statistics.metrics[metric]
    mean = sums.sum / sums.count
    variance = max(sums.sum_squares / sums.count - mean * mean, 0.0)
    if metric == SUCCESS:  # where all or none succeed there is some variance nevertheless
        share = (sums.sum + 1) / (sums.count + 2)
        variance = share * (1 - share)
    half = _reach(sums.count) * math.sqrt(variance / sums.count)
    least, most = (0.0, 1.0) if metric == SUCCESS else (-math.inf, math.inf)
    return mean, max(mean - half, least), min(mean + half, most)


def _quantile(statistics: ArmStatistics) -> tuple[float, float, float] | None:
    """P95 of the times of those that succeeded, and its interval; None where too little is known."""
    sketch = Sketch.of(statistics.times)
    if sketch.weight < COUNT_MIN:
        return None
    half = _reach(sketch.weight) * math.sqrt(SHARE * (1 - SHARE) / sketch.weight)
    lower, middle, upper = sketch.quantiles([SHARE - half, SHARE, min(SHARE + half, 1.0)])
    return middle, lower * (1 - ACCURACY), upper * (1 + ACCURACY)


def doubted(
    profiles: Sequence[profile_pb2.PerformanceProfile],
    chains: Sequence[chain_pb2.Chain],
    worth: Mapping[str, float],
) -> Sequence[profile_pb2.PerformanceProfile]:
    """Answer profiles that count for no more measurements than the doubted chains that use them are worth."""
    limits: dict[tuple[tuple[str, ...], str, str], float] = {}
    for chain in chains:
        for step in chain.steps if chain.name in worth else ():
            profile = (tuple(step.steps), step.engine, step.version)
            limits[profile] = min(limits.get(profile, math.inf), worth[chain.name])
    answer = []
    for known in profiles:
        limit = limits.get((tuple(known.steps), known.engine, known.version), math.inf)
        if known.provision.weight > limit:
            less = profile_pb2.PerformanceProfile()
            less.CopyFrom(known)
            less.provision.weight = limit
            answer.append(less)
        else:
            answer.append(known)
    return answer
