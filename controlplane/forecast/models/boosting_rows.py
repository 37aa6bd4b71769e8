"""Rows for the boosted trees: features and targets in a space where all series look alike.

`boosting` calls it, to learn and to forecast. The target is what comes less the ridge's forecast, in the
ridge's scale; while learning, that forecast is always one that had not seen the time it speaks of. Where
there is too little history for a ridge, short means take its place and a feature says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.features.candidates import Candidates, candidates, targets
from controlplane.forecast.features.inputs import FEATURES, decoder, scales
from controlplane.forecast.features.sampling import eligible
from controlplane.forecast.features.track import IntArray, Track
from controlplane.forecast.models.ridge import Learned, Lesson, learn, recent, say
from controlplane.forecast.models.ridge_spread import clues_of, quantiles_at, scale_at
from controlplane.forecast.series import DAY, FloatArray, Window

SEGMENTS = 3
"""So many stretches of a long series are learned from, the newest, each as long as a ridge looks back."""

COLD = 3
"""How many days of history the rows without a ridge have at most."""

COLD_SHARE = 0.15
"""How many of the rows have no ridge."""

TAIL = 0.15
"""The share of the newest stretch's time on which training is stopped."""

NEAR, NEAR_WEIGHT = 12, 1.5
"""Steps that near count so much more."""

LEFT_OUT = ("day_sin", "day_cos")
"""Features that the trees do not see: the hour in UTC says where a service runs, not when it is used."""

SEEN = [place for place, name in enumerate(FEATURES) if name not in LEFT_OUT]

