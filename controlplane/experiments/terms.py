"""An experiment's own terms with their defaults, and when they will be met. Pure.

`analysis.py`, `findings.py` and `verdict.py` ask it.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from controlplane.experiments import arms as arm_sums
from controlplane.experiments import measures, power
from controlplane.experiments.contrasts import Contrast
from controlplane.experiments.corrections import tests
from enchain.v1 import experiment_pb2

SIGNIFICANCE = 0.05
MINIMUM_EFFECT = 0.05
TIME_LIMIT = timedelta(days=14)
YEAR = timedelta(days=365)

ArmStatistics = experiment_pb2.ArmStatistics
MetricAnalysis = experiment_pb2.MetricAnalysis


def significance(experiment: experiment_pb2.Experiment) -> float:
    """Answer the chance of a false conclusion, over all looks."""
    return experiment.significance if 0 < experiment.significance < 1 else SIGNIFICANCE


def minimum_effect(experiment: experiment_pb2.Experiment) -> float:
    """Answer the smallest difference worth knowing."""
    return experiment.minimum_effect if experiment.minimum_effect > 0 else MINIMUM_EFFECT


def time_limit(experiment: experiment_pb2.Experiment) -> timedelta:
    """Answer how long it may go on after its start."""
    return experiment.time_limit.ToTimedelta() if experiment.HasField("time_limit") else TIME_LIMIT


def scale(metric: str, control: ArmStatistics) -> float:
    """Answer what differences of a metric are relative to: 1, since they are relative, but for shares.

    Five percent of a share of 98 % would be nearly all failures, and of one of 2 % a tenth of a point, though
    both are the same. So a share's differences are relative to its standard deviation: 5 % are 2.5 points
    about 50 %, and .7 points about 2 % or 98 %.
    """
    if measures.kind(metric) is not measures.Kind.SHARE:
        return 1.0
    share = min(max(arm_sums.mean_of(control, metric), 0.0), 1.0)
    return math.sqrt(share * (1 - share))


def phase_of(experiment: experiment_pb2.Experiment, arms: Sequence[ArmStatistics]) -> experiment_pb2.Phase:
    """Answer the phase that statistics are of, or the newest."""
    numbers = {arm.phase for arm in arms if arm.phase}
    for phase in experiment.phases:
        if phase.number in numbers:
            return phase
    return experiment.phases[-1]


def plan(
    answer: experiment_pb2.ExperimentAnalysis,
    experiment: experiment_pb2.Experiment,
    phase: experiment_pb2.Phase,
    arms: Sequence[ArmStatistics],
    goals: Sequence[tuple[MetricAnalysis, Contrast]],
    now: datetime,
) -> None:
    """Write how much is to come until the goal is decided, and what can be found until the time limit."""
    answer.remaining_operations = -1
    usable = [pair for pair in goals if pair[1].enough and math.isfinite(pair[1].upper - pair[1].lower)]
    passed = _passed(phase, arms, now)
    number = max((arm.operations for arm in arms), default=0)
    if not usable or number <= 0:
        return
    level = significance(experiment) / tests(experiment)[MetricAnalysis.ROLE_GOAL]
    unit = scale(experiment.goal.metric, arms[0])
    smallest, times = 0.0, 0.0
    for found, contrast in usable:
        error = power.error((contrast.upper - contrast.lower) / 2, contrast.size, level)
        smallest = max(smallest, power.detectable(error, contrast.size, _growth(experiment, passed), level))
        if found.finding == MetricAnalysis.FINDING_OPEN:
            times = max(times, power.needed(error, contrast.size, minimum_effect(experiment) * unit, level))
    answer.detectable_effect = smallest / _relative_to(experiment.goal.metric, arms[0])
    if not math.isfinite(times):
        return
    answer.remaining_operations = math.ceil(max(times - 1, 0) * number)
    if passed > timedelta():
        answer.remaining_time.FromTimedelta(min(passed * min(max(times - 1, 0), 1e4), YEAR * 10))


def _relative_to(metric: str, control: ArmStatistics) -> float:
    """The control's share, where differences are in points."""
    if measures.kind(metric) is not measures.Kind.SHARE:
        return 1.0
    return max(arm_sums.mean_of(control, metric), 1e-9)


def _passed(phase: experiment_pb2.Phase, arms: Sequence[ArmStatistics], now: datetime) -> timedelta:
    """How long the phase has lasted."""
    starts = [arm.first_time.ToDatetime(UTC) for arm in arms if arm.HasField("first_time")]
    if phase.HasField("start_time"):
        starts = [phase.start_time.ToDatetime(UTC)]
    return max(now - min(starts), timedelta()) if starts else timedelta()


def _growth(experiment: experiment_pb2.Experiment, passed: timedelta) -> float:
    """How many times the operations of now there will be at the time limit."""
    return max(time_limit(experiment) / passed, 1.0) if passed > timedelta() else 1.0
