"""Which demand to be ready for: a quantile of the forecast, raised towards the reactive envelope. Pure.

Planning and the scaling benchmark call it. The quantile is the one that costs least where a short step has
a price: a high one where the forecast is sure of itself and certainty is cheap, a lower one where the last
bit would cost as much as demand itself. The envelope is the most that came of late. Whoever plans with the
larger of both pays for every peak that is over; whoever trusts the forecast alone misses what it does not
see. So the quantile is raised by a share of what it lies below the envelope: a small one where the forecast
has kept its word lately, all of it where it has not, or where nothing is known of it. It must never ask how
demand was forecast, and never answer less than the quantile.

Price, levels and share were chosen on 43 series and earlier origins, none of which the benchmark scores; see
`docs/scaling-measured.md`.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SHORT_PRICE = 30.0
"""What a short step costs, in capacity of a step of typical demand, where nothing else says it."""

LOWEST, HIGHEST = 0.8, 0.9
"""Levels between which the quantile is chosen: beyond the one a forecast rests on next to nothing."""

LEVEL = 0.85
"""The quantile by which is judged whether a forecast keeps its word."""

TRUSTED_SHARE = 0.2
"""How far towards the envelope where the forecast keeps its word."""

KEPT_UP_TO = 0.2
"""A forecast keeps its word while no more of the values than this lie above its quantile `LEVEL`."""

BROKEN_FROM = 0.5
"""From here on it is not believed at all: the envelope is the least that is planned for."""

MEDIAN = 0.5
NEAR = 1e-9

PRIOR_STEPS = 96
"""As many values within its word a forecast is thought to have had besides those that were counted."""


def planned(quantile: FloatArray, envelope: FloatArray | float, share: FloatArray | float) -> FloatArray:
    """Answer the demand to be ready for: the quantile, raised by a share of what it lacks to the envelope.

    Args:
        quantile: Of demand, by step ahead or any shape.
        envelope: The most that came of late, in the same unit; broadcast against it.
        share: In 0..1, such as `share` answers; 1 is the larger of both.
    """
    raised: FloatArray = quantile + share * np.maximum(envelope - quantile, 0.0)
    return raised


def priced(quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Answer by step ahead the quantile at its priced level, shape (steps,); arguments as there."""
    chosen = priced_levels(quantiles, levels)
    return np.array([np.interp(level, levels, row) for level, row in zip(chosen, quantiles, strict=True)])


def priced_levels(quantiles: FloatArray, levels: FloatArray, price: float = SHORT_PRICE) -> FloatArray:
    """Answer by step ahead the level that costs least: capacity, and the price by the chance to be short.

    It is one of those given. Wider forecasts have lower levels, so that demand which is higher in its upper
    quantiles alone may be planned with a lower one. Demand multiplied by a factor has the same levels.

    Args:
        quantiles: Shape (steps, len(levels)), ascending along the last axis.
        levels: Ascending, in 0..1.
        price: Of a short step, in capacity of a step of typical demand: the mean of the medians.
    """
    tried = np.flatnonzero((levels >= LOWEST - NEAR) & (levels <= HIGHEST + NEAR))
    if not tried.size:
        return np.full(len(quantiles), LEVEL)
    typical = float(quantile_at(quantiles, levels, MEDIAN).mean())
    costs = quantiles[:, tried] + price * typical * (1 - levels[tried])
    found: FloatArray = levels[tried][costs.argmin(axis=1)]
    return found


def share(above: float, known: float) -> float:
    """Answer how far towards the envelope to go, by how the forecast kept its word.

    Args:
        above: How many of the values that came lately lay above the quantile `LEVEL` of their forecast.
        known: How many there were; 0: nothing is known of the forecast, and it is not believed.
    """
    if known <= 0:
        return 1.0
    seen = (above + PRIOR_STEPS * (1 - LEVEL)) / (known + PRIOR_STEPS)
    broken = min(max((seen - KEPT_UP_TO) / (BROKEN_FROM - KEPT_UP_TO), 0.0), 1.0)
    return TRUSTED_SHARE + (1 - TRUSTED_SHARE) * broken


def quantile_at(quantiles: FloatArray, levels: FloatArray, level: float = LEVEL) -> FloatArray:
    """Answer a quantile from those at the levels, linear between them and flat beyond.

    Args:
        quantiles: Shape (..., len(levels)), ascending along the last axis.
        levels: Ascending, in 0..1.
        level: Which one.
    """
    if len(levels) == 1:
        return quantiles[..., 0]
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    low, high = float(levels[right - 1]), float(levels[right])
    part = min(max((level - low) / (high - low), 0.0), 1.0)
    found: FloatArray = (1 - part) * quantiles[..., right - 1] + part * quantiles[..., right]
    return found
