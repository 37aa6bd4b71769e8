"""Calibration of the pool: quantiles that hold as often as they say. Pure.

`controlplane.forecast.combination` calls it per horizon bucket. The scores are normalised: where an actual
lay in the pool of its origin, in standard normal units, linear between the quantiles and beyond them. Over
all series their quantiles say which score each level needs (Vovk et al. 2005, split conformal prediction); a
series' own scores then scale the width, up and down, as far as it has origins; and the width goes on to
adapt to the last errors of coverage, origin by origin (Gibbs and Candès 2021, adaptive conformal inference).
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from controlplane.forecast.past import Past
from controlplane.forecast.quantiles import LEVELS, MEDIAN
from controlplane.forecast.rules import Rules
from controlplane.forecast.series import FloatArray

_NORMAL = NormalDist()
SCORES: FloatArray = np.array([_NORMAL.inv_cdf(level) for level in LEVELS])
"""The score of each level where the pool is calibrated already."""

_FINE: FloatArray = (np.arange(199) + 0.5) / 199
_FINE_SCORES: FloatArray = np.array([_NORMAL.inv_cdf(level) for level in _FINE])
_LEAST = 0.05
"""Least mean square of the scores above the median, or below it, over all series."""

_FAR = 2.5
"""A score further from the median counts as this: one spike must not decide how wide a series is."""

_GOLDEN = (5**0.5 - 1) / 2
_TIE = 1e-4
"""How near a quantile a value is equal to it, as a share of the 10-90 % band."""

_LOW, _HIGH, _TAIL = 2, 10, 0.1
_FADE: FloatArray = np.minimum(np.abs(SCORES) / SCORES[_HIGH], 1.0) ** 2
"""How much of the online adaptation a level takes: all from the 10-90 % band on, less towards the median."""

FLOOR = 1e-3
"""Least distance of two neighbouring quantiles when scores are taken, as a share of the 10-90 % band, and a
tenth of it as a share of the series' mean: an exact forecast of a constant has the score 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores of the past.

    Attributes:
        scores: Shape (n, k * steps); 0 where there is none.
        weights: Shape (n, k * steps): each series' sum to its effective number of origins.
        steps: How many steps one origin has.
    """

    scores: FloatArray
    weights: FloatArray
    steps: int


def score(pooled: FloatArray, past: Past) -> Scored:
    """Answer where the actuals lay in the pool of their origins.

    Args:
        pooled: Shape (n, k, steps, levels); NaN where there was no pool.
        past: The same horizon bucket.
    """
    counts = past.known & np.isfinite(pooled).all(axis=-1)
    safe = np.where(counts[..., None], pooled, 0.0)
    scale = past.scale[:, None, None]
    found = _spread_ties(to_scores(safe, past.actuals, scale), safe, past.actuals, scale)
    scores = np.where(counts, found, 0.0)
    steps = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    weights = np.where(counts, past.age[..., None] / steps, 0.0)
    total = weights.sum(axis=(1, 2), keepdims=True)
    weights *= past.count[:, None, None] / np.where(total > 0, total, 1.0)
    n = len(scores)
    return Scored(scores.reshape(n, -1), weights.reshape(n, -1), scores.shape[-1])


def _spread_ties(
    scores: FloatArray, quantiles: FloatArray, values: FloatArray, scale: FloatArray
) -> FloatArray:
    """Answer scores in which a value that several quantiles are equal to lies anywhere among them.

    Where the pool gives a value, such as 0, a probability of its own, that value says no more than that its
    level is one of those. It gets one by a sequence that fills them evenly (of the golden ratio), so that
    idle series do not make busy ones look too wide, and the same call gives the same answer.

    Args:
        scores: Shape (n, k, steps).
        quantiles: Shape (n, k, steps, levels).
        values: Like the scores.
        scale: Broadcast against them.
    """
    band = quantiles[..., _HIGH] - quantiles[..., _LOW]
    tied = np.abs(quantiles - values[..., None]) <= (_TIE * (band + scale / 10))[..., None]
    first, last = tied.argmax(axis=-1), len(LEVELS) - 1 - tied[..., ::-1].argmax(axis=-1)
    low = np.where(first > 0, LEVELS[first], 0.0)
    high = np.where(last < len(LEVELS) - 1, LEVELS[last], 1.0)
    place = np.arange(scores.shape[1] * scores.shape[2]).reshape(scores.shape[1:])
    level = low + (high - low) * (place * _GOLDEN % 1.0)
    return np.where(tied.sum(axis=-1) > 1, np.interp(level, _FINE, _FINE_SCORES), scores)


def calibration(scored: Scored, count: FloatArray, rules: Rules) -> FloatArray:
    """Answer the score that each level of each series needs, shape (n, levels), ascending.

    Args:
        scored: Scores of the past.
        count: Shape (n,): effective number of origins.
        rules: Constants.
    """
    every = np.concatenate([scored.scores.ravel(), _FINE_SCORES])
    weigh = np.concatenate([scored.weights.ravel(), np.full(len(_FINE), rules.shape_prior / len(_FINE))])
    shape = weighted_quantiles(every[None], weigh[None], LEVELS)[0]
    away = shape - shape[MEDIAN]
    up, down = _widths(scored, count, shape, rules)
    wider_up, wider_down = _adapted(scored, shape, up, down, rules)
    own = np.where(away > 0, up[:, None], down[:, None])
    lately = np.where(away > 0, wider_up[:, None], wider_down[:, None]) ** _FADE
    width = own * lately * _doubt(count, rules)
    return np.sort(rules.shift * shape[MEDIAN] + away * width, axis=-1)


def _doubt(count: FloatArray, rules: Rules) -> FloatArray:
    """Answer by how much wider the levels are since widths are estimated from few origins, (n, levels).

    Student's quantile by the normal one, to the first order (Cornish and Fisher 1938), where the degrees of
    freedom are the origins there are and those that all series together stand for.
    """
    freedom = count[:, None] + rules.width_prior
    wider: FloatArray = 1.0 + rules.doubt * (SCORES**2 + 1.0) / (4.0 * freedom)
    return wider


def _widths(
    scored: Scored, count: FloatArray, shape: FloatArray, rules: Rules
) -> tuple[FloatArray, FloatArray]:
    """Answer by how much each series is wider than all together, above and below the median.

    What is compared is the root of the mean square of the scores, none counted as more than `_FAR`: it is
    less at the mercy of few origins than quantiles are.
    """
    away = np.clip(scored.scores - shape[MEDIAN], -_FAR, _FAR)
    total = scored.weights.sum(axis=-1)
    heard = total > 0
    sums = [(scored.weights * np.maximum(side, 0.0) ** 2).sum(axis=-1) for side in (away, -away)]
    above, below = (each / np.where(heard, total, 1.0) for each in sums)
    all_above, all_below = (max(float(each.sum() / max(total.sum(), 1.0)), _LEAST) for each in sums)
    trust = np.where(heard, count, 0.0)
    limit, tiny = np.log(rules.widest), np.finfo(float).tiny
    ratio = np.maximum((above + below) / (all_above + all_below), tiny)
    width = np.log(ratio) / 2 * trust / (trust + rules.width_prior)
    up, down = (np.clip(each, 0.1, 10.0) for each in (above / all_above, below / all_below))
    skew = np.log(up / down) / 4 * trust / (trust + rules.skew_prior)
    width, skew = np.clip(width, -limit, limit), np.clip(skew, -limit / 2, limit / 2)
    one = np.ones_like(width)
    return np.where(heard, np.exp(width + skew), one), np.where(heard, np.exp(width - skew), one)


def _adapted(
    scored: Scored, shape: FloatArray, up: FloatArray, down: FloatArray, rules: Rules
) -> tuple[FloatArray, FloatArray]:
    """Go through the origins in order, and widen or narrow by what each says of the 10-90 % band.

    Returns:
        By how much wider the band became above and below the median, each of shape (n,).
    """
    middle = shape[MEDIAN]
    high, low = (shape[_HIGH] - middle) * up, (shape[_LOW] - middle) * down
    wider_up, wider_down = np.ones_like(up), np.ones_like(down)
    for first in range(0, scored.scores.shape[1], scored.steps):
        part = slice(first, first + scored.steps)
        away, counts = scored.scores[:, part] - middle, scored.weights[:, part] > 0
        steps = counts.sum(axis=-1)
        over = (away > (high * wider_up)[:, None]) & counts
        under = (away < (low * wider_down)[:, None]) & counts
        rate = rules.adaptation / (steps + rules.adaptation_steps)
        wider_up = wider_up * np.exp(rate * (over.sum(axis=-1) - _TAIL * steps))
        wider_down = wider_down * np.exp(rate * (under.sum(axis=-1) - _TAIL * steps))
    return wider_up, wider_down


def applied(pooled: FloatArray, scores: FloatArray, scale: FloatArray) -> FloatArray:
    """Answer the quantiles at the scores that the levels need.

    Args:
        pooled: Shape (n, steps, levels); NaN stays.
        scores: Shape (n, levels).
        scale: Shape (n,): the series' mean.
    """
    asked = np.broadcast_to(scores[:, None], pooled.shape)
    return from_scores(pooled, asked, scale[:, None])


def to_scores(quantiles: FloatArray, values: FloatArray, scale: FloatArray) -> FloatArray:
    """Answer where values lie in distributions, in standard normal units.

    Args:
        quantiles: Shape (..., levels).
        values: Shape (...).
        scale: Broadcast against it: the size of the series.
    """
    knots, widths = _knots(quantiles, scale)
    at = np.clip((knots <= values[..., None]).sum(axis=-1) - 1, 0, len(LEVELS) - 2)[..., None]
    start, width = np.take_along_axis(knots, at, axis=-1), np.take_along_axis(widths, at, axis=-1)
    found: FloatArray = SCORES[at] + (values[..., None] - start) / width * np.diff(SCORES)[at]
    return found[..., 0]


def from_scores(quantiles: FloatArray, scores: FloatArray, scale: FloatArray) -> FloatArray:
    """Answer which values have these scores: what `to_scores` undoes.

    Args:
        quantiles: Shape (..., levels).
        scores: Shape (..., any).
        scale: Shape (...).
    """
    knots, widths = _knots(quantiles, scale)
    at = np.clip(np.searchsorted(SCORES, scores, side="right") - 1, 0, len(LEVELS) - 2)
    start, width = np.take_along_axis(knots, at, axis=-1), np.take_along_axis(widths, at, axis=-1)
    found: FloatArray = start + (scores - SCORES[at]) / np.diff(SCORES)[at] * width
    return found


def _knots(quantiles: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Answer quantiles no two of which are alike, seen from the median, and their distances."""
    band = quantiles[..., _HIGH] - quantiles[..., _LOW]
    least = FLOOR * (band + scale / 10)
    widths = np.maximum(np.diff(quantiles, axis=-1), least[..., None])
    rise = np.concatenate([np.zeros_like(widths[..., :1]), np.cumsum(widths, axis=-1)], axis=-1)
    knots = quantiles[..., MEDIAN : MEDIAN + 1] + rise - rise[..., MEDIAN : MEDIAN + 1]
    return knots, widths


