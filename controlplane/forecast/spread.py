"""How much wider or narrower each member's distribution should have been. Pure.

`controlplane.forecast.combination` calls it before it weighs the members, so that a good centre is not
held against its poor width. The distance of each quantile from the median is multiplied by one factor per
member, series and horizon bucket: the one with the least loss over past origins, shrunk to the factor pooled
over series. The median itself never moves.
"""

import numpy as np

from controlplane.forecast.losses import pinball
from controlplane.forecast.past import Past
from controlplane.forecast.quantiles import LEVELS, MEDIAN
from controlplane.forecast.series import FloatArray

FACTORS: FloatArray = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0])
"""What is tried; between neighbours the least loss is interpolated."""

_ONE = 7
_JUDGED = [2, 4, 8, 10]
"""The levels .1, .3, .7 and .9: enough to find a width, at a third of the cost."""

_FLAT = 1e-12
"""A curve that bends less has no bottom of its own."""

_PULL = 1e-3
"""What a factor e times off one costs, as a share of the loss, growing as the square of the logarithm: it
decides where nothing else does."""


def stretched(quantiles: FloatArray, factors: FloatArray) -> FloatArray:
    """Answer distributions with each distance from the median multiplied, never below 0.

    Args:
        quantiles: Shape (..., levels).
        factors: Shape (...), broadcast against it.
    """
    median = quantiles[..., MEDIAN : MEDIAN + 1]
    return np.maximum(median + (quantiles - median) * factors[..., None], 0.0)


def factors(past: Past, prior: float) -> tuple[FloatArray, FloatArray]:
    """Answer the factor of each member now, and for each past origin the one that the others give.

    Args:
        past: One horizon bucket.
        prior: How many origins the pooled curve counts as.

    Returns:
        Shapes (n, m) and (n, k, m).
    """
    curves = _curves(past)
    at_one = curves[..., _ONE].sum(axis=1)
    counted = past.count[:, None] > 0
    each = curves / np.maximum(at_one, np.finfo(float).tiny)[:, None, :, None]
    each *= np.where(counted, past.count[:, None], 0.0)[:, None, :, None]
    own = each.sum(axis=1)
    heard = own[..., _ONE] > 0
    weight = np.where(heard, past.count[:, None], 0.0).sum(axis=0)
    shared = np.where(heard[..., None], own, 0.0).sum(axis=0) / np.maximum(weight, 1.0)[:, None]
    base = own + prior * (shared + _PULL * np.log(FACTORS) ** 2)
    return _least(base), _least(base[:, None] - each)


def _curves(past: Past) -> FloatArray:
    """Answer the loss of each origin for each factor, weighted by age, (n, k, m, factors)."""
    median = past.forecasts[..., MEDIAN]
    away = past.forecasts[..., _JUDGED] - median[..., None]
    off = past.actuals[:, :, None] - median
    share = past.known / np.maximum(past.known.sum(axis=-1, keepdims=True), 1)
    count = past.age[:, :, None] * past.usable
    out = np.empty((*count.shape, len(FACTORS)))
    for index, factor in enumerate(FACTORS):
        loss = pinball(away * factor, off, LEVELS[_JUDGED])
        out[..., index] = (loss * share[:, :, None]).sum(axis=-1) * count
    return out


def _least(curves: FloatArray) -> FloatArray:
    """Answer where each curve is least, by a parabola through the three points around it, in logarithms."""
    middle = np.clip(curves.argmin(axis=-1), 1, len(FACTORS) - 2)
    logs = np.log(FACTORS)
    left, here, right = (
        np.take_along_axis(curves, (middle + by)[..., None], axis=-1)[..., 0] for by in (-1, 0, 1)
    )
    before, after = logs[middle] - logs[middle - 1], logs[middle + 1] - logs[middle]
    rise, fall = here - right, here - left
    below = before * rise + after * fall
    shift = 0.5 * (before**2 * rise - after**2 * fall) / np.where(np.abs(below) > _FLAT, below, 1.0)
    found = logs[middle] - np.where(np.abs(below) > _FLAT, shift, 0.0)
    best: FloatArray = np.exp(np.clip(found, logs[middle - 1], logs[middle + 1]))
    return best
