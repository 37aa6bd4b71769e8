"""What may be measured in an experiment, and which way is better. Pure.

`controlplane.catalog.experiment_rules` calls it. What a metric is made of stands in
`controlplane/experiments`.
"""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from enchain.chains.errors import Violation
from enchain.chains.names import FIELD, violation_of
from enchain.v1.experiment_pb2 import ExperimentMetric

HIGHER, LOWER = ExperimentMetric.BETTER_HIGHER, ExperimentMetric.BETTER_LOWER

DIRECTIONS: Mapping[str, ExperimentMetric.Better.ValueType] = MappingProxyType(
    {"success": HIGHER, "time": LOWER, "p95_time": LOWER, "cost": LOWER, "compensation": LOWER}
)
"""Metrics whose better way is known."""

OUTPUTS = "outputs."
TOLERANCE_MAX = 1.0


def with_direction(metric: ExperimentMetric) -> None:
    """Fill in which way is better, where that is known and nothing is said."""
    if not metric.better:
        metric.better = DIRECTIONS.get(metric.metric, ExperimentMetric.BETTER_UNSPECIFIED)


def metric_faults(metric: ExperimentMetric, field: str) -> Iterator[Violation]:
    """Answer what is wrong with one metric."""
    if metric.metric.startswith(OUTPUTS):
        if fault := violation_of(FIELD, metric.metric.removeprefix(OUTPUTS), f"{field}.metric"):
            yield fault
        if metric.better not in (HIGHER, LOWER):
            told = f"say which way {metric.metric} is better: higher or lower"
            yield Violation(f"{field}.better", told, "REQUIRED")
    elif metric.metric not in DIRECTIONS:
        told = f"“{metric.metric}” is not measured; write {', '.join(DIRECTIONS)}, or outputs.NAME"
        yield Violation(f"{field}.metric", told, "UNKNOWN_METRIC")
    elif metric.better != DIRECTIONS[metric.metric]:
        better = "higher" if DIRECTIONS[metric.metric] == HIGHER else "lower"
        yield Violation(f"{field}.better", f"{metric.metric} is better {better}", "CONTRADICTION")


def guardrail_faults(metric: ExperimentMetric, field: str) -> Iterator[Violation]:
    """Answer what is wrong with the tolerance of a guardrail."""
    if not (math.isfinite(metric.tolerance) and 0 <= metric.tolerance <= TOLERANCE_MAX):
        told = f"the tolerance {metric.tolerance:g} is not between 0 and {TOLERANCE_MAX:g}"
        yield Violation(f"{field}.tolerance", told, "OUT_OF_RANGE")