COLUMNS = (
    *(FEATURES[place] for place in SEEN),
    "ridge_scale",
    "ridge_q10",
    "ridge_q50",
    "ridge_q90",
    "ridge",
)
"""What the trees see, in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Where a forecast is taken from, each of shape (n origins, horizon), in the unit of the series."""

    centre: FloatArray
    scale: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is learned from.

    Attributes:
        features: Shape (n, len(COLUMNS)).
        target: Shape (n,): asinh of what came, less the centre, in scales.
        weight: Shape (n,).
        part: Shape (n,): 0 to learn from, 1 too near to the tail, 2 the tail.
    """

    features: NDArray[np.float32]
    target: FloatArray
    weight: FloatArray
    part: NDArray[np.int8]


def joined(rows: list[Rows]) -> Rows:
    """Put rows of several series together."""
    return Rows(
        np.concatenate([part.features for part in rows]),
        np.concatenate([part.target for part in rows]),
        np.concatenate([part.weight for part in rows]),
        np.concatenate([part.part for part in rows]),
    )


def inputs(
    track: Track,
    origins: IntArray,
    found: Candidates,
    placed: Placed,
    learned: Learned | None,
    covariates: Mapping[str, FloatArray],
) -> NDArray[np.float32]:
    """Answer what the trees see, shape (n origins, horizon, len(COLUMNS))."""
    features = decoder(track, origins, found, placed.centre, placed.scale, covariates)[:, :, SEEN]
    count, horizon = placed.centre.shape
    more = np.zeros((count, horizon, len(COLUMNS) - len(SEEN)))
    more[:, :, 0] = np.log(placed.scale / scales(track, origins)[:, None])
    if learned is not None:
        steps = np.arange(1, horizon + 1, dtype=np.int64)
        more[:, :, 1:4] = quantiles_at(learned.spread, steps)[None, :, [2, 6, 10]]
        more[:, :, 4] = 1.0
    return np.concatenate([features, more], axis=-1).astype(np.float32)


def warm(learned: Learned, track: Track, origins: IntArray, horizon: int) -> Placed:
    """Place forecasts by the ridge."""
    said = say(learned, track, origins, horizon)
    return Placed(said.centre, _floor(said.scale, track, origins))


def cold(track: Track, origins: IntArray, found: Candidates) -> Placed:
    """Place forecasts by short means, and by the profile where there is one."""
    centre = 0.5 * (found.of("mean3") + found.of("profile+"))
    scale = np.broadcast_to(scales(track, origins)[:, None], centre.shape)
    return Placed(centre, scale)


def rows_of(
    window: Window, horizon: int, count: int, rng: np.random.Generator
) -> tuple[list[Rows], Learned | None]:
    """Draw about `count` rows of one series; answer them, and the ridge of its newest stretch."""
    rows: list[Rows] = []
    newest: Learned | None = None
    stretches = list(_stretches(window, horizon))
    each = max(1, count // max(1, len(stretches)))
    for place, stretch in enumerate(stretches):
        track = Track.of(stretch.series)
        least = int(each * COLD_SHARE)
        lesson = learn(track, horizon)
        if lesson is not None:
            newest = lesson.learned if place == 0 else newest
            rows.append(_warm_rows(track, stretch, horizon, lesson, each - least, rng, newest=place == 0))
        untaught = _cold_rows(stretch, horizon, least if lesson is not None else each, rng)
        if untaught is not None:
            rows.append(untaught)
    return rows, newest


def _stretches(window: Window, horizon: int) -> Iterator[Window]:
    """Cut a series into stretches as long as a ridge looks back, newest first."""
    series = window.series
    length = len(recent(series))
    for place in range(SEGMENTS):
        stop = len(series) - place * length
        if stop <= horizon or (place and stop < length):
            return
        part = series.until(stop).newest(length)
        first = stop - len(part)
        yield Window(part, (), {name: values[first:] for name, values in window.covariates.items()})


def _warm_rows(
    track: Track,
    window: Window,
    horizon: int,
    lesson: Lesson,
    count: int,
    rng: np.random.Generator,
    *,
    newest: bool,
) -> Rows:
    """Draw rows that have a ridge, placed by what it said without having seen them."""
    learned, steps = lesson.learned, lesson.learned.at
    chosen = _some(len(lesson.origins), max(24, count // 12), rng)
    origins = lesson.origins[chosen]
    found = candidates(track, origins, horizon)
    came = targets(track, origins, horizon)
    clues = clues_of(track, origins, found.spread[:, steps - 1].T, steps)
    scale = _spaced(scale_at(learned.spread, steps, clues).T, steps, horizon)
    centre = came - _spaced(lesson.held_out[:, chosen].T, steps, horizon)
    placed = Placed(centre, _floor(scale, track, origins))
    picked = _pick(came - centre, count, rng)
    known = Placed(np.where(np.isfinite(centre), centre, 0.0), placed.scale)
    features = inputs(track, origins, found, known, learned, window.covariates)
    tail = int(len(track.values) * (1 - TAIL)) if newest else len(track.values)
    part = np.where(origins >= tail, 2, np.where(origins >= tail - horizon, 1, 0))
    return _rows(features, came, placed, picked, part)


def _cold_rows(window: Window, horizon: int, count: int, rng: np.random.Generator) -> Rows | None:
    """Draw rows whose history begins shortly before them; None where there are none."""
    series = window.series
    length = COLD * DAY // series.step_seconds
    first = int(rng.integers(0, max(1, len(series) - length - horizon)))
    track = Track.of(series.until(first + length + horizon).newest(length + horizon))
    possible = eligible(track, horizon, fewest=2)
    if count < 1 or not len(possible):
        return None
    near = 1.0 / (possible + 12.0)
    wanted = min(len(possible), max(8, count // 12))
    origins = np.sort(rng.choice(possible, wanted, replace=False, p=near / near.sum()))
    found, came = candidates(track, origins, horizon), targets(track, origins, horizon)
    placed = cold(track, origins, found)
    features = inputs(track, origins, found, placed, None, {})
    picked = _pick(came - placed.centre, count, rng)
    return _rows(features, came, placed, picked, np.zeros(len(origins), dtype=np.int64))


def _rows(
    features: NDArray[np.float32],
    came: FloatArray,
    placed: Placed,
    picked: NDArray[np.bool_],
    part: IntArray,
) -> Rows:
    """Keep what was picked, one row for each step of each origin."""
    ahead = np.broadcast_to(np.arange(1, came.shape[1] + 1), came.shape)
    weight = np.where(ahead <= NEAR, NEAR_WEIGHT, 1.0)
    target = np.arcsinh((came - placed.centre) / placed.scale)
    every = np.broadcast_to(part[:, None], came.shape)
    return Rows(features[picked], target[picked], weight[picked], every[picked].astype(np.int8))


def _pick(errors: FloatArray, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose about `count` of the steps that are known."""
    there = np.isfinite(errors)
    share = min(1.0, count / max(1, int(there.sum())))
    return there & (rng.random(errors.shape) < share)


def _some(length: int, count: int, rng: np.random.Generator) -> IntArray:
    """Choose places, all where there are few."""
    if length <= count:
        return np.arange(length, dtype=np.int64)
    return np.sort(rng.choice(length, count, replace=False)).astype(np.int64)


def _spaced(values: FloatArray, steps: IntArray, horizon: int) -> FloatArray:
    """Spread values of shape (n, n steps) over the horizon, NaN at steps that have none."""
    spaced = np.full((len(values), horizon), np.nan)
    spaced[:, steps - 1] = values
    return spaced


def _floor(scale: FloatArray, track: Track, origins: IntArray) -> FloatArray:
    """Keep a scale from vanishing beside what the series does."""
    return np.maximum(scale, 0.02 * scales(track, origins)[:, None])
