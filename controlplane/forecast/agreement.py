"""How much less a member counts that stands apart from the others. Pure.

`controlplane.forecast.combination` calls it per horizon bucket, for what is forecast now and for each past
origin alike. Weights say how a member did before; a member that breaks down now shows itself only by being
far from where the others are. It knows nothing of what came: the median of the members is the measure.
"""

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.past import Past
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.rules import Rules
from controlplane.forecast.series import FloatArray

_LOW, _HIGH = 2, 10
_FEWEST = 3
"""Of two members nobody stands apart."""

_NOTHING = 1e-3
"""An origin after which all was below this share of the most that came after any says nothing of members."""


def agreeing(
    forecasts: FloatArray, weights: FloatArray, heard: NDArray[np.bool_], trust: FloatArray, rules: Rules
) -> FloatArray:
    """Answer weights of which those who stand apart have less.

    A member's distance is that of its median from the median of the members' medians, mean over the steps. It
    is measured in what is usual: half the 10-90 % band of a member in the middle, and the distance of one. At
    `Rules.apart` times that a weight is halved, where the past is trusted entirely.

    Args:
        forecasts: Shape (..., m, steps, levels); anything but NaN where a member is not heard.
        weights: Shape (..., m), summing to one or all zero.
        heard: Shape (..., m): whose forecasts are credible, whatever their weights.
        trust: Shape (n,), the first axis of the weights: as `informed` answers it.
        rules: Constants.

    Returns:
        Like the weights.
    """
    medians = np.moveaxis(forecasts[..., MEDIAN], -1, -2)
    centre = _middle(medians, heard[..., None, :])
    away = np.abs(medians - centre).mean(axis=-2)
    half = (forecasts[..., _HIGH] - forecasts[..., _LOW]).mean(axis=-1) / 2
    usual = _middle(half, heard) + _middle(away, heard)
    ratio = away / np.where(usual > 0, usual, 1.0) / rules.apart
    kept = (1.0 + ratio**2) ** -trust.reshape(-1, *(1,) * (weights.ndim - 1))
    judged = (usual > 0) & heard & (heard.sum(axis=-1, keepdims=True) >= _FEWEST)
    left = np.where(judged, weights * kept, weights)
    total = left.sum(axis=-1, keepdims=True)
    share: FloatArray = left / np.where(total > 0, total, 1.0)
    return share


def informed(past: Past, rules: Rules) -> FloatArray:
    """Answer how far members have shown what they can, shape (n,), 0 to below 1.

    Origins after which nothing came, of a series that was idle, do not count: as long as there are no others
    nobody knows who stands apart because it is wrong.

    Args:
        past: One horizon bucket.
        rules: Constants.
    """
    came = np.where(past.known, np.abs(past.actuals), 0.0).max(axis=-1, initial=0.0)
    most = came.max(axis=-1, keepdims=True, initial=0.0)
    count = ((came > _NOTHING * most) & (past.age > 0)).sum(axis=-1)
    trust: FloatArray = count / (count + rules.apart_prior)
    return trust


def _middle(values: FloatArray, heard: NDArray[np.bool_]) -> FloatArray:
    """Answer the lower median over the last axis of what counts, that axis kept with one place."""
    count = heard.sum(axis=-1, keepdims=True)
    ranked = np.sort(np.where(heard, values, np.inf), axis=-1)
    place = np.broadcast_to(np.maximum(count - 1, 0) // 2, (*values.shape[:-1], 1))
    found = np.take_along_axis(ranked, place, axis=-1)
    return np.where(count > 0, found, 0.0)
