"""The two models of the Predictive Horizontal Pod Autoscaler, with the values of its own examples.

Method: its user guide, docs/user-guide/models.md. It forecasts one interval ahead; here the same fit is
carried further. It scales replicas, of which there are at least none, so nothing is below 0.
"""

import numpy as np

from benchmarks.forecasting.peers.points import last_value, peer
from controlplane.forecast.models.local import Local
from controlplane.forecast.series import FloatArray, Series

STORED_VALUES = 6
"""How many values the line is laid through."""

SMOOTHING = 0.9
"""Alpha, beta and gamma alike: they are set by hand, never fitted."""

STORED_SEASONS = 4
"""How many days of the past are kept."""


def line(series: Series, horizon: int) -> FloatArray:
    """Lay a line of least squares through the last values and carry it on; shape (horizon,)."""
    kept = series.values[-STORED_VALUES:]
    if len(kept) < 2:  # noqa: PLR2004 - a line has two points
        return last_value(series, horizon)
    slope, level = np.polyfit(np.arange(len(kept)), kept, 1)
    return np.asarray(level + slope * (len(kept) - 1 + np.arange(1, horizon + 1)), dtype=np.float64)


def holt_winters(series: Series, horizon: int) -> FloatArray:
    """Smooth level, trend and day additively (Winters 1960); shape (horizon,).

    It begins with the first day's mean and profile, and the mean change to the second. It needs two days.
    """
    day = series.day
    kept = series.values[-STORED_SEASONS * day :]
    if len(kept) < 2 * day:
        return last_value(series, horizon)
    level = float(kept[:day].mean())
    trend = float((kept[day : 2 * day] - kept[:day]).mean()) / day
    season = kept[:day] - level
    for index in range(day, len(kept)):
        value, phase = float(kept[index]), index % day
        expected = level + trend
        new = SMOOTHING * (value - season[phase]) + (1 - SMOOTHING) * expected
        season[phase] = SMOOTHING * (value - expected) + (1 - SMOOTHING) * season[phase]
        trend = SMOOTHING * (new - level) + (1 - SMOOTHING) * trend
        level = new
    ahead = np.arange(1, horizon + 1)
    return np.asarray(level + ahead * trend + season[(len(kept) + ahead - 1) % day], dtype=np.float64)


def Linear() -> Local:  # noqa: N802 - models are asked for by the names of classes
    """Make its linear regression."""
    return peer("PhpaLinear", line)


def HoltWinters() -> Local:  # noqa: N802 - likewise
    """Make its Holt-Winters."""
    return peer("PhpaHoltWinters", holt_winters)
