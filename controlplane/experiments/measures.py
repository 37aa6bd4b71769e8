"""What each metric of an experiment is: a share, a mean or a quantile, and which way is better. Pure.

`analysis.py` and `verdict.py` ask it.
"""

from collections.abc import Iterator
from enum import Enum

from enchain.v1 import experiment_pb2

ExperimentMetric = experiment_pb2.ExperimentMetric
MetricAnalysis = experiment_pb2.MetricAnalysis


class Kind(Enum):
    """How a metric is compared."""

    SHARE = "share"
    MEAN = "mean"
    QUANTILE = "quantile"


QUANTILE = 0.95
"""Of `p95_time`."""

_KINDS = {"success": Kind.SHARE, "compensation": Kind.SHARE, "p95_time": Kind.QUANTILE}
_SUMS = {"p95_time": "time"}


def kind(metric: str) -> Kind:
    """Answer how a metric is compared."""
    return _KINDS.get(metric, Kind.MEAN)


def sums(metric: str) -> str:
    """Answer which sums tell how alike operations of a unit are, and but for quantiles also its mean."""
    return _SUMS.get(metric, metric)


def sign(metric: ExperimentMetric) -> int:
    """Answer 1 where higher is better, -1 where lower is."""
    if metric.better:
        return 1 if metric.better == ExperimentMetric.BETTER_HIGHER else -1
    return 1 if metric.metric == "success" else -1


def asked(
    experiment: experiment_pb2.Experiment,
) -> Iterator[tuple[ExperimentMetric, "MetricAnalysis.Role.ValueType"]]:
    """Answer each metric with its role: the goal first, then guardrails, then what else is reported."""
    if experiment.goal.metric:
        yield experiment.goal, MetricAnalysis.ROLE_GOAL
    for metric in experiment.guardrails:
        yield metric, MetricAnalysis.ROLE_GUARDRAIL
    for metric in experiment.metrics:
        yield metric, MetricAnalysis.ROLE_METRIC
