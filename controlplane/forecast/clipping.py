"""What no forecast may exceed, and which members are not listened to, with the reason. Pure.

`controlplane.forecast.combination` calls it before it weighs. Every rule that takes a member's weight away is
here, and says so in a code for programs and words for people. The naive models are never dropped for
being poor: they are the bar.
"""

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.losses import LEAST
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.rules import NAIVE, SEASONAL, Rules
from controlplane.forecast.series import FloatArray


def ceiling(highest: FloatArray, upper: FloatArray, rules: Rules) -> FloatArray:
    """Answer what no forecast of each series may exceed, shape (n,): its bound, or far beyond what was seen.

    Args:
        highest: The largest value seen; where nothing was, or only zeros, the bound alone holds.
        upper: The bound, infinite where there is none.
        rules: Constants.
    """
    seen = np.where(np.isfinite(highest) & (highest > 0), highest * rules.clip, np.inf)
    return np.minimum(seen, upper)


def exploded(forecasts: FloatArray, top: FloatArray) -> NDArray[np.bool_]:
    """Say whose median leaves what is credible in more than a tenth of the steps, shape (n, m).

    Args:
        forecasts: Shape (n, m, horizon, levels), before they are clipped.
        top: Shape (n,): the ceiling.
    """
    beyond = forecasts[..., MEDIAN] > top[:, None, None]
    return np.asarray(beyond.mean(axis=-1) > EXPLODED_SHARE)


EXPLODED_SHARE = 0.1
"""Of a member's steps, how many may exceed the ceiling before it is not believed at all."""


def poor(
    losses: FloatArray, count: FloatArray, members: tuple[str, ...], rules: Rules
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Say who lost far more than the seasonal naive in a horizon bucket, and how many times as much.

    Args:
        losses: Shape (n, m): weighted over the past origins, in units of the series' mean.
        count: Shape (n,): effective number of origins.
        members: Names.
        rules: Constants.

    Returns:
        Two arrays of shape (n, m).
    """
    if SEASONAL not in members:
        return np.zeros(losses.shape, dtype=np.bool_), np.ones(losses.shape)
    bar = losses[:, members.index(SEASONAL)][:, None]
    ratio = np.maximum(losses, LEAST) / np.maximum(bar, LEAST)
    spared = np.array([name in {SEASONAL, NAIVE} for name in members])
    return (ratio > rules.bad) & (count[:, None] >= rules.bad_after) & ~spared, ratio
