"""Train one network: draw stretches, make events up, stop where held-out time says so.

`model` calls it, once per seed. Held-out stretches are the newest of each series; what is learned from ends
before they begin. All randomness comes from the seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controlplane.forecast.features.compression import multiplied
from controlplane.forecast.features.inputs import COVARIATES
from controlplane.forecast.features.sampling import eligible
from controlplane.forecast.features.track import Track
from controlplane.forecast.lstm.backend import keras
from controlplane.forecast.lstm.examples import (
    CANDIDATES,
    COLUMNS,
    WIDTH,
    Examples,
    Narrow,
    joined,
    of_window,
)
from controlplane.forecast.lstm.layers import PinballLoss
from controlplane.forecast.lstm.mixing import mixtures
from controlplane.forecast.lstm.network import network
from controlplane.forecast.lstm.ridges import HeldOut, held_out
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.models.ridge import Said
from controlplane.forecast.port import Told
from controlplane.forecast.series import Window

FEWEST_HELD_OUT = 20
"""With fewer held-out stretches a series is learned from to its end."""

LEAST_ERROR = 0.15
"""No series counts as easier to forecast than this."""

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
        windows: All of one grid, on their scales.
        horizon: Steps ahead.
        seed: All randomness comes from it.
        settings: The network and its training.
        told: Progress.
    """
    settings = settings.on(windows[0].series.step_seconds if windows else 0)
    keras.utils.set_random_seed(seed % 2**32)
    rng = np.random.default_rng(seed)
    each = settings.most // max(1, round(len(windows) * (1 + (settings.mixtures or 0))))
    settings = replace(settings, per_series=max(1, min(settings.per_series, each)))
    parts = [_split(window, horizon, settings, rng) for window in windows]
    parts += _made_up(windows, horizon, settings, rng)
    learned = joined([part for part, _ in parts], horizon)
    held = joined([part for _, part in parts], horizon)
    if not len(learned):
        return None
    weights, held_weights = _weights(parts, settings)
    learned = with_events(learned, settings, rng, windows[0].series.step_seconds)
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
        sample_weight=weights,
        validation_data=({"past": held.past, "ahead": held.ahead}, held.compressed(), held_weights)
        if len(held)
        else None,
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


def _made_up(
    windows: Sequence[Window], horizon: int, settings: Settings, rng: np.random.Generator
) -> list[tuple[Examples, Examples]]:
    """Draw stretches of mixtures of the series, all before what is held out."""
    early = [
        replace(each, series=each.series.until(int(len(each.series) * (1 - settings.held_out))))
        for each in windows
    ]
    mixed = mixtures(early, round((settings.mixtures or 0) * len(windows)), rng)
    return [_split(each, horizon, replace(settings, held_out=0.0), rng) for each in mixed]


def _weights(parts: Sequence[tuple[Examples, Examples]], settings: Settings) -> tuple[Narrow, Narrow]:
    """Answer the weights of all stretches, learned and held out: alike within a series, 1 in the mean.

    A series weighs the less, the more even its best candidate is off. Held-out ones do so in full: what is to
    fall is the mean over series of each one's loss against a simple forecast, and a tail that nobody could
    have foreseen must not decide when to stop.
    """
    return _alike([part for part, _ in parts], settings.balance), _alike([part for _, part in parts], 1.0)


def _alike(parts: Sequence[Examples], power: float) -> Narrow:
    raw = [max(_error(part), LEAST_ERROR) ** -power for part in parts]
    weights = np.repeat(raw, [len(part) for part in parts])
    return (weights / weights.mean()).astype(np.float32) if len(weights) else weights.astype(np.float32)


def _error(part: Examples) -> float:
    """Answer how far the best candidate is off on average, compressed; 1 where nothing was drawn."""
    if not len(part):
        return 1.0
    apart = np.abs(part.ahead[:, :, : len(CANDIDATES)] - part.compressed()[:, :, None])
    return float(np.nanmean(apart, axis=(0, 1)).min())


def _split(
    window: Window, horizon: int, settings: Settings, rng: np.random.Generator
) -> tuple[Examples, Examples]:
    """Draw the stretches of one series that are learned from, and those that are held out."""
    track = Track.of(window.series)
    cut = int(len(track.values) * (1 - settings.held_out))
    sources = held_out(window.series, horizon) if settings.ridge else []
    cold = eligible(track, horizon)
    possible = [(each.origins, each) for each in sources] + [(cold, None)]
    tail = sources[0].origins if sources else cold
    stops = int((tail >= cut).sum()) >= FEWEST_HELD_OUT and bool((cold + horizon < cut).any())
    learned: list[Examples] = []
    stopping: list[Examples] = []
    for origins, source in possible:
        share = (
            1.0
            if not sources
            else settings.cold_share
            if source is None
            else _share(source, sources, settings)
        )
        early = np.flatnonzero(origins + horizon < cut) if stops else np.arange(len(origins))
        late = np.flatnonzero(origins >= cut) if stops and (source is not None or not sources) else early[:0]
        for places, count, into in (
            (early, round(settings.per_series * share), learned),
            (late, MOST_HELD_OUT, stopping),
        ):
            some = np.sort(rng.choice(places, count, replace=False)) if len(places) > count else places
            said = None if source is None else Said(source.said.centre[some], source.said.scale[some])
            if len(some):
                into.append(of_window(window, track, origins[some], horizon, said))
    return joined(learned, horizon), joined(stopping, horizon)


def _share(source: HeldOut, sources: Sequence[HeldOut], settings: Settings) -> float:
    """Answer which share of a series' stretches comes from one segment."""
    return (1 - settings.cold_share) * len(source.origins) / sum(len(each.origins) for each in sources)


def with_events(
    learned: Examples, settings: Settings, rng: np.random.Generator, step_seconds: int
) -> Examples:
    """Make events up, so that their covariate means something however few real ones there were.

    A stretch of the horizon is multiplied, and the covariate says by about how much. Some stretches lose all
    covariates, so that the network does without.
    """
    count, horizon = learned.wanted.shape
    column = COLUMNS.index("event")
    ahead, wanted = learned.ahead.copy(), learned.wanted.copy()
    for place in np.flatnonzero(rng.random(count) < settings.event_share):
        first = int(rng.integers(0, horizon))
        stop = first + int(rng.integers(2, horizon + 1))
        uplift = rng.normal(0.5, 0.5)
        wanted[place, first:stop] = multiplied(wanted[place, first:stop], math.exp(uplift), step_seconds)
        ahead[place, first:stop, column] = uplift + rng.normal(0.0, 0.1)
    hidden = rng.random(count) < settings.event_dropout
    for name in COVARIATES:
        ahead[hidden, :, COLUMNS.index(name)] = 0.0
    return replace(learned, ahead=ahead, wanted=wanted)
