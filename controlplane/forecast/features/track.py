"""A series prepared for many questions: means of any stretch, of many origins at once, without a loop.

Every module of `features` asks it. Everything is a difference of running sums, so that ten thousand origins
cost little more than one. Gaps count for nothing: a mean is that of the values that are there, and NaN where
there is none. An answer for an origin must never rest on anything after it: who asks bounds the stretch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.series import FloatArray, Series

IntArray = NDArray[np.int64]

DAYS = 7
"""How many days a profile is taken over."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Running sums of one quantity over a series' grid.

    Attributes:
        total: Shape (n + 1,): entry j is the sum of the first j values, gaps left out.
        count: Likewise, how many there were.
        daily_total: Entry j is `total[j] + total[j - day] + total[j - 2 day] ...`.
        daily_count: Likewise of `count`.
        day: Steps of a day.
    """

    total: FloatArray
    count: FloatArray
    daily_total: FloatArray
    daily_count: FloatArray
    day: int

    @classmethod
    def of(cls, values: FloatArray, day: int) -> "Sums":
        """Sum up values of shape (n,), NaN where there is none."""
        known = np.isfinite(values)
        total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
        count = np.concatenate([[0.0], np.cumsum(known, dtype=np.float64)])
        return cls(total, count, _daily(total, day), _daily(count, day), day)

    def mean(self, first: IntArray, stop: IntArray) -> FloatArray:
        """Answer the mean over `[first, stop)`, cut to the series; the two broadcast."""
        return _ratio(
            _at(self.total, stop) - _at(self.total, first), _at(self.count, stop) - _at(self.count, first)
        )

    def daily_mean(self, first: IntArray, stop: IntArray, days: int = DAYS) -> FloatArray:
        """Answer the mean over `[first, stop)` and over the same hours of the `days - 1` days before."""
        back = days * self.day

        def stretch(sums: FloatArray) -> FloatArray:
            ends = _at(sums, stop) - _at(sums, stop - back)
            return ends - _at(sums, first) + _at(sums, first - back)

        return _ratio(stretch(self.daily_total), stretch(self.daily_count))


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A series, and the running sums of what is asked of it.

    Attributes:
        series: Itself.
        level: A constant near the values; the sums are of what is above it, which keeps them exact.
        values: Shape (n,): the series' values less `level`, NaN in gaps.
        newest: Shape (n,): where the newest value at or before each step is, -1 where there is none.
        plain: Sums of `values`.
        squares: Sums of their squares.
        moves: Sums of the absolute steps from one value to the next.
        seasonal: Sums of the absolute differences from a day earlier.
    """

    series: Series
    level: float
    values: FloatArray
    newest: IntArray
    plain: Sums
    squares: Sums
    moves: Sums
    seasonal: Sums

    @classmethod
    def of(cls, series: Series) -> "Track":
        """Prepare a series; anything that is not finite is a gap."""
        raw = np.where(np.isfinite(series.values), series.values, np.nan)
        known = np.isfinite(raw)
        level = float(np.median(raw[known])) if known.any() else 0.0
        values = raw - level
        places = np.where(known, np.arange(len(raw), dtype=np.int64), -1)
        newest = np.maximum.accumulate(places) if len(places) else places
        day = series.day
        return cls(
            series,
            level,
            values,
            newest,
            Sums.of(values, day),
            Sums.of(np.square(values), day),
            Sums.of(np.abs(_behind(values, 1)), day),
            Sums.of(np.abs(_behind(values, day)), day),
        )

    def recent(self, origins: IntArray, width: int, back: IntArray | int = 0) -> FloatArray:
        """Answer the mean of the `width` values up to and with `origins - back`."""
        stop = origins - back + 1
        return self.plain.mean(stop - width, stop)

    def around(self, places: IntArray, half: int, origins: IntArray) -> FloatArray:
        """Answer the mean of the values within `half` steps of `places`, none of them after `origins`."""
        return self.plain.mean(places - half, np.minimum(places + half, origins) + 1)

    def last(self, origins: IntArray) -> FloatArray:
        """Answer the newest value at each origin, shape of `origins`; NaN before the first."""
        places = self.newest[origins]
        return np.where(places >= 0, self.values[np.maximum(places, 0)], np.nan)


def steps(horizon: int) -> IntArray:
    """Answer 1 to `horizon`, shape (1, horizon), to be added to origins of shape (n, 1)."""
    return np.arange(1, horizon + 1, dtype=np.int64)[None, :]


def first_of(*choices: FloatArray) -> FloatArray:
    """Answer, entry by entry, the first of the choices that is there; they broadcast."""
    chosen = choices[0]
    for choice in choices[1:]:
        chosen = np.where(np.isfinite(chosen), chosen, choice)
    return chosen


def _behind(values: FloatArray, lag: int) -> FloatArray:
    """Answer each value less the one `lag` before, NaN where there is none."""
    lagged = np.full_like(values, np.nan)
    if lag < len(values):
        lagged[lag:] = values[lag:] - values[:-lag]
    return lagged


def _daily(sums: FloatArray, day: int) -> FloatArray:
    """Add to each entry those a day, two days, … before it."""
    rows = -(-len(sums) // day)
    padded = np.zeros(rows * day)
    padded[: len(sums)] = sums
    return np.cumsum(padded.reshape(rows, day), axis=0).reshape(-1)[: len(sums)]


def _at(sums: FloatArray, places: IntArray) -> FloatArray:
    """Answer running sums at places, 0 before the series, the whole after it."""
    return np.where(places > 0, sums[np.clip(places, 0, len(sums) - 1)], 0.0)


def _ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    """Answer total / count, NaN where nothing was counted."""
    there = count > 0
    return np.where(there, total / np.where(there, count, 1.0), np.nan)
