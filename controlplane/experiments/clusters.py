"""Means of arms, and how surely they are known, from sums by cluster. Pure.

`analysis.py` and `cuped.py` call it. Operations of one unit (one tenant, say) are alike, so the variance of a
mean may not be taken from operations as if each told something new. Units fall into clusters by their hash,
so clusters are independent, and the mean of an arm is a ratio of two sums over clusters, whose variance is
that of S - mN, to first order (the delta method: Deng, Knoblich and Lu, Applying the delta method in metric
analytics, KDD 2018; Cochran, Sampling techniques, 1977, chapter 6). Of this variance and that of operations
the larger is taken: operations of one unit are alike, not opposed, so less than that of operations is chance.

Variances from a few hundred clusters are themselves uncertain: scores are Student's t, and `normal_score`
answers the normal score that is as rare (Wallace, Bounds on normal approximations to Student's and the
chi-square distributions, 1959).
"""

from dataclasses import dataclass

import numpy as np

from controlplane.experiments.msprt import Floats


@dataclass(frozen=True, slots=True)
class Moments:
    """A metric of an arm. Arrays of one shape, which may be that of one number.

    Attributes:
        count: Operations.
        mean: In the metric's unit.
        variance: Of the mean, not of an operation.
        size: Operations that would tell as much if each were a unit of its own.
        freedom: Degrees of freedom of the variance.
    """

    count: Floats
    mean: Floats
    variance: Floats
    size: Floats
    freedom: Floats


def moments(
    count: Floats, total: Floats, squares: Floats, counts: Floats, totals: Floats, *, repeating: bool
) -> Moments:
    """Answer the moments of sums.

    Args:
        count: Operations.
        total: Sum of their values.
        squares: Sum of the squares.
        counts: Operations by cluster, which is the last axis.
        totals: Sums by cluster.
        repeating: Whether units come again; else operations tell more surely how much they vary.
    """
    number = np.maximum(np.asarray(count, dtype=np.float64), 1)
    mean = total / number
    plain = np.maximum(squares / number - mean**2, 0) / np.maximum(number - 1, 1)
    if not repeating:
        return Moments(np.asarray(count, dtype=np.float64), mean, plain, number, np.maximum(number - 1, 0.5))
    clustered, freedom = spread(totals - mean[..., None] * counts, counts)
    variance = np.maximum(plain, clustered)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.where(variance > 0, plain / variance, 1.0)
    return Moments(np.asarray(count, dtype=np.float64), mean, variance, number * alike, freedom)


def spread(deviations: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Answer the variance of a mean by deviations of cluster sums, and its degrees of freedom.

    Clusters of unequal size count as fewer (Kish, Survey sampling, 1965).
    """
    number = np.maximum(counts.sum(axis=-1), 1)
    effective = number**2 / np.maximum((counts.astype(np.float64) ** 2).sum(axis=-1), 1)
    freedom = np.maximum(effective - 1, 0.5)
    return (deviations**2).sum(axis=-1) / number**2 * effective / freedom, freedom


def normal_score(score: Floats, freedom: Floats) -> Floats:
    """Answer the normal score that is as rare as a score of Student's distribution."""
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    return np.asarray(np.sign(score) * factor * np.sqrt(freedom * np.log1p(score**2 / freedom)))


def student_score(score: Floats, freedom: Floats) -> Floats:
    """Answer what `normal_score` maps to a score."""
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    exponent = np.minimum((score / factor) ** 2 / freedom, 700.0)
    return np.asarray(np.sign(score) * np.sqrt(freedom * np.expm1(exponent)))