def weighted_quantiles(values: FloatArray, weights: FloatArray, levels: FloatArray) -> FloatArray:
    """Answer quantiles of weighted samples, linear between the middles of the steps.

    Args:
        values: Shape (rows, samples).
        weights: Likewise, not negative. A row without any weight has quantiles of 0.
        levels: Shape (levels,).

    Returns:
        Shape (rows, levels).
    """
    order = np.argsort(np.where(weights > 0, values, np.inf), axis=-1)
    values, weights = (np.take_along_axis(each, order, axis=-1) for each in (values, weights))
    total = weights.sum(axis=-1, keepdims=True)
    middles = (np.cumsum(weights, axis=-1) - weights / 2) / np.where(total > 0, total, 1.0)
    last = np.maximum((weights > 0).sum(axis=-1, keepdims=True) - 1, 0)
    out = np.zeros((len(values), len(levels)))
    if values.shape[-1] == 0:
        return out
    for index, level in enumerate(levels):
        right = np.minimum((middles < level).sum(axis=-1, keepdims=True), last)
        left = np.maximum(right - 1, 0)
        near, far = (np.take_along_axis(middles, at, axis=-1) for at in (left, right))
        part = np.clip((level - near) / np.maximum(far - near, np.finfo(float).tiny), 0.0, 1.0)
        low, high = (np.take_along_axis(values, at, axis=-1) for at in (left, right))
        out[:, index] = np.where(total > 0, low + part * (high - low), 0.0)[:, 0]
    return out
