"""What is known of an experiment, from the sums of its arms. Pure: no clock, no store.

The leader's loop and `GetAnalysis` ask it. It is valid at every look: nothing here may assume that it is
asked once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from controlplane.experiments import arms as arm_sums
from controlplane.experiments import corrections, findings, measures, shares, terms, verdict
from controlplane.experiments.contrasts import NOTHING, Contrast, alike, of_means, of_quantiles, of_shares
from controlplane.experiments.cuped import Sums, adjusted
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
    looked: list[tuple[MetricAnalysis, Contrast]] = []
    for metric, role in measures.asked(experiment):
        level = terms.significance(experiment) / tests[role]
        contrasts, removed = _contrasts(
            metric, now_sums, past_sums, level, guards=role == MetricAnalysis.ROLE_GUARDRAIL
        )
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


def _contrasts(
    metric: ExperimentMetric,
    arms: Sequence[ArmStatistics],
    before: Sequence[ArmStatistics],
    level: float,
    *,
    guards: bool,
) -> tuple[list[Contrast], float]:
    """Compare each arm with the control, and answer the share of the variance that the time before took away.

    A guardrail's test is one-sided, so the interval that agrees with it has twice the level.
    """
    name = metric.metric
    interval = min(2 * level, 0.5) if guards else level
    sums = [arm_sums.sums_of(arm, measures.sums(name)) for arm in arms]
    plain = [each.moments() for each in sums]
    if measures.kind(name) is measures.Kind.QUANTILE:
        bins = arm_sums.histograms(arms)
        values = [arm_sums.quantile_of(arm, measures.QUANTILE) for arm in arms]
        return [
            of_quantiles(
                (bins[0], other), (values[0], value), alike(plain[0], each), measures.QUANTILE, level
            )
            for other, value, each in zip(bins[1:], values[1:], plain[1:], strict=True)
        ], 0.0
    if measures.kind(name) is measures.Kind.SHARE:
        return [of_shares(plain[0], each, level, interval) for each in plain[1:]], 0.0
    past: list[Sums] = [arm_sums.sums_of(arm, name) for arm in before]
    moments, removed = adjusted(sums, past)
    return [of_means(moments[0], each, level, interval) for each in moments[1:]], removed
