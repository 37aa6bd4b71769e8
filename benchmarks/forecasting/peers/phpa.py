"""The two models of the Predictive Horizontal Pod Autoscaler, with the values of its examples and tuned.

Method: its user guide, docs/user-guide/models.md, and algorithms/ of jthomperoo/
predictive-horizontal-pod-autoscaler (commit c91d060). A line of least squares through the last evaluations,
read at the time looked ahead to; additive Holt-Winters as statsmodels has it, its factors set by hand, never
fitted, and begun by the heuristic that is its default there (Hyndman et al. 2008, 2.6.1). Its answers are
those of statsmodels, but for the last step of the first day, where that reads another season.

Readings, each the better for it: Holt-Winters says one interval ahead; here the same fit is carried further.
It scales replicas, rounded up, of which there are at least none; here demand is not rounded, and nothing is
below 0. With less than two days it would say 0; here the last value goes on. How many values and which
factors is left to its user, so that beside the values of its examples there are those that did best on the
days before.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np

from benchmarks.forecasting.peers.points import Points, last_value, peer
from controlplane.forecast.models.local import Local
from controlplane.forecast.series import FloatArray, Series

Factors = tuple[float, float, float]
"""Alpha, beta and gamma: for level, trend and season."""

STORED_VALUES = 6
"""How many values the line is laid through in its examples."""

EXAMPLE: Factors = (0.9, 0.9, 0.9)
"""The factors of its examples."""

STORED_SEASONS = 4
"""How many days of the past Holt-Winters keeps."""

STORED = (2, 6, 12, 24, 48)
FACTORS: Sequence[Factors] = tuple(product((0.1, 0.3, 0.6, 0.9), (0.0, 0.1, 0.9), (0.1, 0.5, 0.9)))
"""What is tried in tuning."""

TRIED = 6
"""From so many earlier origins, a horizon apart."""

LEVELLED = 10
"""Through so many values of the first trend a line is laid that says level and trend to begin with."""


def line(series: Series, horizon: int, stored: int = STORED_VALUES) -> FloatArray:
    """Lay a line of least squares through the last values and carry it on; shape (horizon,)."""
    kept = series.values[-stored:]
    if len(kept) < 2:  # noqa: PLR2004 - a line has two points
        return last_value(series, horizon)
    slope, level = np.polyfit(np.arange(len(kept)), kept, 1)
    return np.asarray(level + slope * (len(kept) - 1 + np.arange(1, horizon + 1)), dtype=np.float64)


def holt_winters(series: Series, horizon: int, factors: Factors = EXAMPLE) -> FloatArray:
    """Smooth level, trend and day additively (Winters 1960); shape (horizon,). It needs two days."""
    day = series.day
    kept = series.values[-STORED_SEASONS * day :]
    if len(kept) < max(2 * day, LEVELLED + day):
        return last_value(series, horizon)
    alpha, beta, gamma = factors
    level, trend, season = _begun(kept, day)
    for index, value in enumerate(kept.tolist()):
        phase, expected = index % day, level + trend
        new = alpha * (value - season[phase]) + (1 - alpha) * expected
        season[phase] = gamma * (value - expected) + (1 - gamma) * season[phase]
        trend = beta * (new - level) + (1 - beta) * trend
        level = new
    ahead = np.arange(1, horizon + 1)
    phases = np.asarray(season)[(len(kept) + ahead - 1) % day]
    return np.asarray(level + ahead * trend + phases, dtype=np.float64)


def _begun(values: FloatArray, day: int) -> tuple[float, float, list[float]]:
    """Answer level, trend and season to begin with: by a moving mean over a day, and what is left of it."""
    ends = np.full(day + 1 - day % 2, 1.0)
    if day % 2 == 0:
        ends[[0, -1]] = 0.5
    values = values[: len(values) // day * day]
    mean = np.convolve(values, ends / day, mode="valid")
    first = len(ends) // 2
    left = np.full(len(values), np.nan)
    left[first : first + len(mean)] = values[first : first + len(mean)] - mean
    season = np.nanmean(left.reshape(-1, day), axis=0)
    trend, level = np.polyfit(np.arange(1, LEVELLED + 1), mean[:LEVELLED], 1)
    return float(level), float(trend), [float(each) for each in season - season.mean()]


def tuned(choices: Sequence[Points], series: Series, horizon: int) -> FloatArray:
    """Forecast as that of the choices which was the least off from earlier origins; shape (horizon,)."""
    origins = [len(series) - horizon * back for back in range(1, TRIED + 1)]
    origins = [origin for origin in origins if origin >= series.day]
    off = [
        sum(_off(points, series, origin, horizon) for origin in origins) if origins else 0.0
        for points in choices
    ]
    return choices[int(np.argmin(off))](series, horizon)


def _off(points: Points, series: Series, origin: int, horizon: int) -> float:
    told = np.maximum(points(series.until(origin), horizon), 0.0)
    return float(np.abs(told - series.values[origin : origin + horizon]).sum())


def Linear() -> Local:  # noqa: N802 - models are asked for by the names of classes
    """Make its linear regression, with the values of its examples."""
    return peer("PhpaLinear", line)


def HoltWinters() -> Local:  # noqa: N802 - likewise
    """Make its Holt-Winters, likewise."""
    return peer("PhpaHoltWinters", holt_winters)


def LinearTuned() -> Local:  # noqa: N802 - likewise
    """Make its linear regression through as many values as did best."""
    return peer("PhpaLinearTuned", partial(tuned, [partial(line, stored=stored) for stored in STORED]))


def HoltWintersTuned() -> Local:  # noqa: N802 - likewise
    """Make its Holt-Winters with the factors that did best."""
    choices = [partial(holt_winters, factors=factors) for factors in FACTORS]
    return peer("PhpaHoltWintersTuned", partial(tuned, choices))
