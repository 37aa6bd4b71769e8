"""The port that every forecasting model is behind.

The worker, the backtest and the conformance suite call models through it; `controlplane/forecast/models` and
`controlplane/forecast/lstm` implement it. A model that passes the suite can be combined.

Two phases, since fitting is dear and forecasting is frequent: `fit` learns from windows on a schedule;
`forecast` of what it answers takes new data in and is cheap. Local models fit each series by itself, global
ones learn over all of them and forecast series they never saw.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from controlplane.forecast.series import FloatArray, Window

Told = Callable[[float, str], None]
"""Called with progress in 0..1 and what is going on, in words."""


def silent(progress: float, activity: str) -> None:
    """Tell nobody."""
    del progress, activity


class Fitted(Protocol):
    """A model that has learned. Can be pickled, except where its model says otherwise."""

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """Forecast from the end of each window.

        The windows may have more data than what was learned from, and series may be new. It never looks
        beyond a window's end, and the same call gives the same answer.

        Args:
            windows: All of one grid step.
            horizon: Steps ahead, from 1.

        Returns:
            Shape (len(windows), horizon, len(LEVELS)): finite, never descending along the last axis, never
            below 0; a series that the model cannot forecast is NaN throughout, never in part.
        """


@runtime_checkable
class StandsOn(Protocol):
    """A global model that has learned, and stands on what a local one learned of each series.

    Attributes:
        stands_on: Name of the local model.
    """

    @property
    def stands_on(self) -> str:
        """Name of the local model."""

    def standing(self, fits: Sequence[Fitted]) -> Fitted:
        """Answer itself, standing on these."""


class Forecaster(Protocol):
    """A model.

    Attributes:
        name: As it is shown: `SeasonalNaive`, `LSTM`.
        needs: The fewest values, gaps not counted, that it forecasts a series from.
    """

    @property
    def name(self) -> str:
        """As it is shown."""

    @property
    def needs(self) -> int:
        """The fewest values it forecasts from."""

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> Fitted:
        """Learn.

        Args:
            windows: What may be learned from, all of one grid step. Too short ones are left out; no error.
            horizon: The furthest step ahead that will be asked for.
            seed: All randomness comes from it.
            told: Progress.
        """
