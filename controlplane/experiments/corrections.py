"""Levels of several tests at once. Pure.

`analysis.py` asks it. Three families are kept apart, since they answer three questions: the goal, which
decides; the guardrails, which stop; all other metrics, which are only reported. Within a family the level is
divided by the number of tests, metrics times arms (Bonferroni; Dunn, Multiple comparisons among means, 1961).
It costs little for the few tests that there are, holds at whatever moments arms are stopped and however
metrics depend on each other, and intervals agree with findings and hold together. Procedures that reject
more, such as those of Holm or of Benjamini and Hochberg, have no intervals that do.
"""

from collections.abc import Mapping

from enchain.v1 import experiment_pb2


def tests(experiment: experiment_pb2.Experiment) -> Mapping[int, int]:
    """Answer how many tests each family has; at least 1."""
    arms = max(len(experiment.arms) - 1, 1)
    return {
        experiment_pb2.MetricAnalysis.ROLE_GOAL: arms,
        experiment_pb2.MetricAnalysis.ROLE_METRIC: arms * max(len(experiment.metrics), 1),
        experiment_pb2.MetricAnalysis.ROLE_GUARDRAIL: arms * max(len(experiment.guardrails), 1),
    }
