"""From a rule that forecasts points to a model behind the port; the peers are made with it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.gaps import whole
from controlplane.forecast.models.local import Local
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Series, Window

Points = Callable[[Series, int], FloatArray]
"""Forecasts shape (horizon,) from a series without gaps."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A rule of the port from a rule that forecasts points; can be pickled."""

    points: Points

    def __call__(self, window: Window, horizon: int) -> FloatArray:
        """Forecast; shape (horizon, len(LEVELS))."""
        return np.repeat(self.points(whole(window.series), horizon)[:, None], len(LEVELS), axis=1)


def peer(name: str, points: Points) -> Local:
    """Make a model of a peer's rule."""
    return Local(name, 1, Repeated(points))


def last_value(series: Series, horizon: int) -> FloatArray:
    """Answer that the last value goes on: what a scaler does that has no forecast."""
    return np.full(horizon, series.values[-1])
