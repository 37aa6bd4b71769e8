"""The naive models: the last value goes on; yesterday, or last week, comes again.

They are the bars that every other model is measured against, so they do exactly what `Naive` and
`SeasonalNaive` of statsforecast do, with its normal intervals: the root mean square of the in-sample errors,
times the root of how many steps, or seasons, lie between. They need numpy alone, and never
guess a season that was not seen.
"""

import numpy as np

from controlplane.forecast.gaps import whole
from controlplane.forecast.models.local import Local
from controlplane.forecast.models.spread import deviation, gaussian
from controlplane.forecast.series import FloatArray, Window


def last_value(window: Window, horizon: int) -> FloatArray:
    """Forecast that the last measured value goes on; shape (horizon, len(LEVELS))."""
    series = whole(window.series)
    sigma = deviation(np.diff(window.series.values))
    return gaussian(np.full(horizon, series.values[-1]), sigma * np.sqrt(np.arange(1.0, horizon + 1)))


def last_season(window: Window, horizon: int, season: int) -> FloatArray | None:
    """Forecast that the last `season` steps come again; None where there are not as many."""
    series = whole(window.series)
    if len(series) < season:
        return None
    ahead = np.arange(horizon)
    measured = window.series.values
    sigma = deviation(measured[season:] - measured[:-season])
    return gaussian(series.values[-season:][ahead % season], sigma * np.sqrt(ahead // season + 1.0))


def last_day(window: Window, horizon: int) -> FloatArray | None:
    """Forecast that the last day comes again."""
    return last_season(window, horizon, window.series.day)


def last_week(window: Window, horizon: int) -> FloatArray | None:
    """Forecast that the last week comes again."""
    return last_season(window, horizon, window.series.week)


def Naive() -> Local:  # noqa: N802 - the registry asks for models by the names of classes
    """Make the model by which the last value goes on. Without a second value it says no spread."""
    return Local("Naive", 1, last_value)


def SeasonalNaive() -> Local:  # noqa: N802 - likewise
    """Make the model by which the last day comes again.

    It needs one whole day of history, however fine the grid, and answers NaN before: it does not fall back
    to a shorter season. `needs` is the least that any grid asks for.
    """
    return Local("SeasonalNaive", 1, last_day)


def WeeklyNaive() -> Local:  # noqa: N802 - likewise
    """Make the model by which the last week comes again: `SeasonalNaive` with seven days."""
    return Local("WeeklyNaive", 7, last_week)
