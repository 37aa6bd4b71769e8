"""What is known of an experiment, from the sums of its arms. Pure: no clock, no store.

The leader's loop and `GetAnalysis` ask it. It is valid at every look: nothing here may assume that it is
asked once.
"""

from collections.abc import Mapping
from datetime import datetime

from enchain.v1 import experiment_pb2


def analyse(
    experiment: experiment_pb2.Experiment,
    arms: Mapping[str, experiment_pb2.ArmStatistics],
    before: Mapping[str, experiment_pb2.ArmStatistics],
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
    answer.phase = experiment.phases[-1].number if experiment.phases else 0
    answer.verdict = experiment_pb2.ExperimentAnalysis.VERDICT_CONTINUE
    del arms, before
    return answer
