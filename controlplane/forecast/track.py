"""How the models did on one series: what they forecast from past origins, and what came. Pure.

The leader keeps one track per series and grid step and adds to it at each refresh; the backtest builds one
from its calibration and test origins. `controlplane.forecast.combination` learns weights, spreads and
calibration from it. It must never hold an actual as known before it was, and never unpickles anything.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Series
from enchain.chains.errors import MalformedError

BOUND = 64
"""How many origins a track keeps unless it is told otherwise."""

_KEPT_BITS = 12
"""Bits of the mantissa that are stored: a relative error of at most 1/8192, and half the bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Forecasts of several models from several origins of one series, beside what came.

    Attributes:
        members: Names of the models, in the order of `forecasts`.
        step_seconds: Distance of the steps.
        origins: Shape (k,), ascending: the time of the last value seen, seconds since the epoch, UTC.
        forecasts: Shape (k, m, horizon, levels); NaN where a model had no forecast.
        actuals: Shape (k, horizon); NaN where the value is not known yet, or is a gap.
    """

    members: tuple[str, ...]
    step_seconds: int
    origins: NDArray[np.int64]
    forecasts: FloatArray
    actuals: FloatArray

    def __len__(self) -> int:
        """Count the origins."""
        return len(self.origins)

    @property
    def horizon(self) -> int:
        """How many steps ahead the forecasts reach."""
        return int(self.forecasts.shape[2])

    def due(self) -> NDArray[np.int64]:
        """Answer when each actual is measured, shape (k, horizon)."""
        ahead = self.step_seconds * np.arange(1, self.horizon + 1, dtype=np.int64)
        return self.origins[:, None] + ahead

    def known_at(self, now: int) -> "Track":
        """Answer what was known at a time: no later origin, and no actual measured after it."""
        kept = self.origins < now
        due = self.due()[kept]
        return replace(
            self,
            origins=self.origins[kept],
            forecasts=self.forecasts[kept],
            actuals=np.where(due <= now, self.actuals[kept], np.nan),
        )

    def newest(self, count: int = BOUND) -> "Track":
        """Answer the last `count` origins."""
        cut = max(0, len(self) - count)
        return replace(
            self, origins=self.origins[cut:], forecasts=self.forecasts[cut:], actuals=self.actuals[cut:]
        )

    def with_origin(self, origin: int, forecasts: Mapping[str, FloatArray], *, bound: int = BOUND) -> "Track":
        """Add what the models forecast from one more origin; the same origin again replaces it.

        Args:
            origin: Time of the last value seen.
            forecasts: By model, each of shape (horizon, levels). New names become members; a member
                without a forecast gets NaN.
            bound: How many origins to keep.
        """
        names = (*self.members, *(name for name in forecasts if name not in self.members))
        shape = (len(self), len(names), self.horizon, len(LEVELS))
        old = np.full(shape, np.nan)
        old[:, : len(self.members)] = self.forecasts
        nothing = np.full(shape[2:], np.nan)
        new = np.stack([forecasts.get(name, nothing) for name in names])
        kept = self.origins != origin
        origins = np.append(self.origins[kept], np.int64(origin))
        order = np.argsort(origins)
        return Track(
            names,
            self.step_seconds,
            origins[order],
            np.concatenate([old[kept], new[None]])[order],
            np.concatenate([self.actuals[kept], np.full((1, self.horizon), np.nan)])[order],
        ).newest(bound)

    def with_actuals(self, series: Series) -> "Track":
        """Fill in what has been measured since; what is known already stays where the series lacks it.

        Args:
            series: On the same grid step, as it is known now.
        """
        index = (self.due() - series.start) // self.step_seconds
        inside = (index >= 0) & (index < len(series))
        found = np.full(self.actuals.shape, np.nan)
        found[inside] = series.values[index[inside]]
        return replace(self, actuals=np.where(np.isfinite(found), found, self.actuals))

    def aligned(self, members: tuple[str, ...]) -> FloatArray:
        """Answer the forecasts in another order of members, shape (k, len(members), horizon, levels).

        A member that the track does not know is NaN; one that is not asked for is left out.
        """
        out = np.full((len(self), len(members), self.horizon, len(LEVELS)), np.nan)
        for place, name in enumerate(members):
            if name in self.members:
                out[:, place] = self.forecasts[:, self.members.index(name)]
        return out

    def to_bytes(self) -> bytes:
        """Answer a compressed archive of arrays; forecasts are rounded to a relative error of 1/8192."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            members=np.array(self.members, dtype=np.str_),
            step_seconds=np.int64(self.step_seconds),
            origins=self.origins,
            shape=np.array(self.forecasts.shape, dtype=np.int64),
            forecasts=_shuffled(self.forecasts),
            actuals=self.actuals,
        )
        return buffer.getvalue()


def empty(members: tuple[str, ...], step_seconds: int, horizon: int) -> Track:
    """Answer a track without origins."""
    return Track(
        members,
        step_seconds,
        np.zeros(0, dtype=np.int64),
        np.zeros((0, len(members), horizon, len(LEVELS))),
        np.zeros((0, horizon)),
    )


def from_bytes(data: bytes) -> Track:
    """Read what `Track.to_bytes` wrote.

    Raises:
        MalformedError: It is not such an archive, or was written for other levels.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            shape = tuple(int(size) for size in stored["shape"])
            track = Track(
                tuple(str(name) for name in stored["members"]),
                int(stored["step_seconds"]),
                stored["origins"].astype(np.int64),
                _unshuffled(stored["forecasts"], shape),
                stored["actuals"].astype(np.float64),
            )
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(str(error)) from error
    if (fault := _fault(track)) is not None:
        raise _unreadable(fault)
    return track


def _fault(track: Track) -> str | None:
    """Say what does not fit together."""
    k, m, horizon = len(track.origins), len(track.members), track.horizon
    if track.forecasts.shape != (k, m, horizon, len(LEVELS)):
        return f"forecasts have the shape {track.forecasts.shape}"
    if track.actuals.shape != (k, horizon):
        return f"actuals have the shape {track.actuals.shape}"
    return None


def _unreadable(why: str) -> MalformedError:
    return MalformedError(
        f"A stored track of forecasts cannot be read: {why}.",
        reason="TRACK_UNREADABLE",
        remedy="Delete it: it builds up again as forecasts are made.",
        metadata={"why": why},
    )


def _shuffled(values: FloatArray) -> NDArray[np.uint8]:
    """Round to float32 with a short mantissa, and put like bytes together: it compresses far better."""
    bits = np.ascontiguousarray(values, dtype=np.float32).reshape(-1).view(np.uint32)
    dropped = 23 - _KEPT_BITS
    half = np.uint32(1 << (dropped - 1))
    mask = np.uint32(0xFFFFFFFF ^ ((1 << dropped) - 1))
    finite = np.isfinite(bits.view(np.float32))
    rounded = np.where(finite, (bits + half) & mask, bits).astype(np.uint32)
    return np.ascontiguousarray(rounded.view(np.uint8).reshape(-1, 4).T)


def _unshuffled(stored: NDArray[np.uint8], shape: tuple[int, ...]) -> FloatArray:
    """Undo `_shuffled`."""
    flat = np.ascontiguousarray(stored.T).view(np.float32).reshape(-1)
    return flat.astype(np.float64).reshape(shape)
