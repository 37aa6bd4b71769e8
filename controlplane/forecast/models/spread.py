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
