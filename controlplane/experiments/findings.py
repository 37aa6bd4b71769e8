"""What is found of one arm in one metric: better, worse, equal, open, or too few. Pure.

`analysis.py` asks it, of the contrast with the control.
"""

import math
from collections.abc import Sequence

import numpy as np

from controlplane.experiments import arms as arm_sums
from controlplane.experiments import guardrails, measures, msprt, terms
from controlplane.experiments.contrasts import Contrast, holds
from enchain.v1 import experiment_pb2

ArmStatistics = experiment_pb2.ArmStatistics
MetricAnalysis = experiment_pb2.MetricAnalysis


def finding(
    experiment: experiment_pb2.Experiment,
    metric: experiment_pb2.ExperimentMetric,
    role: "MetricAnalysis.Role.ValueType",
    arms: Sequence[ArmStatistics],
    place: int,
    contrast: Contrast | None,
    tests: int,
) -> MetricAnalysis:
    """Answer what is found; the arm's name is left to the caller.

    Args:
        experiment: For its level, and the smallest difference worth knowing.
        metric: Which one.
        role: What it is asked for.
        arms: The sums of all arms.
        place: Of the arm, from 0.
        contrast: Of the arm and the control; None for the control.
        tests: How many tests the metric's family has.
    """
    arm = arms[place]
    found = MetricAnalysis(metric=metric.metric, role=role, estimate=estimate(metric.metric, arm))
    found.operations = (
        max(arm.metrics[measures.sums(metric.metric)].count, 0) if _has(arm, metric.metric) else 0
    )
    if contrast is None:
        found.finding, found.p_value = MetricAnalysis.FINDING_CONTROL, 1.0
        return found
    found.difference, found.lower, found.upper = contrast.difference, contrast.lower, contrast.upper
    sign = measures.sign(metric)
    evidence = contrast.log_e
    if role == MetricAnalysis.ROLE_GUARDRAIL:
        evidence = guardrails.log_worse(contrast, sign)
    found.p_value = float(msprt.p_value(np.asarray(evidence), tests))
    level = terms.significance(experiment) / tests
    if not contrast.enough:
        found.finding = MetricAnalysis.FINDING_TOO_FEW
    elif role == MetricAnalysis.ROLE_GUARDRAIL:
        found.finding = _guarded(contrast, sign, metric.tolerance, level)
    else:
        found.finding = _compared(contrast, sign, _region(experiment, metric.metric, arms[0]), level)
    return found


def estimate(metric: str, arm: ArmStatistics) -> float:
    """Answer a metric of an arm, in its unit; 0 where nothing was measured."""
    if measures.kind(metric) is measures.Kind.QUANTILE:
        return arm_sums.quantile_of(arm, measures.QUANTILE)
    return arm_sums.mean_of(arm, metric)


def _has(arm: ArmStatistics, metric: str) -> bool:
    return measures.sums(metric) in arm.metrics


def _region(experiment: experiment_pb2.Experiment, metric: str, control: ArmStatistics) -> float:
    """The difference below which arms are as good as equal: for shares, in points."""
    effect = terms.minimum_effect(experiment)
    return effect * terms.scale(metric, control)


def _compared(
    contrast: Contrast, sign: int, region: float, level: float
) -> "MetricAnalysis.Finding.ValueType":
    if holds(contrast.log_e, level) and contrast.difference:
        better = contrast.difference * sign > 0
        return MetricAnalysis.FINDING_BETTER if better else MetricAnalysis.FINDING_WORSE
    if -region < contrast.lower and contrast.upper < region:
        return MetricAnalysis.FINDING_EQUAL
    return MetricAnalysis.FINDING_OPEN


def _guarded(
    contrast: Contrast, sign: int, tolerance: float, level: float
) -> "MetricAnalysis.Finding.ValueType":
    """Equal is what is surely not worse by more than is tolerated."""
    if guardrails.stands(contrast, sign, tolerance, level):
        return MetricAnalysis.FINDING_WORSE
    better = contrast.log_above if sign > 0 else contrast.log_below
    if holds(better, level):
        return MetricAnalysis.FINDING_BETTER
    worst = contrast.lower if sign > 0 else -contrast.upper
    return (
        MetricAnalysis.FINDING_EQUAL
        if math.isfinite(worst) and worst > -tolerance
        else MetricAnalysis.FINDING_OPEN
    )
