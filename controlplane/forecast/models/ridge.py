"""A ridge of each series by itself, one regression per step ahead, with the spread of its held-out errors.

The worker and the API process run it: it needs numpy alone. `boosting` takes its held-out forecasts as
centre. It never learns from one series for another, and says nothing about series it has not learned.

What it looks at is where demand is against its usual day, against yesterday and last week; how it solves
that is Hoerl & Kennard (1970) with Huber's weights, one direct regression per horizon step (Marcellino et
al. 2006).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from controlplane.forecast.features.compression import COARSE, PLAIN, Scale, scale_of
from controlplane.forecast.features.track import IntArray, Track
from controlplane.forecast.models.ridge_design import Design, design
from controlplane.forecast.models.ridge_solve import Solved, solve
from controlplane.forecast.models.ridge_spread import (
    Spread,
    clues_of,
    quantiles_at,
    scale_at,
    spread_of,
)
from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS, bounded, ordered
from controlplane.forecast.series import DAY, FloatArray, Series, Window

FINE = COARSE
"""Grids finer than this forget faster: their newest days hold enough."""

LEAST = 24
"""Fewer rows than this teach nothing."""

ROWS = 1400
"""About how many origins a fit learns from."""

ANCHORS = 48
"""The most steps ahead that have regressions of their own; others lie between two of them."""

REACH = 3.0
"""No forecast is above so many times the largest value seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """One series' regression.

    Attributes:
        at: Steps ahead that have coefficients, ascending from 1.
        coefficients: Shape (n steps, n columns).
        spread: How far off it is.
        end: Time of the last value that it learned from.
        scale: What its series was seen on; whoever asks it sees the series on the same.
    """

    at: IntArray
    coefficients: FloatArray
    spread: Spread
    end: int
    scale: Scale = PLAIN


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a fit leaves behind for those that learn from its errors.

    Attributes:
        learned: The regression.
        origins: Shape (n rows,): what it learned from, as places in the series it was given.
        held_out: Shape (n steps, n rows): residuals of forecasts that did not see their time.
    """

    learned: Learned
    origins: IntArray
    held_out: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a regression says of many origins.

    Attributes:
        centre: Shape (n origins, horizon), in the unit of the series.
        scale: Likewise: the usual size of an error.
    """

    centre: FloatArray
    scale: FloatArray


def learn(track: Track, horizon: int) -> Lesson | None:
    """Fit one series; None where it is too short or has no day behind it."""
    series = track.series
    at = anchors(horizon)
    first = max(series.day, 12)
    stride = max(1, (len(series) - first) // ROWS)
    origins = np.arange(len(series) - 2, first - 1, -stride, dtype=np.int64)[::-1]
    gap = -(-horizon // stride)
    # With fewer, a third that is held out and the gaps beside it would leave nothing to learn from.
    if len(origins) < max(2 * LEAST, 3 * gap + 4):
        return None
    made = design(track, origins, horizon, at)
    target = _targets(track, origins, at) - made.base
    if np.isfinite(target).sum(axis=1).min() < LEAST:
        return None
    ages = (origins[-1] - origins) / series.day
    weights = np.exp2(-ages / half_life(series))
    solved = solve(made.rows, target, weights, gap)
    spread = _spread(track, origins, at, made, solved, weights)
    return Lesson(Learned(at, solved.coefficients, spread, series.last), origins, solved.held_out)


def say(learned: Learned, track: Track, origins: IntArray, horizon: int) -> Said:
    """Forecast centre and scale of many origins."""
    steps = np.arange(1, horizon + 1, dtype=np.int64)
    made = design(track, origins, horizon, steps)
    columns = [np.interp(steps, learned.at, column) for column in learned.coefficients.T]
    coefficients = np.stack(columns, axis=-1)
    centre = made.base + (made.rows @ coefficients[:, :, None])[:, :, 0]
    clues = clues_of(track, origins, made.found.spread.T, steps)
    return Said(centre.T, scale_at(learned.spread, steps, clues).T)


def anchors(horizon: int) -> IntArray:
    """Answer steps from 1 to the horizon: all of them, or ever fewer further out."""
    if horizon <= ANCHORS:
        return np.arange(1, horizon + 1, dtype=np.int64)
    spaced = np.round(np.geomspace(1, horizon, ANCHORS)).astype(np.int64)
    return np.unique(np.concatenate([np.arange(1, 13, dtype=np.int64), spaced]))


def half_life(series: Series) -> float:
    """Answer after how many days an origin counts half."""
    return 10.0 if series.step_seconds < FINE else 20.0


def recent(series: Series) -> Series:
    """Answer the part of a history that a fit looks at."""
    days = 21 if series.step_seconds < FINE else 84
    return series.newest(days * DAY // series.step_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class FittedRidge:
    """Regressions by the id of their series. Can be pickled."""

    learned: Mapping[str, Learned]

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port; series that were not learned are NaN."""
        answers = np.full((len(windows), horizon, len(LEVELS)), np.nan)
        for answer, window in zip(answers, windows, strict=True):
            learned = self.learned.get(window.series.id)
            if learned is not None and np.isfinite(window.series.values).any():
                answer[:] = _one(learned, recent(window.series), horizon)
        return answers


@dataclass(frozen=True, slots=True)
class Ridge:
    """The forecaster."""

    name: str = "Ridge"
    needs: int = 2 * LEAST

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> FittedRidge:
        """Fit each series by itself; see the port."""
        del seed
        learned = {}
        for place, window in enumerate(windows):
            told(place / len(windows), f"Ridge of {window.series.id}")
            series = recent(window.series)
            scale = scale_of(series)
            found = learn(Track.of(scale.series(series)), horizon)
            if found is not None:
                learned[window.series.id] = replace(found.learned, scale=scale)
        return FittedRidge(learned)


def _one(learned: Learned, series: Series, horizon: int) -> FloatArray:
    """Forecast one series, shape (horizon, len(LEVELS))."""
    track = Track.of(learned.scale.series(series))
    said = say(learned, track, np.array([len(series) - 1], dtype=np.int64), horizon)
    steps = np.arange(1, horizon + 1, dtype=np.int64)
    quantiles = said.centre[0][:, None] + said.scale[0][:, None] * quantiles_at(learned.spread, steps)
    reach = REACH * float(np.nanmax(np.where(np.isfinite(series.values), series.values, 0.0)))
    upper = reach if series.upper is None else min(series.upper, reach)
    return bounded(ordered(learned.scale.back(quantiles)), 0.0, upper)


def _targets(track: Track, origins: IntArray, at: IntArray) -> FloatArray:
    """Answer what came, shape (n steps, n origins), NaN in gaps and beyond the end."""
    places = origins[None, :] + at[:, None]
    inside = places < len(track.values)
    came: FloatArray = np.where(inside, track.values[np.where(inside, places, 0)], np.nan) + track.level
    return came


def _spread(
    track: Track, origins: IntArray, at: IntArray, made: Design, solved: Solved, weights: FloatArray
) -> Spread:
    """Learn the spread from held-out residuals."""
    clues = clues_of(track, origins, made.found.spread[:, at - 1].T, at)
    return spread_of(at, solved.held_out, clues, weights)
