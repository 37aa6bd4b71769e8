"""Exponential smoothing with many factors at once, and what is usual at a time. Pure; numpy only.

Theta, MSTL and Prophet call it. Everything is causal: what it answers for a step comes from steps before
it, so that errors measured on it are those that forecasts make.
"""

import numpy as np

from controlplane.forecast.series import FloatArray

BLOCK = 64
"""Steps that are smoothed by one matrix product; between blocks only the last level is carried."""


def smoothed(values: FloatArray, factors: FloatArray) -> FloatArray:
    """Answer the level of simple exponential smoothing after each step.

    Args:
        values: Shape (series, steps), finite.
        factors: Smoothing factors in (0, 1], shape (factors,).

    Returns:
        Shape (factors, series, steps); the first level is the first value.
    """
    series, steps = values.shape
    blocks = -(-steps // BLOCK)
    padded = np.pad(values, ((0, 0), (0, blocks * BLOCK - steps)), mode="edge").reshape(series, blocks, BLOCK)
    levels = np.empty((len(factors), series, blocks, BLOCK))
    step = np.arange(BLOCK)
    back = step[:, None] - step
    for level, factor in zip(levels, factors, strict=True):
        kernel = np.where(back >= 0, factor * (1 - factor) ** np.maximum(back, 0), 0.0)
        level[:] = padded @ kernel.T
        kept = (1 - factor) ** (step + 1)
        last = padded[:, 0, 0]
        for block in range(blocks):
            level[:, block] += last[:, None] * kept
            last = level[:, block, -1]
    return levels.reshape(len(factors), series, -1)[:, :, :steps]


def usual(values: FloatArray, season: int, decay: float, horizon: int) -> FloatArray:
    """Answer what was usual at the same phase of earlier seasons, newer ones counting more.

    Args:
        values: Shape (n,), finite.
        season: Steps of a season.
        decay: Weight of a season relative to the one after it.
        horizon: Steps after the end.

    Returns:
        Shape (n + horizon,); NaN where no earlier season was seen. Step t comes from steps up to t - season
        alone, and steps after the end from all of the values.
    """
    seasons = -(-len(values) // season)
    missing = seasons * season - len(values)
    rows = np.concatenate((np.full(missing, np.nan), values)).reshape(seasons, season)
    seen = np.isfinite(rows)
    rows = np.where(seen, rows, 0.0)
    profile = np.full((seasons + 1, season), np.nan)
    total, weight = np.zeros(season), np.zeros(season)
    for row in range(seasons + 1):
        np.divide(total, weight, out=profile[row], where=weight > 0)
        if row < seasons:
            total, weight = decay * total + rows[row], decay * weight + seen[row]
    ahead = profile[-1][np.arange(horizon) % season]
    return np.concatenate((profile[:-1].ravel()[missing:], ahead))


def weighted_quantiles(values: FloatArray, weights: FloatArray, levels: FloatArray) -> FloatArray:
    """Answer quantiles of weighted values, shape (len(levels),), by lines between the middles of weights."""
    order = np.argsort(values)
    mass = weights[order]
    middles = (np.cumsum(mass) - mass / 2) / mass.sum()
    return np.interp(levels, middles, values[order])
