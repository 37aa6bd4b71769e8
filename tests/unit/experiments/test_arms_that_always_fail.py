"""The plainest harm there is, an arm that always fails beside one that never does, is seen soon."""

import pytest

from controlplane.experiments.analysis import analyse
from controlplane.experiments.outcomes import OutcomeReader
from enchain.v1.experiment_pb2 import Experiment, ExperimentAnalysis, ExperimentMetric
from tests.harness.outbox import START
from tests.harness.outcomes import FAILED, SUCCEEDED, assigned, draft


def running() -> Experiment:
    made = draft()
    made.state = Experiment.STATE_RUNNING
    made.goal.metric = "success"
    made.goal.better = ExperimentMetric.BETTER_HIGHER
    made.guardrails.add(metric="success", better=ExperimentMetric.BETTER_HIGHER, tolerance=0.005)
    made.phases[0].start_time.FromDatetime(START)
    made.start_time.FromDatetime(START)
    return made


@pytest.mark.parametrize("failing", ["quick", "control"])
def test_it_is_seen_within_a_hundred_operations_of_each_arm(failing: str) -> None:
    reader, arms = OutcomeReader(), {}
    for arm in ("control", "quick"):
        entries = [
            assigned(number * 97 % 5000, arm=arm, state=FAILED if arm == failing else SUCCEEDED)
            for number in range(100)
        ]
        subject = f"site/faster.1.{arm}"
        arms[arm] = reader.fold(reader.empty(subject), entries)

    found = analyse(running(), arms, {}, START)

    harmful = failing == "quick"
    expected = ExperimentAnalysis.VERDICT_HARMFUL if harmful else ExperimentAnalysis.VERDICT_BETTER
    assert (found.verdict, found.arm) == (expected, "quick")
