"""What the LSTM is made of and how it is trained; the values chosen were measured on held-out tails.

Everything in this room and the code that trains and saves call it. It imports nothing heavy, so that a
process may know the settings without TensorFlow.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """A network and its training.

    Attributes:
        units: Width of the encoder.
        width: Width of the decoder's layers.
        dropout: Share of activations left out while training.
        residual: How far the centre may leave the candidates' mixture, in compressed scales.
        seeds: How many networks are trained; forecasts are their mean.
        per_series: Stretches drawn from each series.
        epochs: Most passes over them.
        patience: Passes without a better held-out loss before it stops.
        batch: Stretches a step.
        rate: First learning rate; it falls to a hundredth along a cosine.
        decay: Weight decay.
        near: Steps ahead that weigh more, and
        near_weight: how much more.
        held_out: Share of each series' end that the stopping is judged on.
        event_share: Share of the stretches that are given a made-up event.
        event_dropout: Share of the stretches whose covariates are hidden.
    """

    units: int = 64
    width: int = 96
    dropout: float = 0.1
    residual: float = 0.3
    seeds: int = 2
    per_series: int = 1500
    epochs: int = 6
    patience: int = 2
    batch: int = 256
    rate: float = 2e-3
    decay: float = 1e-3
    near: int = 12
    near_weight: float = 1.8
    held_out: float = 0.08
    event_share: float = 0.1
    event_dropout: float = 0.1


TINY = Settings(units=8, width=16, seeds=1, per_series=120, epochs=3, batch=32, rate=1e-2)
"""Trains in a few seconds and forecasts badly: for tests of all but accuracy."""
