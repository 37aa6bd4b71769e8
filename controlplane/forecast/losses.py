"""Pinball losses of quantile forecasts, summed as the combination weighs them. Pure.

The spread, the weights, the guard and the drift rules call it. What was not measured counts as nothing.
"""

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.quantiles import LEVELS, SCORED
from controlplane.forecast.series import FloatArray

LEAST = 1e-9
"""Least loss, in units of the series' mean, so that logarithms and ratios stay finite."""


def pinball(quantiles: FloatArray, actuals: FloatArray, levels: FloatArray) -> FloatArray:
    """Answer the pinball loss summed over levels.

    Args:
        quantiles: Shape (..., len(levels)).
        actuals: Shape (...).
        levels: The levels of the quantiles.
    """
    off = actuals[..., None] - quantiles
    loss: FloatArray = np.maximum(off * levels, off * (levels - 1.0)).sum(axis=-1)
    return loss


def mean_loss(quantiles: FloatArray, actuals: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Answer the loss over the scored levels, mean over the known steps, shape (...); 0 where none is known.

    Args:
        quantiles: Shape (..., steps, levels).
        actuals: Shape (..., steps), finite where it is known.
        known: Likewise.
    """
    each = pinball(quantiles[..., SCORED], actuals, LEVELS[SCORED])
    kept = np.where(known & np.isfinite(each), each, 0.0)
    mean: FloatArray = kept.sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return mean
