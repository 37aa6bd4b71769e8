"""Analyses over time: few enough to be stored, the first and the newest among them, evenly spread."""

from itertools import pairwise

from controlplane.experiments.looks import BYTES_MAX, LOOKS_MAX, added
from enchain.state.codec import encode
from enchain.v1 import experiment_pb2

Looks = experiment_pb2.ExperimentLooks
Metric = experiment_pb2.MetricAnalysis


def analysis(number: int, arms: int = 2) -> experiment_pb2.ExperimentAnalysis:
    made = experiment_pb2.ExperimentAnalysis(phase=1)
    made.time.FromSeconds(1_800_000_000 + 5 * number)
    for arm in range(arms):
        made.metrics.add(
            arm=f"arm-{arm}", metric="success", role=Metric.ROLE_GOAL, operations=number, estimate=1 / 3,
            difference=0.1 / (number + 1), lower=-1 / 7, upper=1 / 7,
            finding=Metric.FINDING_OPEN if arm else Metric.FINDING_CONTROL,
        )  # fmt: skip
        made.metrics.add(arm=f"arm-{arm}", metric="time", role=Metric.ROLE_METRIC)
    return made


def after(count: int, arms: int = 2) -> Looks:
    looks = Looks()
    for number in range(count):
        looks = added(looks, analysis(number, arms))
    return looks


def test_a_look_keeps_the_goal_of_the_arms_beside_the_control() -> None:
    (look,) = after(1).looks

    assert [(goal.arm, goal.metric) for goal in look.goals] == [("arm-1", "success")]
    assert look.goals[0].upper == 0.142857
    assert look.phase == 1


def test_many_looks_are_thinned_evenly_and_keep_first_and_newest() -> None:
    times = [look.time.seconds for look in after(1000).looks]

    assert len(times) == LOOKS_MAX
    assert (times[0], times[-1]) == (1_800_000_000, 1_800_000_000 + 5 * 999)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) <= 3 * (5 * 999 / LOOKS_MAX)


def test_looks_of_many_arms_fit_a_value() -> None:
    looks = after(150, arms=8)

    assert len(encode(looks)) <= BYTES_MAX
    assert len(looks.looks) > 20
