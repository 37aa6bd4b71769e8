"""The reactive envelope: demand stays within what the last half hour saw, or strays from it as it did.

The registry makes it; it is the lowest rung of the ladder, and forecasts from a single value. The greatest
of the last half hour is its .9 quantile before anything is added. It must stay without seasons, without
fits, and with numpy alone.
"""

import numpy as np

from controlplane.forecast.models.local import Local
from controlplane.forecast.models.spread import NORMAL, change
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import DAY, MINUTE, FloatArray, Window

RECENT_SECONDS = 30 * MINUTE
"""What was seen within it is the envelope."""

CHANGES = 24
"""Steps from which it is said how far demand strays."""

TOP = 0.9
"""The level at which the greatest recent value stands."""


def envelope(window: Window, horizon: int) -> FloatArray | None:
    """Forecast one series; shape (horizon, len(LEVELS))."""
    series = window.series
    measured = np.flatnonzero(np.isfinite(series.values))
    values = series.values[: measured[-1] + 1]
    recent = values[-max(1, RECENT_SECONDS // series.step_seconds) :]
    seen = np.quantile(recent[np.isfinite(recent)], np.minimum(1.0, LEVELS / TOP))
    stray = change(values[-CHANGES - 1 :]) * np.sqrt(np.arange(0.0, horizon))
    day = values[-max(CHANGES, DAY // series.step_seconds) :]
    # Demand has a range: it does not stray for ever. Half of the day's range is the most on one side.
    most = max(float(np.nanmax(day) - np.nanmin(day)) / 2, change(values[-CHANGES - 1 :]))
    told: FloatArray = seen + np.minimum(stray, most)[:, None] * NORMAL
    return told


def Envelope() -> Local:  # noqa: N802 - the registry asks for models by the names of classes
    """Make the model."""
    return Local("Envelope", 1, envelope)
