"""MSTL (Bandara, Hyndman & Bergmeir 2021): statsforecast decomposes the season, smoothing follows the rest.

The registry makes it; only the worker imports it. Decomposing is the dear part and happens in `fit`, on the
past as it was at several times, so that errors are replayed on seasons that did not know them. `forecast`
lays the newest season over new data and follows the level (see `correction`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from statsforecast.mstl import mstl

from controlplane.forecast.gaps import known, whole
from controlplane.forecast.models.correction import Scale, Usual, around, scales
from controlplane.forecast.models.local import each
from controlplane.forecast.port import Told, silent
from controlplane.forecast.series import FloatArray, Series, Window

CUTS = (0.5, 0.625, 0.75, 0.875, 1.0)
"""Parts of the past after which a season is decomposed; each is held until the next."""

WEEKS = 3
"""Weeks from which a season of the week is told from chance."""


@dataclass(frozen=True, slots=True, eq=False)
class _Season:
    """What was usual, as known at one time.

    Attributes:
        since: It is used from this time on.
        level: Where the trend was.
        cycles: Seasonal parts by absolute phase, each of the shape (period,).
    """

    since: int
    level: float
    cycles: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Seasons:
    """The seasons of one series on one scale, oldest first; at least one."""

    scale: Scale
    known: tuple[_Season, ...]

    def usual(self, series: Series, horizon: int) -> Usual:
        """Lay each of them over a series, and over what is to come."""
        steps = series.times(horizon) // series.step_seconds
        layers = [
            season.level + sum((cycle[steps % len(cycle)] for cycle in season.cycles), np.zeros(len(steps)))
            for season in self.known
        ]
        since = [(season.since - series.start) // series.step_seconds for season in self.known]
        return Usual(self.scale, np.array(layers), np.array(since))


def _decomposed(values: FloatArray, start: int, step_seconds: int, periods: Sequence[int]) -> _Season:
    """Decompose what was known after the last of the values."""
    jump = max(1, periods[0] // 8, periods[-1] // 12)
    # Trends are smooth: between every so many steps they are drawn as lines, which is ten times cheaper.
    table = mstl(values, list(periods), stl_kwargs={"trend_jump": jump, "low_pass_jump": jump})
    first = start // step_seconds
    cycles = []
    for period in periods:
        name = "seasonal" if len(periods) == 1 else f"seasonal{period}"
        newest = table[name].to_numpy(np.float64)[-period:]
        phase = (first + len(values) - period + np.arange(period)) % period
        cycle = np.empty(period)
        cycle[phase] = newest
        cycles.append(cycle)
    level = float(np.median(table["trend"].to_numpy(np.float64)[-periods[-1] :]))
    return _Season(start + len(values) * step_seconds, level, tuple(cycles))


def _learned(series: Series) -> tuple[_Seasons, ...] | None:
    """Decompose one whole series on both scales; None where it saw less than three days."""
    day, n = series.day, len(series)
    if day == 1 or n < 3 * day:
        return None
    seasons = []
    for scale in scales(series.values):
        values = scale.into(series.values)
        told = []
        for cut in CUTS:
            length = max(2 * day, int(cut * n))
            periods = (day, series.week) if length >= WEEKS * series.week else (day,)
            told.append(_decomposed(values[:length], series.start, series.step_seconds, periods))
        seasons.append(_Seasons(scale, tuple(told)))
    return tuple(seasons)


@dataclass(frozen=True, slots=True, eq=False)
class FittedMstl:
    """Seasons by the series' ids."""

    seasons: Mapping[str, tuple[_Seasons, ...]]

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port. A series that was not learned is decomposed first, which is dear."""
        return each(self._rule, windows, horizon, Mstl.needs)

    def _rule(self, window: Window, horizon: int) -> FloatArray | None:
        """Forecast one series."""
        series = whole(window.series)
        seasons = self.seasons.get(series.id) or _learned(series)
        if seasons is None:
            return None
        measured = np.isfinite(window.series.values[-len(series) :]).astype(np.float64)
        ideas = [season.usual(series, horizon) for season in seasons]
        return around(series.values, measured, series.day, horizon, ideas)


class Mstl:
    """The model. It answers NaN before three days were seen; `needs` is the least that any grid asks for."""

    name = "MSTL"
    needs = 3

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> FittedMstl:
        """Decompose each series; see the port. There is no randomness in it."""
        del horizon, seed
        seasons = {}
        for done, window in enumerate(windows, start=1):
            learned = _learned(whole(window.series)) if known(window.series) else None
            if learned:
                seasons[window.series.id] = learned
            told(done / len(windows), f"decomposed {done} of {len(windows)} series")
        return FittedMstl(seasons)
