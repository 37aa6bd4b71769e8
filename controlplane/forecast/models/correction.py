"""Forecast around what is usual: how far demand is from it now, and how much of that will last.

Theta, MSTL and Prophet call it, each with its own ideas of what is usual (`Usual`). For some steps ahead it
replays the series: at each past origin the smoothed distance from the usual, times the share of it that
lasted, against what came. It takes the idea and the smoothing factor that were least off there, and the
quantiles of their errors, newer ones counting more: no normal distribution is assumed. It never looks
beyond an origin, and is pure; numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.models.levels import smoothed, weighted_quantiles
from controlplane.forecast.models.spread import NORMAL
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray

IntArray = NDArray[np.int64]

FACTORS: FloatArray = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
"""Smoothing factors tried."""

ANCHORS = (1, 2, 4, 8, 16, 32, 48, 96, 192, 384)
"""Steps ahead that are replayed; those between take what lies between."""

ORIGINS = 1500
"""Origins replayed at most: more cost time and no longer change the quantiles."""

ENOUGH = 12
"""Errors from which quantiles are taken; with fewer, a normal distribution stands in."""

HALF_LIFE_DAYS = 7.0
"""After so many days an error counts half."""

OFFSET = 0.05
"""What is added before logarithms are taken, as a share of the mean, so that zeros are allowed."""

PHASES = 24
"""Parts of a day whose errors are told apart."""

LEAST_WIDE = 0.4
"""How narrow errors may be at one time of day, relative to their mean."""

HALF: FloatArray = np.array([0.5])


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """How values are seen: as they are, or by their logarithm, where ups and downs multiply.

    Attributes:
        offset: Added before the logarithm; None: as they are.
    """

    offset: float | None

    def into(self, values: FloatArray) -> FloatArray:
        """Answer values on the scale."""
        return values if self.offset is None else np.log(values + self.offset)

    def back(self, values: FloatArray) -> FloatArray:
        """Answer what values on the scale are in the unit of the series."""
        # Nothing sane grows by e^50 over its own mean; the limit keeps a wild slope finite.
        return values if self.offset is None else np.exp(np.minimum(values, self._most)) - self.offset

    @property
    def _most(self) -> float:
        return 50.0 + float(np.log(self.offset or 1.0))


def scales(values: FloatArray) -> tuple[Scale, Scale]:
    """Answer both scales for a series: as it is, and logarithmic."""
    return Scale(None), Scale(OFFSET * float(np.mean(np.maximum(values, 0.0))) + 1e-9)


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """One idea of what is usual, as it was held at different times.

    Attributes:
        scale: The scale it is on.
        values: Shape (layers, n + horizon); NaN at most at the beginning, where it says nothing yet.
        since: Shape (layers,), ascending: a layer was learned from the steps before this one, and is held at
            this step and later until the next layer.
        season: It is known for so many steps ahead, and repeats after; 0: it is known for all of them.
        lasts: Whether all of the distance lasts, as where the usual is only a line.
    """

    scale: Scale
    values: FloatArray
    since: IntArray
    season: int = 0
    lasts: bool = False

    def late(self, ahead: int) -> int:
        """Answer how many steps older what is held so far ahead is than what is held one step ahead."""
        return max(0, -(-ahead // self.season) - 1) * self.season if self.season else 0


def steady(scale: Scale, values: FloatArray, season: int = 0, *, lasts: bool = False) -> Usual:
    """Make an idea of one layer that looks back at each step by itself; values of shape (n + horizon,)."""
    return Usual(scale, values[None], np.zeros(1, np.int64), season, lasts)


@dataclass(frozen=True, slots=True, eq=False)
class _Replay:
    """The past, ready to be replayed.

    Attributes:
        values: Shape (n,), without gaps.
        counts: Weight of each step as a target: 0 where it was not measured.
        day: Steps of a day.
        start: The first step at which every idea says something.
        settled: The first origin.
        levels: By idea, distances from the usual, smoothed; shape (factors, layers, n - start).
    """

    values: FloatArray
    counts: FloatArray
    day: int
    start: int
    settled: int
    levels: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What was least off, so many steps ahead.

    Attributes:
        loss: Mean absolute error, in the unit of the series.
        idea: Index of the usual.
        share: What of the distance lasts.
        level: Distance from the usual now, smoothed.
        errors: What came minus what was forecast, on the scale of the idea; shape (origins,).
        targets: The steps they were made for.
    """

    loss: float
    idea: int
    share: float
    level: float
    errors: FloatArray
    targets: IntArray


def around(
    values: FloatArray, measured: FloatArray, day: int, horizon: int, ideas: Sequence[Usual]
) -> FloatArray | None:
    """Forecast one series around what is usual.

    Args:
        values: Shape (n,), without gaps.
        measured: 1 where a value was measured, else 0; shape (n,).
        day: Steps of a day.
        horizon: Steps ahead.
        ideas: What may be usual; at least one on each scale that is to be tried.

    Returns:
        Shape (horizon, len(LEVELS)); None where the past is too short to replay even one step.
    """
    replay = _replay(values, measured, day, ideas)
    anchors = [ahead for ahead in ANCHORS if ahead < horizon] + [horizon]
    chosen: dict[int, _Choice] = {}
    for ahead in anchors:
        options = [_tried(replay, ideas, index, ahead) for index in range(len(ideas))]
        best = min((option for option in options if option), key=lambda option: option.loss, default=None)
        if best is None:
            break
        chosen[ahead] = best
    if not chosen:
        return None
    return np.array([_step(replay, ideas, chosen, ahead) for ahead in range(1, horizon + 1)])


