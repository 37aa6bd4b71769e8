"""The quantiles that every forecast consists of, and what keeps them in order. Pure.

Models, combination, calibration and the service share `LEVELS`. An array of forecasts has the shape
(n series, horizon, len(LEVELS)).
"""

import numpy as np

from controlplane.forecast.series import FloatArray

LEVELS: FloatArray = np.array([0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
LEVELS.setflags(write=False)

MEDIAN = 6
"""Where the median is in `LEVELS`."""

SCORED = slice(2, 11)
"""The levels .1 to .9, over which losses are taken."""


def ordered(quantiles: FloatArray) -> FloatArray:
    """Answer quantiles that never cross, by sorting (Chernozhukov et al. 2010: it never makes them worse)."""
    return np.sort(quantiles, axis=-1)


def bounded(quantiles: FloatArray, lower: FloatArray | float, upper: FloatArray | float) -> FloatArray:
    """Answer quantiles within bounds, broadcast over the leading axes; NaN stays."""
    return np.clip(quantiles, lower, upper)


def usable(quantiles: FloatArray) -> bool:
    """Say whether a forecast may be used: finite, and nowhere descending."""
    return bool(np.isfinite(quantiles).all() and (np.diff(quantiles, axis=-1) >= 0).all())
