"""How far off the ridge is: a scale that knows hour, horizon and recent unrest, and quantiles of the rest.

`ridge` and `boosting` call it. It learns from held-out residuals only. The scale is log-linear and shrunk, so
it can halve or double, not explode.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.forecast.features.track import IntArray, Track
from controlplane.forecast.quantiles import LEVELS, ordered
from controlplane.forecast.series import DAY, FloatArray

KNOTS = 14
"""Steps ahead whose residuals' quantiles are taken; those between lie between."""

FAR = 2.0
"""How far, as a logarithm, the scale may be from its middle at that step."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """What residuals were like.

    Attributes:
        at: Shape (n steps,): the steps ahead that it knows.
        knots: Shape (n knots,): steps ahead that have quantiles of their own.
        middle: Shape (n steps,): the logarithm of the usual size of an error, by step.
        slopes: What moves that logarithm, for standardised clues.
        mean: Means of the clues.
        size: Their standard deviations.
        quantiles: Shape (n knots, len(LEVELS)): of residuals in scales.
    """

    at: IntArray
    knots: IntArray
    middle: FloatArray
    slopes: FloatArray
    mean: FloatArray
    size: FloatArray
    quantiles: FloatArray


def spread_of(at: IntArray, residuals: FloatArray, clues: FloatArray, weights: FloatArray) -> Spread:
    """Learn from held-out residuals.

    Args:
        at: Steps ahead, shape (n steps,).
        residuals: Shape (n steps, n rows), NaN where there is none.
        clues: Shape (n steps, n rows, n clues), from `clues_of`.
        weights: Shape (n rows,).

    Returns:
        The spread.
    """
    there = np.isfinite(residuals)
    size = np.where(there, np.abs(residuals), 0.0)
    weight = weights * there
    mass = np.maximum(weight.sum(axis=1), 1e-12)
    mean_size = np.maximum((size * weight).sum(axis=1) / mass, 1e-12)
    logs = np.log(np.maximum(size / mean_size[:, None], 0.02))
    centred = logs - ((logs * weight).sum(axis=1) / mass)[:, None]
    slopes, mean, unit = _regress(clues, centred, weight)
    moved = _moved(clues, slopes, mean, unit)
    relative = residuals / (np.exp(moved) * mean_size[:, None])
    knots = np.unique(np.round(np.geomspace(1, at[-1], KNOTS)).astype(np.int64))
    quantiles = np.stack([_quantiles(at, step, relative, weights) for step in knots])
    return Spread(at, knots, np.log(mean_size), slopes, mean, unit, quantiles)


def scale_at(spread: Spread, steps: IntArray, clues: FloatArray) -> FloatArray:
    """Answer the scale, shape (n steps, n rows), for clues of shape (n steps, n rows, n clues)."""
    middle = np.interp(steps, spread.at, spread.middle)
    scale: FloatArray = np.exp(middle[:, None] + _moved(clues, spread.slopes, spread.mean, spread.size))
    return scale


def quantiles_at(spread: Spread, steps: IntArray) -> FloatArray:
    """Answer quantiles of residuals in scales, shape (n steps, len(LEVELS))."""
    columns = [np.interp(steps, spread.knots, column) for column in spread.quantiles.T]
    return np.stack(columns, axis=-1)


def clues_of(track: Track, origins: IntArray, spreads: FloatArray, at: IntArray) -> FloatArray:
    """Answer what tells how unsure a forecast is.

    Args:
        track: The series.
        origins: Shape (n,).
        spreads: Shape (n steps, n): the deviation of the profile at each target.
        at: Steps ahead, shape (n steps,).

    Returns:
        Shape (n steps, n, n clues), finite.
    """
    stop, day = origins + 1, track.series.day
    usual = np.maximum(track.moves.mean(stop * 0, stop), 1e-12)
    shape = (len(at), len(origins))
    seconds = track.series.start + (origins[None, :] + at[:, None]) * track.series.step_seconds
    turn = 2 * np.pi * (seconds % DAY) / DAY
    unrest = [
        _log(track.moves.mean(stop - 12, stop) / usual),
        _log(track.moves.mean(stop - max(48, day // 2), stop) / usual),
        _log(track.seasonal.mean(stop - 12, stop) / usual),
    ]
    columns = [
        *(np.broadcast_to(clue, shape) for clue in unrest),
        _log(spreads / usual),
        np.sin(turn),
        np.cos(turn),
        np.sin(2 * turn),
        np.cos(2 * turn),
    ]
    every = np.stack(columns, axis=-1)
    return np.where(np.isfinite(every), every, 0.0)


def _log(ratio: FloatArray) -> FloatArray:
    return np.log(np.maximum(ratio, 0.05))


def _regress(
    clues: FloatArray, target: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Regress on standardised clues, shrunk; answer slopes, means and deviations."""
    flat = clues.reshape(-1, clues.shape[-1])
    share = weight.reshape(-1)
    mass = max(float(share.sum()), 1e-12)
    mean: FloatArray = np.asarray(share @ flat / mass)
    raw = np.sqrt(share @ np.square(flat - mean) / mass)
    size = np.where(raw > 1e-9, raw, 1.0)  # noqa: PLR2004 - what rounding leaves of a constant
    unit = (flat - mean) / size
    gram = (unit * share[:, None]).T @ unit / mass
    moment = unit.T @ (share * target.reshape(-1)) / mass
    slopes: FloatArray = np.asarray(np.linalg.solve(gram + 0.1 * np.eye(len(gram)), moment))
    return slopes, mean, size


def _moved(clues: FloatArray, slopes: FloatArray, mean: FloatArray, size: FloatArray) -> FloatArray:
    moved: FloatArray = np.clip(((clues - mean) / size) @ slopes, -FAR, FAR)
    return moved


def _quantiles(at: IntArray, step: int, relative: FloatArray, weights: FloatArray) -> FloatArray:
    """Answer weighted quantiles of the residuals around one step."""
    near = np.abs(np.log(at / step)) < 0.2  # noqa: PLR2004 - steps within a fifth share their residuals
    values = relative[near]
    shares = np.broadcast_to(weights, values.shape)
    there = np.isfinite(values)
    if not there.any():
        return np.zeros(len(LEVELS))
    order = np.argsort(values[there])
    sorted_values, mass = values[there][order], shares[there][order]
    heights = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    return ordered(np.interp(LEVELS, heights, sorted_values))
