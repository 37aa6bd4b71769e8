"""Which demand to be ready for: a quantile of the forecast, raised towards the reactive envelope. Pure.

Planning and the scaling benchmark call it. The envelope is the most that came of late. Whoever plans with the
larger of both pays for every peak that is over; whoever trusts the forecast alone misses what it does not
see. So the quantile is raised by a share of what it lies below the envelope: a small one where the forecast
has kept its word lately, all of it where it has not, or where nothing is known of it. It must never ask how
demand was forecast, and never answer less than the quantile.

Level and share were chosen on 43 series and earlier origins, none of which the benchmark scores; see
`docs/scaling-measured.md`.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEVEL = 0.85
"""The quantile that is raised, where no price of a miss says otherwise."""

TRUSTED_SHARE = 0.3
"""How far towards the envelope where the forecast keeps its word."""

KEPT_UP_TO = 0.2
"""A forecast keeps its word while no more of the values than this lie above its quantile `LEVEL`."""

BROKEN_FROM = 0.5
"""From here on it is not believed at all: the envelope is the least that is planned for."""

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
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    low, high = float(levels[right - 1]), float(levels[right])
    part = min(max((level - low) / (high - low), 0.0), 1.0)
    found: FloatArray = (1 - part) * quantiles[..., right - 1] + part * quantiles[..., right]
    return found
