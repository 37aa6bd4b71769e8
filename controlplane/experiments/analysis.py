"""What is known of an experiment, from the sums of its arms. Pure: no clock, no store.

The leader's loop and `GetAnalysis` ask it. It is valid at every look: nothing here may assume that it is
asked once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from controlplane.experiments import arms as arm_sums
from controlplane.experiments import corrections, findings, measures, shares, tails, terms, verdict
from controlplane.experiments.clusters import Moments
from controlplane.experiments.contrasts import (
    NOTHING,
    Contrast,
    alike,
    few_units,
    of_means,
    of_quantiles,
    of_shares,
)
from controlplane.experiments.cuped import adjusted
from enchain.v1 import experiment_pb2

ArmStatistics = experiment_pb2.ArmStatistics
ExperimentMetric = experiment_pb2.ExperimentMetric
MetricAnalysis = experiment_pb2.MetricAnalysis


def analyse(
    experiment: experiment_pb2.Experiment,
    arms: Mapping[str, ArmStatistics],
    before: Mapping[str, ArmStatistics],
    now: datetime,
) -> experiment_pb2.ExperimentAnalysis:
    """Answer what is known of the newest phase.

    Args:
        experiment: With its arms, the control first, and its phases.
        arms: What ended in each arm in the newest phase; an arm without statistics may be missing.
        before: The same of the time before the experiment, by the arm that a key would get; may be empty.
        now: The time of the look, in UTC.
    """
    answer = experiment_pb2.ExperimentAnalysis(experiment=experiment.name)
    answer.time.FromDatetime(now)
    if not experiment.phases or not experiment.arms:
        answer.verdict = experiment_pb2.ExperimentAnalysis.VERDICT_CONTINUE
        answer.advice = "Start it: nothing was measured yet."
        return answer
    now_sums = [arms.get(arm.name, ArmStatistics()) for arm in experiment.arms]
    past_sums = [before.get(arm.name, ArmStatistics()) for arm in experiment.arms]
    phase = terms.phase_of(experiment, now_sums)
    answer.phase = phase.number
    answer.sample_ratio.CopyFrom(shares.sample_ratio(experiment, phase, now_sums))
    tests = corrections.tests(experiment)
    again = shares.repeating(experiment, phase, now_sums)
    looked: list[tuple[MetricAnalysis, Contrast]] = []
    for metric, role in measures.asked(experiment):
        level = terms.significance(experiment) / tests[role]
        guards = role == MetricAnalysis.ROLE_GUARDRAIL
        look = _Look(metric.metric, now_sums, past_sums, level, repeating=again, guards=guards)
        contrasts, removed = look.contrasts()
        for place, arm in enumerate(experiment.arms):
            contrast = contrasts[place - 1] if place else None
            found = findings.finding(experiment, metric, role, now_sums, place, contrast, tests[role])
            found.arm, found.variance_removed = arm.name, removed
            looked.append((found, contrast or NOTHING))
    answer.metrics.extend(found for found, _ in looked)
    goals = [pair for pair in looked if pair[0].role == MetricAnalysis.ROLE_GOAL]
    terms.plan(answer, experiment, phase, now_sums, goals, now)
    verdict.conclude(experiment, answer)
    return answer


@dataclass(frozen=True, slots=True)
class _Look:
    """One metric of all arms. A guardrail's test is one-sided: its interval has twice the level."""

    metric: str
    arms: Sequence[ArmStatistics]
    before: Sequence[ArmStatistics]
    level: float
    repeating: bool
    guards: bool

    def contrasts(self) -> tuple[list[Contrast], float]:
        """Compare each arm with the control, and answer how much variance the time before took away."""
        interval = min(2 * self.level, 0.5) if self.guards else self.level
        kind = measures.kind(self.metric)
        sums = [arm_sums.sums_of(arm, measures.sums(self.metric)) for arm in self.arms]
        moments, removed = [each.moments(repeating=self.repeating) for each in sums], 0.0
        if kind is measures.Kind.QUANTILE:
            return self._quantiles(moments), removed
        if kind is measures.Kind.MEAN and self.repeating:
            past = [arm_sums.sums_of(arm, self.metric) for arm in self.before]
            moments, removed = adjusted(sums, past)
        compare = of_shares if kind is measures.Kind.SHARE else of_means
        return [compare(moments[0], each, self.level, interval) for each in moments[1:]], removed

    def _quantiles(self, moments: Sequence[Moments]) -> list[Contrast]:
        bins = arm_sums.histograms(self.arms)
        values = [arm_sums.quantile_of(arm, measures.QUANTILE) for arm in self.arms]
        return [
            of_quantiles((bins[0], other), (values[0], value), likeness, measures.QUANTILE, self.level)
            if not few_units(moments[0], each)
            else NOTHING
            for other, value, each, likeness in zip(
                bins[1:], values[1:], moments[1:], self._likenesses(moments), strict=True
            )
        ]

    def _likenesses(self, moments: Sequence[Moments]) -> list[tails.Likeness]:
        """How alike the longest operations of one unit are, for each arm but the control."""
        if not self.repeating:
            return [tails.NONE] * (len(moments) - 1)
        control, *others = tails.arrays([arm.tails for arm in self.arms])
        return [
            tails.likeness(
                control, each, measures.QUANTILE, (moments[0], mean), np.asarray(alike(moments[0], mean))
            )
            for each, mean in zip(others, moments[1:], strict=True)
        ]
