"""Candidates for each step ahead: the simple forecasts between which the learning models choose.

The ridge, the boosting and the LSTM's gate call it. A candidate that the history is too short for, or that
falls in a gap, falls back to the next simpler one and is marked as not known; none looks beyond its origin.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.features.track import Track, first_of, steps
from controlplane.forecast.series import HOUR, FloatArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
DailyMean = Callable[[IntArray, IntArray], FloatArray]

SHORT = (3, 12, 48)
"""Widths of the short means, in steps."""

LEVEL = 12
"""Width of the means whose difference is the current level error, in steps."""

PLAIN = (
    "last",
    *(f"mean{width}" for width in SHORT),
    "day",
    "day_smooth",
    "two_days",
    "profile",
    "week",
    "weeks",
)
"""Candidates as they are. `day` is the value a day earlier, `profile` the mean of that phase over 7 days,
`weeks` that of the same hour of the week."""

SHIFTED = ("day_smooth", "two_days", "profile", "week", "weeks")
"""Those that are also given moved by the current level error: recent mean less their own recent mean."""

NAMES = (*PLAIN, *(f"{name}+" for name in SHIFTED), "zero")
"""The candidates in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may come.

    Attributes:
        values: Shape (n origins, horizon, len(NAMES)), in the unit of the series; NaN throughout for an
            origin before the first value, and nowhere else.
        known: Same shape: whether the candidate is itself, and not what it falls back to.
        spread: Shape (n origins, horizon): the standard deviation of the profile's phase, 0 where unknown.
    """

    values: FloatArray
    known: BoolArray
    spread: FloatArray

    def of(self, name: str) -> FloatArray:
        """Answer one candidate, shape (n origins, horizon)."""
        return self.values[:, :, NAMES.index(name)]


def candidates(track: Track, origins: IntArray, horizon: int) -> Candidates:
    """Answer all candidates of many origins.

    Args:
        track: The series.
        origins: Shape (n,): where each last value known is, within the series.
        horizon: Steps ahead.

    Returns:
        The candidates.
    """
    lags = _Lags(track, origins[:, None], steps(horizon))
    plain, errors = lags.plain(), lags.errors()
    filled = _fill(plain)
    shape = (len(origins), horizon)
    moved = {name: filled[name] + first_of(errors[name], np.zeros((1, 1))) for name in SHIFTED}
    columns = [filled[name] for name in PLAIN] + [moved[name] for name in SHIFTED]
    columns.append(np.where(np.isfinite(filled["last"]), -track.level, np.nan))
    known = [np.isfinite(plain[name]) for name in PLAIN]
    known += [np.isfinite(plain[name]) & np.isfinite(errors[name]) for name in SHIFTED]
    known.append(np.ones((1, 1), dtype=np.bool_))
    return Candidates(
        np.stack([np.broadcast_to(column, shape) for column in columns], axis=-1) + track.level,
        np.stack([np.broadcast_to(flag, shape) for flag in known], axis=-1),
        np.broadcast_to(lags.spread(), shape),
    )


def targets(track: Track, origins: IntArray, horizon: int) -> FloatArray:
    """Answer what came after each origin, shape (n, horizon), NaN in gaps and beyond the series' end."""
    places = origins[:, None] + steps(horizon)
    inside = places < len(track.values)
    return np.where(inside, track.values[np.where(inside, places, 0)], np.nan) + track.level


class _Lags:
    """Means of earlier phases, each of shape (n origins, 1) or (n origins, horizon), NaN where unknown."""

    def __init__(self, track: Track, origins: IntArray, ahead: IntArray) -> None:
        """Take origins of shape (n, 1) and steps of shape (1, horizon)."""
        self.track, self.origins, self.ahead = track, origins, ahead
        day, week = track.series.day, track.series.week
        self.day_back = day * -(-ahead // day)
        self.week_back = week * -(-ahead // week)
        self.day, self.week = day, week
        self.wide, self.narrow = max(1, day // 72), day // 144
        self.weeks = 4 if track.series.step_seconds >= HOUR // 2 else 2

    def plain(self) -> dict[str, FloatArray]:
        """Answer the plain candidates by name."""
        track, origins = self.track, self.origins
        found = {"last": track.last(origins)}
        found |= {f"mean{width}": track.recent(origins, width) for width in SHORT}
        found["day"] = self._lag(self.day_back, 0)
        found["day_smooth"] = self._lag(self.day_back, self.wide)
        found["two_days"] = self._lag(self.day_back + self.day, self.wide)
        found["profile"] = self._profile(self.track.plain.daily_mean)
        found["week"] = self._lag(self.week_back, self.narrow)
        found["weeks"] = _average(
            [self._lag(self.week_back + self.week * week, self.narrow) for week in range(self.weeks)]
        )
        return found

    def errors(self) -> dict[str, FloatArray]:
        """Answer how far the recent mean is above that of each shifted candidate, shape (n, 1)."""
        track, origins = self.track, self.origins
        recent = track.recent(origins, LEVEL)
        stop = origins - self.day + 1
        weekly = [track.recent(origins, LEVEL, self.week * (week + 1)) for week in range(self.weeks)]
        return {
            "day_smooth": recent - track.recent(origins, LEVEL, self.day),
            "two_days": recent - track.recent(origins, LEVEL, 2 * self.day),
            "profile": recent - track.plain.daily_mean(stop - LEVEL, stop),
            "week": recent - weekly[0],
            "weeks": recent - _average(weekly),
        }

    def spread(self) -> FloatArray:
        """Answer the standard deviation of the same phase over the profile's days."""
        mean = self._profile(self.track.plain.daily_mean)
        square = self._profile(self.track.squares.daily_mean)
        return first_of(np.sqrt(np.maximum(square - np.square(mean), 0.0)), np.zeros((1, 1)))

    def _lag(self, back: IntArray, half: int) -> FloatArray:
        return self.track.around(self.origins + self.ahead - back, half, self.origins)

    def _profile(self, mean: DailyMean) -> FloatArray:
        places = self.origins + self.ahead - self.day_back
        return mean(places - self.narrow, np.minimum(places + self.narrow, self.origins) + 1)


def _average(parts: list[FloatArray]) -> FloatArray:
    """Average what is there of several, NaN where nothing is."""
    stacked = np.stack(parts)
    there = np.isfinite(stacked)
    count = there.sum(axis=0)
    return np.where(count > 0, np.where(there, stacked, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _fill(plain: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Let each candidate that is not known fall back to a simpler one."""
    last = plain["last"]
    short = first_of(plain["mean12"], plain["mean48"], last)
    profile = first_of(plain["profile"], plain["mean48"], last)
    day = first_of(plain["day_smooth"], profile)
    week = first_of(plain["week"], profile)
    return {
        "last": last,
        "mean3": first_of(plain["mean3"], last),
        "mean12": short,
        "mean48": first_of(plain["mean48"], last),
        "day": first_of(plain["day"], day),
        "day_smooth": day,
        "two_days": first_of(plain["two_days"], profile),
        "profile": profile,
        "week": week,
        "weeks": first_of(plain["weeks"], week),
    }
