"""Train one network: draw stretches, make events up, stop where held-out time says so.

`model` calls it, once per seed. Held-out stretches are the newest of each series; what is learned from ends
before they begin. All randomness comes from the seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controlplane.forecast.features.inputs import COVARIATES, FEATURES
from controlplane.forecast.features.sampling import eligible
from controlplane.forecast.features.track import Track
from controlplane.forecast.lstm.backend import keras
from controlplane.forecast.lstm.examples import WIDTH, Examples, joined, of_window
from controlplane.forecast.lstm.layers import PinballLoss
from controlplane.forecast.lstm.network import network
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.port import Told
from controlplane.forecast.series import Window

FEWEST_HELD_OUT = 20
"""With fewer held-out stretches a series is learned from to its end."""

MOST_HELD_OUT = 120
"""More of one series tell nothing new."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, and how it went.

    Attributes:
        network: The Keras model, with the weights of its best epoch.
        windows: Stretches learned from.
        series: Series learned from.
        losses: Training loss of each epoch.
        held_out: Held-out loss of each epoch; empty where nothing was held out.
    """

    network: Any
    windows: int
    series: int
    losses: tuple[float, ...]
    held_out: tuple[float, ...]


def train(
    windows: Sequence[Window], horizon: int, seed: int, settings: Settings, told: Told
) -> Trained | None:
    """Train one network; None where there is nothing to learn from.

    Args:
        windows: All of one grid.
        horizon: Steps ahead.
        seed: All randomness comes from it.
        settings: The network and its training.
        told: Progress.
    """
    keras.utils.set_random_seed(seed % 2**32)
    rng = np.random.default_rng(seed)
    parts = [_split(window, horizon, settings, rng) for window in windows]
    learned = joined([part for part, _ in parts], horizon)
    held = joined([part for _, part in parts], horizon)
    if not len(learned):
        return None
    learned = with_events(learned, settings, rng)
    made = network(settings, WIDTH)
    batches = math.ceil(len(learned) / settings.batch)
    made.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(settings.rate, settings.epochs * batches, alpha=0.01),
            weight_decay=settings.decay,
            clipnorm=1.0,
        ),
        loss=PinballLoss(settings.near, settings.near_weight),
        jit_compile=False,  # it would keep the LSTM from cuDNN
    )
    history = made.fit(
        {"past": learned.past, "ahead": learned.ahead},
        learned.compressed(),
        validation_data=({"past": held.past, "ahead": held.ahead}, held.compressed()) if len(held) else None,
        batch_size=settings.batch,
        epochs=settings.epochs,
        callbacks=[_Telling(told, settings.epochs), *_stopping(held, settings)],
        verbose=0,
    ).history
    return Trained(
        made,
        len(learned),
        sum(len(part) > 0 for part, _ in parts),
        tuple(history["loss"]),
        tuple(history.get("val_loss", ())),
    )


class _Telling(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Tells progress at the end of each epoch."""

    def __init__(self, told: Told, epochs: int) -> None:
        super().__init__()
        self._told = told
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell."""
        loss = (logs or {}).get("val_loss", math.nan)
        self._told((epoch + 1) / self._epochs, f"epoch {epoch + 1}, held-out loss {loss:.4f}")


def _stopping(held: Examples, settings: Settings) -> list[Any]:
    if not len(held):
        return []
    return [keras.callbacks.EarlyStopping(patience=settings.patience, restore_best_weights=True)]


def _split(
    window: Window, horizon: int, settings: Settings, rng: np.random.Generator
) -> tuple[Examples, Examples]:
    """Draw the stretches of one series that are learned from, and those that are held out."""
    track = Track.of(window.series)
    origins = eligible(track, horizon)
    cut = int(len(track.values) * (1 - settings.held_out))
    held, past = origins[origins >= cut], origins[origins + horizon < cut]
    if len(held) < FEWEST_HELD_OUT or not len(past):
        held, past = origins[:0], origins
    drawn = [
        np.sort(rng.choice(some, count, replace=False)) if len(some) > count else some
        for some, count in ((past, settings.per_series), (held, MOST_HELD_OUT))
    ]
    learned, stopping = (of_window(window, track, some, horizon) for some in drawn)
    return learned, stopping


def with_events(learned: Examples, settings: Settings, rng: np.random.Generator) -> Examples:
    """Make events up, so that their covariate means something however few real ones there were.

    A stretch of the horizon is multiplied, and the covariate says by about how much. Some stretches lose all
    covariates, so that the network does without.
    """
    count, horizon = learned.wanted.shape
    column = FEATURES.index("event")
    ahead, wanted = learned.ahead.copy(), learned.wanted.copy()
    for place in np.flatnonzero(rng.random(count) < settings.event_share):
        first = int(rng.integers(0, horizon))
        stop = first + int(rng.integers(2, horizon + 1))
        uplift = rng.normal(0.5, 0.5)
        wanted[place, first:stop] *= math.exp(uplift)
        ahead[place, first:stop, column] = uplift + rng.normal(0.0, 0.1)
    hidden = rng.random(count) < settings.event_dropout
    for name in COVARIATES:
        ahead[hidden, :, FEATURES.index(name)] = 0.0
    return replace(learned, ahead=ahead, wanted=wanted)
