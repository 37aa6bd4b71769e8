"""Which stretches a global model learns from: as many of every series, newer ones more often.

The boosting and the LSTM call it. Every draw comes from the generator given.
"""

from collections.abc import Sequence

import numpy as np

from controlplane.forecast.features.track import IntArray, Track
from controlplane.forecast.series import FloatArray

FEWEST = 12
"""Values that must lie before an origin."""


def eligible(track: Track, horizon: int, fewest: int = FEWEST) -> IntArray:
    """Answer the origins that can be learned from: something known before, half of the horizon after."""
    count = track.plain.count
    origins = np.arange(len(track.values) - 1, dtype=np.int64)
    stop = np.minimum(origins + 1 + horizon, len(track.values))
    before, after = count[origins + 1], count[stop] - count[origins + 1]
    return origins[(before >= fewest) & (2 * after >= horizon)]


def draw(
    tracks: Sequence[Track],
    horizon: int,
    per_series: int,
    rng: np.random.Generator,
    half_life: float | None = None,
) -> list[IntArray]:
    """Draw origins for training.

    Args:
        tracks: The series.
        horizon: Steps ahead that are learned.
        per_series: How many of each series, whatever its length; fewer where it has fewer.
        rng: All randomness.
        half_life: Steps back at which an origin is drawn half as often; None: all alike.

    Returns:
        For each track its origins, ascending and distinct, possibly none.
    """
    drawn = []
    for track in tracks:
        origins = eligible(track, horizon)
        if len(origins) > per_series:
            weights = _weights(origins, half_life)
            origins = np.sort(rng.choice(origins, per_series, replace=False, p=weights))
        drawn.append(origins)
    return drawn


def _weights(origins: IntArray, half_life: float | None) -> FloatArray:
    """Answer how likely each origin is to be drawn."""
    ages = (origins[-1] - origins).astype(np.float64)
    raw: FloatArray = np.ones(len(origins)) if half_life is None else np.exp2(-ages / half_life)
    shares: FloatArray = raw / raw.sum()
    return shares
