"""From a centre and how far one is usually off, to quantiles. Pure; numpy only.

The local models call it. Nothing here clips to bounds: `local.each` does, for all of them alike.
"""

from statistics import NormalDist

import numpy as np

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray

NORMAL: FloatArray = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
"""The quantiles of the standard normal distribution at `LEVELS`."""


def gaussian(centre: FloatArray, sigma: FloatArray) -> FloatArray:
    """Answer normal quantiles around a centre.

    Args:
        centre: Shape (horizon,).
        sigma: Standard deviations, shape (horizon,).

    Returns:
        Shape (horizon, len(LEVELS)).
    """
    return centre[:, None] + sigma[:, None] * NORMAL


def deviation(changes: FloatArray) -> float:
    """Answer the root mean square of what was measured among errors; 0 where there is none."""
    here = changes[np.isfinite(changes)]
    return float(np.sqrt(np.mean(here**2))) if here.size else 0.0


PRIOR = 0.1
"""How far demand moves in a step before anything is known, as a share of itself."""

PRIOR_COUNTS = 2
"""As many changes as that prior is worth."""


def change(values: FloatArray) -> float:
    """Answer how far demand moves in a step, drawn towards the prior while little was seen.

    Args:
        values: The newest values, NaN where there is a gap; at least one is measured.
    """
    measured = values[np.isfinite(values)]
    moves = np.diff(measured)
    prior = PRIOR * float(np.mean(np.abs(measured)))
    return float(np.sqrt((moves @ moves + PRIOR_COUNTS * prior**2) / (len(moves) + PRIOR_COUNTS)))


def cautious(values: FloatArray, horizon: int) -> FloatArray:
    """Forecast from next to nothing: the last value, ever less sure; shape (horizon, len(LEVELS))."""
    measured = values[np.isfinite(values)]
    grown = np.sqrt(np.arange(1.0, horizon + 1))
    return gaussian(np.full(horizon, measured[-1]), change(measured) * grown)
