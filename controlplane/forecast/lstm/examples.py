"""From windows to what the network reads: instance-normalised stretches, for training and for forecasting.

`training` and `model` call it. Nothing here looks beyond an origin, but for the targets; nothing imports
Keras.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.features.candidates import NAMES, Candidates, candidates, targets
from controlplane.forecast.features.covariates import covariates
from controlplane.forecast.features.inputs import (
    CHANNELS,
    ENCODED,
    FEATURES,
    VOLATILITY,
    decoder,
    encoder,
    scales,
)
from controlplane.forecast.features.track import IntArray, Track
from controlplane.forecast.models.ridge import Said
from controlplane.forecast.series import FloatArray, Window

Narrow = NDArray[np.float32]

CANDIDATES = (*NAMES, "ridge")
"""What the gate chooses from, in its order."""

COLUMNS = (
    *CANDIDATES,
    *FEATURES[len(NAMES) :],
    *(f"log_{name}" for name in VOLATILITY),
    "ridge_scale",
    "knows_ridge",
)
"""What the decoder reads of a step ahead, in its order."""

WIDTH = len(COLUMNS)

BOUND = 12.0
"""Inputs are cut here: asinh of 12 scales is 3.2, so only broken series reach it."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Stretches of many series.

    Attributes:
        past: Shape (n, ENCODED, len(CHANNELS)).
        ahead: Shape (n, horizon, WIDTH).
        centre: What counts as 0, shape (n, 1), in the unit of the series.
        scale: What counts as 1, likewise.
        wanted: What came, shape (n, horizon), in the unit of the series; NaN in gaps.
    """

    past: Narrow
    ahead: Narrow
    centre: FloatArray
    scale: FloatArray
    wanted: FloatArray

    def __len__(self) -> int:
        """Count the stretches."""
        return len(self.past)

    def compressed(self) -> Narrow:
        """Answer what came as the network sees it."""
        return np.arcsinh((self.wanted - self.centre) / self.scale).astype(np.float32)

    def expanded(self, outputs: FloatArray) -> FloatArray:
        """Answer the network's quantiles in the unit of the series, shape (n, horizon, levels)."""
        return self.centre[..., None] + self.scale[..., None] * np.sinh(outputs)


def of_window(
    window: Window, track: Track, origins: IntArray, horizon: int, ridge: Said | None = None
) -> Examples:
    """Answer stretches of one series.

    Args:
        window: The series and its covariates.
        track: The same series, prepared.
        origins: Shape (n,); none before the first value.
        horizon: Steps ahead.
        ridge: What the series' ridge says of each origin; where it says nothing, short means and profile
            take its place and a feature says so.
    """
    found = candidates(track, origins, horizon)
    scale = scales(track, origins)[:, None]
    centre = found.of("mean12")[:, :1]
    shared = decoder(track, origins, found, centre, scale, covariates(window, horizon))
    first = FEATURES.index(VOLATILITY[0])
    restless = np.log(np.sinh(shared[:, :, first : first + len(VOLATILITY)]) + 1e-3)
    said, size, known = _ridge(found, scale, ridge)
    compact = np.arcsinh((said - centre) / scale)
    parts = [
        shared[:, :, : len(NAMES)],
        compact[..., None],
        shared[:, :, len(NAMES) :],
        restless,
        size[..., None],
        known[..., None],
    ]
    return Examples(
        np.clip(encoder(track, origins, scale[:, 0]), -BOUND, BOUND).astype(np.float32),
        np.clip(np.concatenate(parts, axis=-1), -BOUND, BOUND).astype(np.float32),
        centre,
        scale,
        targets(track, origins, horizon),
    )


def _ridge(
    found: Candidates, scale: FloatArray, ridge: Said | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Answer centre, logarithm of the scale and whether there is a ridge, each of shape (n, horizon)."""
    instead = 0.5 * (found.of("mean3") + found.of("profile+"))
    if ridge is None:
        return instead, np.zeros(instead.shape), np.zeros(instead.shape)
    there = np.isfinite(ridge.centre) & np.isfinite(ridge.scale)
    size = np.log(np.maximum(np.where(there, ridge.scale, scale) / scale, 1e-3))
    return np.where(there, ridge.centre, instead), size, there.astype(np.float64)


def joined(parts: Sequence[Examples], horizon: int) -> Examples:
    """Answer stretches of several series one after another."""
    if not parts:
        return Examples(
            np.zeros((0, ENCODED, len(CHANNELS)), np.float32),
            np.zeros((0, horizon, WIDTH), np.float32),
            np.zeros((0, 1)),
            np.zeros((0, 1)),
            np.zeros((0, horizon)),
        )
    return Examples(*(np.concatenate([getattr(part, name) for part in parts]) for name in Examples.__slots__))
