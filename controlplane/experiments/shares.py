"""The check of an experiment's sample ratio: what is counted, and what arms should have. Pure.

`analysis.py` asks it; `ratio.py` holds the test.
"""

from collections.abc import Sequence

import numpy as np

from controlplane.experiments import msprt, ratio
from controlplane.experiments.arms import sums_of, units_seen
from controlplane.experiments.sums import CLUSTERS
from enchain.v1 import experiment_pb2

ArmStatistics = experiment_pb2.ArmStatistics
SampleRatio = experiment_pb2.SampleRatio

REPEATING = 1.5
"""Where counts by cluster vary so many times more than chance, operations share units."""


def sample_ratio(
    experiment: experiment_pb2.Experiment, phase: experiment_pb2.Phase, arms: Sequence[ArmStatistics]
) -> SampleRatio:
    """Answer whether arms got their shares.

    Counted are operations where each has a unit of its own, and else buckets that were seen, since operations
    of one unit come together.
    """
    expected = _expected(experiment, phase)
    counts = np.array([float(arm.operations) for arm in arms])
    if repeating(experiment, phase, arms):
        counts = np.array([float(units_seen(arm)) for arm in arms])
    answer = SampleRatio(p_value=1.0)
    total = counts.sum()
    if total > 0 and expected.min() > 0:
        answer.p_value = float(msprt.p_value(ratio.log_evidence(counts, expected)))
        answer.alarm = answer.p_value < ratio.ALARM
    for arm, count, share in zip(experiment.arms, counts, expected, strict=True):
        observed = count / total if total > 0 else 0.0
        answer.arms.add(arm=arm.name, units=int(count), expected=share, observed=observed)
    return answer


def _expected(experiment: experiment_pb2.Experiment, phase: experiment_pb2.Phase) -> msprt.Floats:
    """The arms' shares by their ranges of buckets, or by their weights where there are no ranges."""
    lengths = {each.arm: max(each.end - each.start, 0) for each in phase.ranges}
    wanted = np.array([float(lengths.get(arm.name, 0)) for arm in experiment.arms])
    if wanted.sum() <= 0:
        wanted = np.array([max(arm.weight, 0.0) for arm in experiment.arms])
    return wanted / max(float(wanted.sum()), 1e-9)


def repeating(
    experiment: experiment_pb2.Experiment, phase: experiment_pb2.Phase, arms: Sequence[ArmStatistics]
) -> bool:
    """Whether operations may share a unit: by what the unit is, or by how they come."""
    if experiment.unit not in {"", "resource"}:
        return True
    ranges = {each.arm: each for each in phase.ranges}
    for arm, kept in zip(experiment.arms, arms, strict=True):
        if arm.name in ranges:
            buckets = np.arange(ranges[arm.name].start, ranges[arm.name].end)
            exposed = np.bincount(buckets % CLUSTERS, minlength=CLUSTERS).astype(np.float64)
            if ratio.dispersion(sums_of(kept, "success").counts, exposed) > REPEATING:
                return True
    return False
