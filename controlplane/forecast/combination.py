"""One forecast out of those of all models, with weights, calibration and reasons. Pure.

The leader and the backtest call `combine` for all series of one grid step at once. Tracks say how the members
did before; where there are none the members count equally. It must never use an actual that a track
does not hold, and never answers quantiles that cross.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.pooling import pool
from controlplane.forecast.quantiles import bounded, ordered
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track

BUCKETS = (3, 12, 24, 48)
"""Last step of each horizon bucket; the last bucket takes all steps beyond."""


@dataclass(frozen=True, slots=True, eq=False)
class Present:
    """What the members forecast now, for n series of one grid step.

    Attributes:
        members: Names of the m models.
        forecasts: Shape (n, m, horizon, levels); NaN where a member has no forecast of a series.
        origins: Shape (n,): time of the last value of each series, seconds since the epoch, UTC.
        highest: Shape (n,): the largest value seen of each series.
        upper: Shape (n,): what no value can exceed, infinite where there is no such bound.
        allowed: Shape (n, m): which members may have weight, such as `controlplane.forecast.ladder` says.
            None allows all.
    """

    members: tuple[str, ...]
    forecasts: FloatArray
    origins: NDArray[np.int64]
    highest: FloatArray
    upper: FloatArray
    allowed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Why something was done to the forecast of a series.

    Attributes:
        member: Which model it is about; empty where it is about the whole.
        code: Stable UPPER_SNAKE code.
        words: A sentence for people.
    """

    member: str
    code: str
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """The combined forecast of n series.

    Attributes:
        quantiles: Shape (n, horizon, levels): ascending, within the bounds; NaN throughout for a series that
            no member forecast.
        members: Names of the m models, as in `Present`.
        buckets: Last step of each of the b horizon buckets.
        weights: Shape (n, b, m): of each member; they sum to one, or are all zero.
        spreads: Shape (n, b, m): what each member's distance from its median was multiplied by.
        notes: Per series, what was done and why.
    """

    quantiles: FloatArray
    members: tuple[str, ...]
    buckets: tuple[int, ...]
    weights: FloatArray
    spreads: FloatArray
    notes: tuple[tuple[Note, ...], ...]


def combine(tracks: Sequence[Track], present: Present) -> Combined:
    """Combine the members' forecasts of n series.

    The answer for one series does not depend on the order of the series or of the members.

    Args:
        tracks: One per series, in the order of `present`; an empty one where nothing is known yet. Only
            actuals that are not NaN are learned from; `Track.known_at` hides later ones.
        present: What the members forecast now.
    """
    del tracks
    n, m, horizon, _ = present.forecasts.shape
    buckets = (*(last for last in BUCKETS if last < horizon), horizon)
    usable = np.isfinite(present.forecasts).all(axis=(2, 3))
    if present.allowed is not None:
        usable &= present.allowed
    weights = np.where(usable, 1.0, 0.0) / np.maximum(usable.sum(axis=1, keepdims=True), 1)
    mixed = pool(np.moveaxis(present.forecasts, 1, 2), weights[:, None, :])
    held = bounded(ordered(mixed), 0.0, present.upper[:, None, None])
    return Combined(
        quantiles=held,
        members=present.members,
        buckets=buckets,
        weights=np.repeat(weights[:, None, :], len(buckets), axis=1),
        spreads=np.ones((n, len(buckets), m)),
        notes=((),) * n,
    )