def _replay(values: FloatArray, measured: FloatArray, day: int, ideas: Sequence[Usual]) -> _Replay:
    """Smooth the distance from each idea of the usual."""
    n = len(values)
    start = max(int(np.argmax(np.isfinite(idea.values[:, :n]).all(axis=0))) for idea in ideas)
    apart = [idea.scale.into(values[start:]) - idea.values[:, start:n] for idea in ideas]
    levels = smoothed(np.concatenate(apart), FACTORS)
    ends = np.cumsum([len(rows) for rows in apart])[:-1]
    first = max(start, *(int(idea.since[0]) for idea in ideas))
    settled = first + min((n - first) // 4, max(1, day // 4))
    age = np.arange(n)[::-1] / (HALF_LIFE_DAYS * day)
    return _Replay(values, measured * 0.5**age, day, start, settled, tuple(np.split(levels, ends, axis=1)))


def _tried(replay: _Replay, ideas: Sequence[Usual], index: int, ahead: int) -> _Choice | None:
    """Replay one idea, so many steps ahead, with every smoothing factor; None with too few errors."""
    idea, n = ideas[index], len(replay.values)
    late = idea.late(ahead)
    stride = max(1, (n - ahead - replay.settled) // ORIGINS)
    origins = np.arange(n - 1 - ahead, max(replay.settled, late - ahead) - 1, -stride)[::-1]
    layer = np.searchsorted(idea.since, origins + 1, side="right") - 1
    held = idea.values[layer, origins + ahead - late]
    use = np.isfinite(held) & (replay.counts[origins + ahead] > 0)
    if np.count_nonzero(use) < ENOUGH:
        return None
    origins, layer, held = origins[use], layer[use], held[use]
    targets: IntArray = origins + ahead
    weight = replay.counts[targets] / replay.counts[targets].sum()
    came = idea.scale.into(replay.values[targets]) - held
    levels = replay.levels[index][:, layer, origins - replay.start]
    share = np.ones(len(FACTORS)) if idea.lasts else _share(levels, came, weight)
    told = idea.scale.back(held + share[:, None] * levels)
    losses = np.abs(replay.values[targets] - told) @ weight
    best = int(np.argmin(losses))
    errors = came - share[best] * levels[best]
    now = float(replay.levels[index][best, -1, -1])
    return _Choice(float(losses[best]), index, float(share[best]), now, errors, targets)


def _share(levels: FloatArray, came: FloatArray, weight: FloatArray) -> FloatArray:
    """Answer which part of the distance lasted, by least squares per factor, within 0 and 1."""
    power = (levels * levels) @ weight
    shares = np.ones(len(levels))
    np.divide((levels * came) @ weight, power, out=shares, where=power > 0)
    return np.clip(shares, 0.0, 1.0)


def _step(replay: _Replay, ideas: Sequence[Usual], chosen: dict[int, _Choice], ahead: int) -> FloatArray:
    """Answer the quantiles of one step ahead, shape (len(LEVELS),)."""
    anchor = min(chosen, key=lambda other: (abs(np.log(other / ahead)), other))
    choice = chosen[anchor]
    idea = ideas[choice.idea]
    target = len(replay.values) + ahead - 1
    centre = idea.values[-1, target] + choice.share * choice.level
    # Beyond what could be replayed, errors go on growing as those of a random walk do.
    grown = np.sqrt(max(1.0, ahead / anchor))
    return idea.scale.back(centre + grown * _offsets(replay, choice, target))


def _offsets(replay: _Replay, choice: _Choice, target: int) -> FloatArray:
    """Answer the quantiles of the errors, as wide as they are at the target's time of day."""
    weights = replay.counts[choice.targets]
    middle = weighted_quantiles(choice.errors, weights, HALF)
    errors = choice.errors - middle
    parts = min(PHASES, replay.day)
    part = choice.targets % replay.day * parts // replay.day
    factors = _by_time_of_day(np.abs(errors), part, parts)
    relative = errors / factors[part]
    here = float(factors[target % replay.day * parts // replay.day])
    if len(relative) < 4 * ENOUGH:
        return middle + here * float(np.sqrt((relative**2 * weights).sum() / weights.sum())) * NORMAL
    return middle + here * weighted_quantiles(relative, weights, LEVELS)


def _by_time_of_day(size: FloatArray, part: IntArray, parts: int) -> FloatArray:
    """Answer how wide errors are in each part of the day, relative to their mean; shape (parts,)."""
    mean = float(size.mean())
    if mean == 0.0:
        return np.ones(parts)
    count = np.bincount(part, minlength=parts)
    each = np.full(parts, mean)
    np.divide(np.bincount(part, weights=size, minlength=parts), count, out=each, where=count > 0)
    near = (np.roll(each, 1) + 2 * each + np.roll(each, -1)) / 4
    # The root halves the difference between times of day: that much of it is chance.
    factors: FloatArray = np.sqrt(near / mean)
    return np.maximum(factors, LEAST_WIDE)
