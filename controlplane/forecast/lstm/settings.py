"""What the LSTM is made of and how it is trained; the values chosen were measured on held-out tails.

Everything in this room and the code that trains and saves call it. It imports nothing heavy, so that a
process may know the settings without TensorFlow.
"""

from dataclasses import dataclass, replace

from controlplane.forecast.series import HOUR

COARSE = HOUR // 2
"""From here on a day has few steps: on held-out time ridges helped there and mixtures did not; on finer grids
it was the other way round."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A network and its training.

    Attributes:
        units: Width of the encoder.
        width: Width of the decoder's layers.
        dropout: Share of activations left out while training.
        gated: Whether the centre is a mixture of the candidates; otherwise the decoder says it freely.
        residual: How far the centre may leave the candidates' mixture, in compressed scales.
        ridge: Whether each series' ridge is among the candidates; None: on coarse grids alone, see `COARSE`.
        seeds: How many networks are trained; forecasts are their mean.
        per_series: Stretches drawn from each series, and
        most: from all of them together, which bounds time and memory.
        mixtures: How many made-up series are learned from beside each real one; None: one on fine grids.
        epochs: Most passes over them.
        patience: Passes without a better held-out loss before it stops.
        batch: Stretches a step.
        rate: First learning rate; it falls to a hundredth along a cosine.
        decay: Weight decay.
        near: Steps ahead that weigh more, and
        near_weight: how much more.
        balance: How far series that are hard to forecast are kept from drowning the others: the power of the
            best candidate's error by which a series' loss is divided.
        held_out: Share of each series' end that the stopping is judged on.
        cold_share: Share of the stretches that are learned from without a ridge, as new series are served.
        event_share: Share of the stretches that are given a made-up event.
        event_dropout: Share of the stretches whose covariates are hidden.
    """

    units: int = 64
    width: int = 96
    dropout: float = 0.1
    gated: bool = True
    residual: float = 0.3
    ridge: bool | None = None
    seeds: int = 2
    per_series: int = 1500
    most: int = 30_000
    mixtures: float | None = None
    epochs: int = 6
    patience: int = 3
    batch: int = 256
    rate: float = 4e-3
    decay: float = 1e-3
    near: int = 12
    near_weight: float = 1.8
    balance: float = 1.0
    held_out: float = 0.08
    cold_share: float = 0.15
    event_share: float = 0.1
    event_dropout: float = 0.1

    def on(self, step_seconds: int) -> "Settings":
        """Answer the settings with what depends on the grid decided."""
        coarse = step_seconds >= COARSE
        return replace(
            self,
            ridge=coarse if self.ridge is None else self.ridge,
            mixtures=float(not coarse) if self.mixtures is None else self.mixtures,
        )


TINY = Settings(units=8, width=16, seeds=1, per_series=120, mixtures=0, epochs=3, batch=32, rate=1e-2)
"""Trains in a few seconds and forecasts badly: for tests of all but accuracy."""
