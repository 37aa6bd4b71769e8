"""From windows to what the network reads: instance-normalised stretches, for training and for forecasting.

`training` and `model` call it. Nothing here looks beyond an origin, but for the targets; nothing imports
Keras.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.features.candidates import candidates, targets
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
from controlplane.forecast.lstm.covariates import covariates
from controlplane.forecast.series import FloatArray, Window

Narrow = NDArray[np.float32]

WIDTH = len(FEATURES) + len(VOLATILITY)
"""Features of a step ahead: the shared ones, and the logarithms of how restless the series is."""

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


def of_window(window: Window, track: Track, origins: IntArray, horizon: int) -> Examples:
    """Answer stretches of one series.

    Args:
        window: The series and its covariates.
        track: The same series, prepared.
        origins: Shape (n,); none before the first value.
        horizon: Steps ahead.
    """
    found = candidates(track, origins, horizon)
    scale = scales(track, origins)[:, None]
    centre = found.of("mean12")[:, :1]
    ahead = decoder(track, origins, found, centre, scale, covariates(window, horizon))
    first = FEATURES.index(VOLATILITY[0])
    restless = np.log(np.sinh(ahead[:, :, first : first + len(VOLATILITY)]) + 1e-3)
    every = np.clip(np.concatenate([ahead, restless], axis=-1), -BOUND, BOUND)
    return Examples(
        np.clip(encoder(track, origins, scale[:, 0]), -BOUND, BOUND).astype(np.float32),
        every.astype(np.float32),
        centre,
        scale,
        targets(track, origins, horizon),
    )


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
