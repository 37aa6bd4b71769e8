"""The tracks of many series as arrays of one shape, and how much each origin counts. Pure.

`controlplane.forecast.combination` gathers tracks here and hands one horizon bucket after the other to the
spread, the weights and the calibration. Tracks of unlike length are padded with origins that count nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track

FEW = 8
"""Of a bucket with more steps than this only every second one is learned from: neighbours say the same."""


LEAST_SCALE = 1e-12
"""In the place of the mean of a series that was always 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What n series' members forecast in one horizon bucket from k origins, and what came.

    Attributes:
        forecasts: Shape (n, k, m, steps, levels), finite; 0 where a member had none.
        usable: Shape (n, k, m): where a member had one.
        actuals: Shape (n, k, steps), finite; 0 where not known.
        known: Shape (n, k, steps).
        age: Shape (n, k): how much an origin counts, 0..1; 0 where nothing of it is known.
        scale: Shape (n,): mean absolute actual, above 0.
        count: Shape (n,): the effective number of origins.
    """

    forecasts: FloatArray
    usable: NDArray[np.bool_]
    actuals: FloatArray
    known: NDArray[np.bool_]
    age: FloatArray
    scale: FloatArray
    count: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """All steps of all tracks.

    Attributes:
        forecasts: Shape (n, k, m, horizon, levels), NaN where there is none.
        actuals: Shape (n, k, horizon), NaN where not known.
        ages: Shape (n, k): steps since the origin; infinite for padding.
    """

    forecasts: FloatArray
    actuals: FloatArray
    ages: FloatArray

    @property
    def known(self) -> NDArray[np.bool_]:
        """Say of which series anything is known, shape (n,)."""
        return np.asarray(np.isfinite(self.actuals).any(axis=(1, 2)))

    def bucket(self, first: int, last: int, half_life: float) -> Past:
        """Answer the steps `first` to `last`, counted from 1."""
        each = 2 if last - first >= FEW else 1
        steps = slice(first - 1, last, each)
        forecasts, actuals = self.forecasts[:, :, :, steps], self.actuals[:, :, steps]
        known = np.isfinite(actuals)
        usable = np.asarray(np.isfinite(forecasts).all(axis=(3, 4)))
        filled = np.where(known, actuals, 0.0)
        age = np.where(known.any(axis=-1), 0.5 ** (self.ages / half_life), 0.0)
        size = np.abs(filled).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
        return Past(
            forecasts=np.where(usable[..., None, None], forecasts, 0.0),
            usable=usable,
            actuals=filled,
            known=known,
            age=age,
            scale=np.maximum(size, LEAST_SCALE),
            count=_effective(age, self.ages, last),
        )


def _effective(age: FloatArray, ages: FloatArray, last: int) -> FloatArray:
    """Count origins: Kish's number by weight, and no more than fit beside each other without overlap."""
    kish = age.sum(axis=1) ** 2 / np.maximum((age**2).sum(axis=1), np.finfo(float).tiny)
    counted = age > 0
    oldest = np.where(counted, ages, 0.0).max(axis=1, initial=0.0)
    newest = np.where(counted, ages, np.inf).min(axis=1, initial=np.inf)
    apart = 1.0 + np.maximum(oldest - newest, 0.0) / last
    return np.where(counted.any(axis=1), np.minimum(kish, apart), 0.0)


def gather(
    tracks: Sequence[Track],
    members: tuple[str, ...],
    origins: NDArray[np.int64],
    horizon: int,
    highest: FloatArray,
) -> Gathered:
    """Put tracks into arrays, the newest origin last, each forecast within 0 and what is credible.

    Args:
        tracks: One per series. Origins at or after the series' present one are left out.
        members: In which order.
        origins: Shape (n,): the present origins.
        horizon: How many steps.
        highest: Shape (n,): what no forecast may exceed.
    """
    known = [track.known_at(int(now)) for track, now in zip(tracks, origins, strict=True)]
    deepest = max((len(track) for track in known), default=0)
    shape = (len(tracks), deepest, len(members), horizon, len(LEVELS))
    forecasts, actuals = np.full(shape, np.nan), np.full((shape[0], deepest, horizon), np.nan)
    ages = np.full(shape[:2], np.inf)
    for row, (track, now) in enumerate(zip(known, origins, strict=True)):
        rows, steps = slice(deepest - len(track), deepest), min(horizon, track.horizon)
        forecasts[row, rows, :, :steps] = track.aligned(members)[:, :, :steps]
        actuals[row, rows, :steps] = track.actuals[:, :steps]
        ages[row, rows] = (now - track.origins) / track.step_seconds
    np.clip(forecasts, 0.0, highest[:, None, None, None, None], out=forecasts)
    return Gathered(forecasts, actuals, ages)
