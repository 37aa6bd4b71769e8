"""Theta (Assimakopoulos & Nikolopoulos 2000), with seasons that never look ahead and no normal intervals.

The registry makes it. The series less its season is the mean of two lines: the level, by simple exponential
smoothing, and half of the drift; a season that was seen carries the drift in itself. Which season, which
scale (added or multiplied) and which smoothing factor is decided per step ahead by replaying the past (see
`correction`). It learns nothing beforehand, needs numpy alone, and must stay cheap: a few hundredths of a
second for two weeks of five minutes.
"""

import numpy as np

from controlplane.forecast.gaps import whole
from controlplane.forecast.models.correction import Scale, Usual, around, scales, steady
from controlplane.forecast.models.levels import usual
from controlplane.forecast.models.local import Local
from controlplane.forecast.models.spread import cautious
from controlplane.forecast.series import FloatArray, Series, Window

STEADY = 0.9
"""Weight of a day relative to the next where the season is steady."""

RECENT = 0.5
"""Likewise where it changes from day to day."""

WEEKLY = 0.7
"""Weight of a week relative to the next."""


def theta(window: Window, horizon: int) -> FloatArray | None:
    """Forecast one series; shape (horizon, len(LEVELS))."""
    series = whole(window.series)
    measured = np.isfinite(window.series.values[-len(series) :]).astype(np.float64)
    ideas = [idea for scale in scales(series.values) for idea in _ideas(series, scale, horizon)]
    told = around(series.values, measured, series.day, horizon, ideas)
    if told is None:
        drift = half_drift(series.values, horizon)[len(series) :]
        return cautious(series.values, horizon) + drift[:, None]
    return told


def _ideas(series: Series, scale: Scale, horizon: int) -> list[Usual]:
    """Answer what may be usual on a scale, as far as the history allows."""
    values, n, day = scale.into(series.values), len(series), series.day
    if day == 1 or n < 2 * day + day // 8:
        return [steady(scale, half_drift(values, horizon), lasts=True)]
    long, short = (usual(values, day, decay, horizon) for decay in (STEADY, RECENT))
    flat = steady(scale, np.zeros(n + horizon), lasts=True)
    ideas = [flat, steady(scale, long, day), steady(scale, short, day)]
    if n < 2 * series.week:
        return ideas
    weekly = usual(values, series.week, WEEKLY, horizon)
    return [*ideas, steady(scale, weekly, series.week), steady(scale, (long + weekly) / 2, day)]


def half_drift(values: FloatArray, horizon: int) -> FloatArray:
    """Answer the line of half the drift, through 0 at the end; shape (n + horizon,).

    The drift counts as far as it stands out of the noise, and goes on for half as long as it was seen.
    """
    n = len(values)
    at = np.arange(n) - (n - 1) / 2
    power = float(at @ at)
    if n < 3 or power == 0.0:  # noqa: PLR2004 - a line through two points has no noise to be judged by
        return np.zeros(n + horizon)
    slope = float(at @ values) / power
    left = values - values.mean() - slope * at
    noise = float(left @ left) / (n - 2) / power
    slope *= max(0.0, 1.0 - noise / slope**2) if slope else 0.0
    line: FloatArray = slope / 2 * np.minimum(np.arange(n + horizon) - (n - 1.0), n / 2)
    return line


def Theta() -> Local:  # noqa: N802 - the registry asks for models by the names of classes
    """Make the model."""
    return Local("Theta", 3, theta)
