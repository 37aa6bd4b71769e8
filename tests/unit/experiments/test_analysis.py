"""What is concluded from the sums of arms, and said of it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from controlplane.experiments.analysis import analyse
from controlplane.experiments.sums import CLUSTERS, sums_of
from controlplane.profiles.sketch import Sketch
from enchain.v1 import experiment_pb2
from enchain.v1.experiment_pb2 import ArmStatistics, Experiment, ExperimentAnalysis, MetricAnalysis

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=2)


def experiment(names: Iterable[str] = ("default", "other"), **fields: object) -> Experiment:
    """Arms of equal weight; the goal is the cost, and success is guarded with half a point of tolerance."""
    made = Experiment(name="workloads/site/experiments/a", unit="resource")
    listed = list(names)
    phase = made.phases.add(number=1, coverage=100)
    phase.start_time.FromDatetime(START)
    for place, name in enumerate(listed):
        made.arms.add(name=name, weight=100 / len(listed))
        share = 10_000 // len(listed)
        phase.ranges.add(arm=name, start=place * share, end=(place + 1) * share)
    made.goal.metric = "cost"
    made.guardrails.add(metric="success", tolerance=0.005)
    made.MergeFrom(Experiment(**fields))  # type: ignore[arg-type]  # fields are named by each test
    return made


def arm(
    place: int = 0,
    number: int = 4000,
    failing: float = 0.02,
    cost: float = 2.0,
    time: float = 20.0,
    of: int = 2,
    tenants: int = 0,
) -> ArmStatistics:
    """What ended in an arm: costs are even about their mean, times log-normal about theirs."""
    random = np.random.default_rng(place)
    share = 10_000 // of
    units = random.integers(place * share, (place + 1) * share, tenants or number)
    buckets = units[np.arange(number) % len(units)]
    levels = (
        random.normal(0, 0.3, len(units))[np.arange(number) % len(units)] if tenants else np.zeros(number)
    )
    succeeded = np.arange(number) >= failing * number
    random.shuffle(succeeded)
    costs = cost * np.exp(levels) * random.uniform(0.5, 1.5, number)
    times = time * random.lognormal(0, 0.5, number)
    made = ArmStatistics(phase=1, operations=number)
    clusters = buckets % CLUSTERS
    made.metrics["success"].CopyFrom(sums_of(zip(succeeded.astype(float), clusters, strict=True)))
    made.metrics["cost"].CopyFrom(sums_of(zip(costs, clusters, strict=True)))
    made.metrics["time"].CopyFrom(sums_of(zip(times[succeeded], clusters[succeeded], strict=True)))
    sketch = Sketch()
    for each in times[succeeded]:
        sketch.add(float(each))
    made.times.CopyFrom(sketch.message())
    seen = bytearray(1250)
    for bucket in buckets:
        seen[bucket // 8] |= 1 << bucket % 8
    made.buckets_seen = bytes(seen)
    return made


def look(arms: dict[str, ArmStatistics], **fields: object) -> ExperimentAnalysis:
    return analyse(experiment(arms, **fields), arms, {}, NOW)


def found(analysis: ExperimentAnalysis, name: str, metric: str) -> MetricAnalysis:
    return next(each for each in analysis.metrics if (each.arm, each.metric) == (name, metric))


def test_a_cheaper_arm_is_taken() -> None:
    analysis = look({"default": arm(0), "other": arm(1, cost=1.6)})
    assert analysis.verdict == ExperimentAnalysis.VERDICT_BETTER
    assert analysis.arm == "other"
    assert analysis.advice.startswith("Switch to other: cost of other is 19.1 (")
    cost = found(analysis, "other", "cost")
    assert cost.lower < -0.2 < cost.upper < 0
    assert cost.p_value < 0.05
    assert cost.finding == MetricAnalysis.FINDING_BETTER
    assert found(analysis, "default", "cost").finding == MetricAnalysis.FINDING_CONTROL


def test_the_control_is_kept_where_the_other_costs_more() -> None:
    analysis = look({"default": arm(0), "other": arm(1, cost=2.6)})
    assert analysis.verdict == ExperimentAnalysis.VERDICT_BETTER
    assert analysis.arm == "default"
    assert analysis.advice.startswith("Keep default: cost of other is")


def test_arms_that_differ_by_less_than_is_worth_knowing_are_equal() -> None:
    analysis = look({"default": arm(0), "other": arm(1)}, minimum_effect=0.1)
    assert analysis.verdict == ExperimentAnalysis.VERDICT_EQUAL
    assert analysis.remaining_operations == 0


def test_where_little_is_known_it_goes_on_and_says_for_how_long() -> None:
    analysis = look({"default": arm(0, 300), "other": arm(1, 300, cost=2.02)}, minimum_effect=0.03)
    assert analysis.verdict == ExperimentAnalysis.VERDICT_CONTINUE
    assert 1000 < analysis.remaining_operations < 20_000
    assert analysis.remaining_time.ToTimedelta() > timedelta(days=2)
    assert f"{analysis.remaining_operations:,} more operations" in analysis.advice
    assert 0 < analysis.detectable_effect < 0.1


def test_a_guardrail_stands_before_the_goal() -> None:
    analysis = look({"default": arm(0), "other": arm(1, failing=0.05, cost=1.0)})
    assert analysis.verdict == ExperimentAnalysis.VERDICT_HARMFUL
    assert analysis.arm == "other"
    assert "success of other is 3.0" in analysis.advice
    assert found(analysis, "other", "success").finding == MetricAnalysis.FINDING_WORSE


def test_what_is_tolerated_is_no_harm() -> None:
    arms = {"default": arm(0), "other": arm(1, failing=0.05)}
    tolerant = experiment(arms)
    tolerant.guardrails[0].tolerance = 0.04
    assert analyse(tolerant, arms, {}, NOW).verdict != ExperimentAnalysis.VERDICT_HARMFUL


def test_wrong_shares_come_before_all_else() -> None:
    analysis = look({"default": arm(0, 4000), "other": arm(1, 3300, failing=0.2)})
    assert analysis.sample_ratio.alarm
    assert analysis.sample_ratio.p_value < 0.001
    assert analysis.verdict == ExperimentAnalysis.VERDICT_INVALID
    assert "instead of 50.0%" in analysis.advice


def test_few_tenants_with_many_operations_are_few_units() -> None:
    arms = {"default": arm(0, 4000, tenants=40), "other": arm(1, 3300, tenants=40)}
    analysis = look(arms, unit="tenant")
    assert [each.units for each in analysis.sample_ratio.arms] == [40, 40]
    assert not analysis.sample_ratio.alarm
    cost = found(analysis, "other", "cost")
    alone = found(look({"default": arm(0), "other": arm(1)}), "other", "cost")
    assert cost.upper - cost.lower > 2 * (alone.upper - alone.lower)


def test_operations_that_share_units_are_seen_though_units_should_not_repeat() -> None:
    analysis = look({"default": arm(0, 4000, tenants=40), "other": arm(1, 3300, tenants=40)})
    assert [each.units for each in analysis.sample_ratio.arms] == [40, 40]
    assert not analysis.sample_ratio.alarm


def test_the_time_before_takes_variance_away_from_tenants() -> None:
    arms = {"default": arm(0, 4000, tenants=300), "other": arm(1, 4000, tenants=300)}
    made = experiment(arms, unit="tenant")
    plain = found(analyse(made, arms, {}, NOW), "other", "cost")
    less = found(analyse(made, arms, arms, NOW), "other", "cost")
    assert plain.variance_removed == 0
    assert less.variance_removed > 0.9
    assert less.upper - less.lower < 0.5 * (plain.upper - plain.lower)


def test_quantiles_are_compared_by_sketches() -> None:
    arms = {"default": arm(0), "other": arm(1, time=14.0)}
    made = experiment(arms)
    made.goal.metric = "p95_time"
    analysis = analyse(made, arms, {}, NOW)
    times = found(analysis, "other", "p95_time")
    assert times.lower <= -0.3 <= times.upper < 0
    assert times.estimate == pytest.approx(14 * np.exp(0.5 * 1.645), rel=0.1)
    assert analysis.arm == "other"


def test_more_arms_and_metrics_make_p_values_larger() -> None:
    two = found(look({"default": arm(0), "other": arm(1, cost=1.9)}), "other", "cost")
    arms = {name: arm(place, of=4, cost=1.9 if place == 1 else 2.0) for place, name in enumerate("abcd")}
    four = found(look(arms), "b", "cost")
    assert 1 > four.p_value > 2 * two.p_value
    assert four.upper - four.lower > two.upper - two.lower


@pytest.mark.parametrize(
    "arms",
    [
        {},
        {"default": ArmStatistics()},
        {"default": arm(0, 3), "other": arm(1, 3)},
        {"default": arm(0, 500)},
    ],
    ids=["nothing", "empty", "few", "one arm"],
)
def test_too_little_is_said_to_be_too_little(arms: dict[str, ArmStatistics]) -> None:
    analysis = analyse(experiment(), arms, {}, NOW)
    assert found(analysis, "other", "cost").finding == MetricAnalysis.FINDING_TOO_FEW
    if len(arms) != 1 or "other" in arms:
        assert analysis.verdict == ExperimentAnalysis.VERDICT_CONTINUE
        assert analysis.remaining_operations == -1


def test_no_failure_at_all_is_no_error() -> None:
    analysis = look({"default": arm(0, failing=0.0), "other": arm(1, failing=0.0)})
    success = found(analysis, "other", "success")
    assert success.difference == 0
    assert success.lower < 0 < success.upper
    assert success.p_value == 1


def test_values_that_never_vary_are_no_error() -> None:
    same = sums_of((3.0, place % CLUSTERS) for place in range(500))
    arms = {"default": arm(0, 500), "other": arm(1, 500)}
    for each in arms.values():
        each.metrics["cost"].CopyFrom(same)
    cost = found(look(arms), "other", "cost")
    assert (cost.difference, cost.lower, cost.upper, cost.p_value) == (0, 0, 0, 1)


def test_outputs_are_better_as_the_experiment_says() -> None:
    arms = {"default": arm(0), "other": arm(1, cost=1.6)}
    for each in arms.values():
        each.metrics["outputs.score"].CopyFrom(each.metrics["cost"])
    made = experiment(arms)
    made.metrics.add(metric="outputs.score", better=experiment_pb2.ExperimentMetric.BETTER_HIGHER)
    analysis = analyse(made, arms, {}, NOW)
    assert found(analysis, "other", "outputs.score").finding == MetricAnalysis.FINDING_WORSE


def test_a_draft_has_nothing_to_say() -> None:
    analysis = analyse(Experiment(name="workloads/site/experiments/a"), {}, {}, NOW)
    assert analysis.verdict == ExperimentAnalysis.VERDICT_CONTINUE
    assert not analysis.metrics


def test_sums_that_were_spoilt_by_hand_break_nothing() -> None:
    arms = {"default": arm(0, 500), "other": arm(1, 500)}
    arms["other"].metrics["cost"].sum = float("nan")
    arms["default"].metrics["success"].count = -3
    assert look(arms).verdict != ExperimentAnalysis.VERDICT_UNSPECIFIED


def test_an_arm_that_always_fails_is_stopped_after_a_dozen() -> None:
    analysis = look({"default": arm(0, 15), "other": arm(1, 15, failing=1.0)})
    assert analysis.verdict == ExperimentAnalysis.VERDICT_HARMFUL
    assert found(analysis, "other", "cost").finding == MetricAnalysis.FINDING_TOO_FEW


def test_of_a_few_tenants_nothing_is_said() -> None:
    arms = {"default": arm(0, 4000, tenants=8), "other": arm(1, 4000, failing=0.1, tenants=8)}
    analysis = look(arms, unit="tenant")
    assert {each.finding for each in analysis.metrics if each.arm == "other"} == {
        MetricAnalysis.FINDING_TOO_FEW
    }
