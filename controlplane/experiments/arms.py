"""The sums of arms as arrays, and as histograms of durations. Pure.

`analysis.py` makes them of what was folded. Statistics may have been edited by hand: what does not fit counts
as nothing.
"""

import math
from collections.abc import Sequence

import numpy as np

from controlplane.experiments.cuped import Sums
from controlplane.experiments.msprt import Floats
from controlplane.experiments.sums import CLUSTERS, clusters_of
from controlplane.profiles.sketch import Sketch
from enchain.v1 import experiment_pb2

ArmStatistics = experiment_pb2.ArmStatistics


def sums_of(arm: ArmStatistics, metric: str) -> Sums:
    """Answer the sums of a metric; zeros where there are none."""
    if metric not in arm.metrics:
        nothing = np.zeros(CLUSTERS)
        return Sums(np.asarray(0.0), np.asarray(0.0), np.asarray(0.0), nothing, nothing)
    kept = arm.metrics[metric]
    counts, totals = clusters_of(kept)
    count, total, squares = np.nan_to_num([float(max(kept.count, 0)), kept.sum, kept.sum_squares])
    return Sums(count, total, squares, np.array(counts, dtype=np.float64), np.array(totals, dtype=np.float64))


def mean_of(arm: ArmStatistics, metric: str) -> float:
    """Answer the mean of a metric; 0 where there are none."""
    if metric not in arm.metrics or arm.metrics[metric].count <= 0:
        return 0.0
    mean = arm.metrics[metric].sum / arm.metrics[metric].count
    return mean if math.isfinite(mean) else 0.0


def histograms(arms: Sequence[ArmStatistics]) -> list[Floats]:
    """Answer durations by bin, over one range of bins for all arms, those too short to tell from 0 first."""
    sketches = [Sketch.of(arm.times) for arm in arms]
    indices = [index for sketch in sketches for index in sketch.bins]
    first, last = (min(indices), max(indices)) if indices else (0, 0)
    answer = [np.zeros(last - first + 2) for _ in sketches]
    for histogram, sketch in zip(answer, sketches, strict=True):
        histogram[0] = sketch.zeros
        for index, weight in sketch.bins.items():
            histogram[index - first + 1] = weight
    return answer


def quantile_of(arm: ArmStatistics, share: float) -> float:
    """Answer a quantile of the durations in seconds; 0 where there are none."""
    return Sketch.of(arm.times).quantile(share)


def units_seen(arm: ArmStatistics) -> int:
    """Answer how many buckets were seen."""
    return int.from_bytes(arm.buckets_seen, "big").bit_count()
