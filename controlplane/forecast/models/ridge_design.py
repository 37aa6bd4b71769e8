"""What the ridge regresses on: recent means against the usual ones, and earlier days against the profile.

`ridge` calls it. The target is what comes less the profile, so that a coefficient of 0 everywhere means that
the day goes as usual. What is not known yet is 0: it then says nothing. Nothing looks beyond an origin.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.forecast.features.candidates import Candidates, candidates
from controlplane.forecast.features.track import IntArray, Track, first_of
from controlplane.forecast.series import FloatArray

WIDTHS = (1, 3, 12, 48)
"""Widths of the recent means, in steps."""

LAGGED = ("day_smooth", "two_days", "week", "weeks")
"""Candidates that are held against the profile."""

BROAD = 3
"""Lagged means that span an hour before and after: the profile's, yesterday's and last week's."""

COLUMNS = 3 * len(WIDTHS) + len(LAGGED) + BROAD + 1
"""How many regressors there are; the last is the constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Regressors of many origins and steps ahead.

    Attributes:
        rows: Shape (n steps, n origins, COLUMNS), in the unit of the series but for the constant.
        base: Shape (n steps, n origins): the profile, which the target is taken against.
        found: The candidates it came from.
    """

    rows: FloatArray
    base: FloatArray
    found: Candidates


def design(track: Track, origins: IntArray, horizon: int, at: IntArray) -> Design:
    """Build the regressors.

    Args:
        track: The series.
        origins: Shape (n,).
        horizon: Steps ahead.
        at: Which of them are wanted, from 1, shape (n steps,).

    Returns:
        Regressors of those steps.
    """
    found = candidates(track, origins, horizon)
    profile = found.of("profile")[:, at - 1]
    lagged = [found.of(name)[:, at - 1] - profile for name in LAGGED]
    shape = (len(at), len(origins))
    columns = [
        *(np.broadcast_to(column, shape) for column in _errors(track, origins)),
        *(column.T for column in lagged),
        *(column - (profile.T - track.level) for column in _broad(track, origins, at)),
        np.ones(shape),
    ]
    rows = np.stack(columns, axis=-1)
    return Design(np.where(np.isfinite(rows), rows, 0.0), profile.T, found)


def _errors(track: Track, origins: IntArray) -> list[FloatArray]:
    """Answer recent means less those of the profile, of a day and of a week earlier; each of shape (n,)."""
    day, week, stop = track.series.day, track.series.week, origins + 1
    last = track.last(origins)
    recent = {width: first_of(track.recent(origins, width), last) for width in WIDTHS}
    usual = [recent[width] - track.plain.daily_mean(stop - day - width, stop - day) for width in WIDTHS]
    daily = [recent[width] - track.recent(origins, width, day) for width in WIDTHS]
    weekly = [recent[width] - track.recent(origins, width, week) for width in WIDTHS]
    return [*usual, *daily, *weekly]


def _broad(track: Track, origins: IntArray, at: IntArray) -> list[FloatArray]:
    """Answer lagged means over a broad stretch of the day, each of shape (n steps, n), less the level.

    Where values are noisy, an hour around a phase says more of it than the phase itself.
    """
    day, week = track.series.day, track.series.week
    half = max(2, day // 24)
    here = origins[None, :]
    ahead = here + at[:, None]
    daily, weekly = ahead - day * -(-at[:, None] // day), ahead - week * -(-at[:, None] // week)
    return [
        track.plain.daily_mean(daily - half, np.minimum(daily + half, here) + 1),
        track.around(daily, half, here),
        track.around(weekly, half, here),
    ]
