"""The linear pool: the mixture of several forecast distributions, as quantiles again. Pure.

`controlplane.forecast.combination` calls it. The pool mixes distribution functions and inverts the mixture
(Stone 1961; Gneiting and Ranjan 2013). It is not the mean of the quantiles, which is too narrow where the
members disagree.
"""

from collections.abc import Callable

import numpy as np

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray

Mix = Callable[[FloatArray, FloatArray], FloatArray]
"""Makes one distribution of several and their weights: `pool` or `averaged`."""

TAIL = 1.25
"""How far a distribution goes beyond its outermost levels, in distances between its two outermost levels.

An exponential tail through the levels .95 and .99 has its mean at 1/ln 5 = .62 of their distance; a uniform
piece of twice that length has the same mean.
"""

_EDGES: FloatArray = np.concatenate([[0.0], LEVELS, [1.0]])
_ROWS = 1024
"""How many mixtures are worked on at once: so many stay in the processor's cache."""

_SEPARATION = 1e-8
"""Least distance of two knots, as a share of the whole range: an atom becomes a very steep piece."""


def supported(quantiles: FloatArray) -> FloatArray:
    """Add the ends of the support, shape (..., levels) to (..., levels + 2); never below 0.

    What lies at or above 0 keeps its lower end there; negative quantiles have their own.
    """
    low = quantiles[..., 0] - TAIL * (quantiles[..., 1] - quantiles[..., 0])
    high = quantiles[..., -1] + TAIL * (quantiles[..., -1] - quantiles[..., -2])
    low = np.where(quantiles[..., 0] >= 0, np.maximum(low, 0.0), low)
    return np.concatenate([low[..., None], quantiles, high[..., None]], axis=-1)


def pool(quantiles: FloatArray, weights: FloatArray, levels: FloatArray = LEVELS) -> FloatArray:
    """Mix distributions and answer the quantiles of the mixture.

    Args:
        quantiles: Shape (..., members, len(LEVELS)), ascending along the last axis. A member with a NaN
            counts as having no weight.
        weights: Shape (..., members), not negative, broadcast against the leading axes; they need not sum
            to one. Where no member has weight the answer is NaN.
        levels: Which quantiles to answer, within (0, 1); broadcast over the leading axes where it has any.

    Returns:
        Shape (..., len(levels)), ascending.
    """
    lead, members = quantiles.shape[:-2], quantiles.shape[-2]
    heavy = np.broadcast_to(weights, (*lead, members)).reshape(-1, members)
    flat = quantiles.reshape(-1, members, quantiles.shape[-1])
    usable = np.isfinite(flat).all(axis=-1) & (heavy > 0)
    heavy = np.where(usable, heavy, 0.0)
    total = heavy.sum(axis=-1)
    some = total > 0
    asked = np.broadcast_to(levels, (*lead, levels.shape[-1])).reshape(-1, levels.shape[-1])
    out = np.full((flat.shape[0], levels.shape[-1]), np.nan)
    rows = np.flatnonzero(some)
    for part in np.array_split(rows, max(1, -(-len(rows) // _ROWS))):
        if len(part):
            share = heavy[part] / total[part, None]
            out[part] = _inverted(*_mixture(flat[part], share), asked[part])
    return out.reshape(*lead, levels.shape[-1])


def averaged(quantiles: FloatArray, weights: FloatArray) -> FloatArray:
    """Average quantiles, level by level: what the pool is compared with.

    Args:
        quantiles: As `pool` takes them.
        weights: Likewise.

    Returns:
        Shape (..., len(LEVELS)), ascending.
    """
    usable = np.isfinite(quantiles).all(axis=-1) & (weights > 0)
    heavy = np.where(usable, weights, 0.0)
    total = heavy.sum(axis=-1, keepdims=True)
    summed = (np.where(usable[..., None], quantiles, 0.0) * heavy[..., None]).sum(axis=-2)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan)


def _mixture(quantiles: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Answer the knots of each mixture, ascending, and its distribution function there: (rows, knots)."""
    knots = supported(quantiles)
    # A member without weight stands where the heaviest one does, so that it adds no knot of its own.
    heaviest = np.take_along_axis(knots, share.argmax(axis=-1)[:, None, None], axis=1)
    knots = np.where(share[..., None] > 0, knots, heaviest)
    origin = knots.min(axis=(1, 2), keepdims=True)
    width = knots.max(axis=(1, 2), keepdims=True) - origin
    unit = (knots - origin) / np.where(width > 0, width, 1.0) + _SEPARATION * np.arange(knots.shape[-1])
    steep = share[..., None] * np.diff(_EDGES) / np.maximum(np.diff(unit, axis=-1), _SEPARATION / 2)
    change = np.diff(steep, axis=-1, prepend=0.0, append=0.0)
    rows = len(knots)
    places = unit.reshape(rows, -1)
    order = np.argsort(places, axis=-1)
    places = np.take_along_axis(places, order, axis=-1)
    density = np.cumsum(np.take_along_axis(change.reshape(rows, -1), order, axis=-1), axis=-1)
    mass = np.zeros_like(places)
    np.cumsum(np.maximum(density[:, :-1], 0.0) * np.diff(places, axis=-1), axis=-1, out=mass[:, 1:])
    return places * width[:, 0] + origin[:, 0], mass / mass[:, -1:]


def _inverted(places: FloatArray, mass: FloatArray, levels: FloatArray) -> FloatArray:
    """Answer where each distribution function reaches the levels, (rows, levels)."""
    last = places.shape[-1] - 1
    out = np.empty(levels.shape)
    for index in range(levels.shape[-1]):
        level = levels[:, index : index + 1]
        right = np.clip((mass < level).sum(axis=-1, keepdims=True), 1, last)
        low, high = (np.take_along_axis(mass, at, axis=-1) for at in (right - 1, right))
        near, far = (np.take_along_axis(places, at, axis=-1) for at in (right - 1, right))
        part = np.clip((level - low) / np.maximum(high - low, np.finfo(float).tiny), 0.0, 1.0)
        out[:, index] = (near + part * (far - near))[:, 0]
    return np.maximum.accumulate(out, axis=-1)
