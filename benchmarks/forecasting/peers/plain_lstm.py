"""A plain LSTM, as ablation: what is left of the project's without its recipe.

No gate between candidates, no seasonal or calendar inputs, no ensemble: an encoder reads the newest values,
brought to mean 0 and deviation 1, and one layer says all quantiles of all steps. It learns over all series,
with the same loss and about as many examples, and stops early likewise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from controlplane.forecast.features.inputs import ENCODED
from controlplane.forecast.gaps import whole
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS, bounded, ordered
from controlplane.forecast.series import FloatArray, Window

REACH = 3.0
"""No forecast is above so many times the largest value seen."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network; None where there was nothing to learn from."""

    network: Any

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port."""
        answers = np.full((len(windows), horizon, len(LEVELS)), np.nan)
        values = [whole(window.series).values for window in windows]
        able = [index for index, each in enumerate(values) if len(each) >= ENCODED]
        if self.network is None or not able:
            return answers
        past = np.stack([values[index][-ENCODED:] for index in able])
        centre, scale = _scales(past)
        told = self.network.predict(((past - centre) / scale)[..., None].astype(np.float32), verbose=0)
        found = ordered(centre[..., None] + scale[..., None] * told[:, :horizon])
        for index, quantiles in zip(able, found, strict=True):
            top = REACH * float(values[index].max())
            upper = windows[index].series.upper
            answers[index] = bounded(quantiles, 0.0, top if upper is None else min(top, upper))
        return answers


class PlainLstm:
    """The forecaster."""

    name = "PlainLSTM"
    needs = ENCODED
    learns_over_all = True

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> Fitted:
        """Train one network on stretches of all series; see the port."""
        del told
        rng = np.random.default_rng(seed)
        parts = [self._stretches(whole(window.series).values, horizon, rng) for window in windows]
        learned, held = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        return Fitted(self._trained(learned, held, horizon, seed) if len(learned) else None)

    def _stretches(
        self, values: FloatArray, horizon: int, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draw stretches to learn from, and held-out ones after them, each (n, ENCODED + horizon)."""
        width = ENCODED + horizon
        if len(values) < width:
            return np.zeros((0, width)), np.zeros((0, width))
        every = np.lib.stride_tricks.sliding_window_view(values, width)
        cut = int(len(every) * (1 - self.settings.held_out))
        past, held = every[: max(1, cut - horizon)], every[cut:]
        return _drawn(past, self.settings.per_series, rng), _drawn(held, 120, rng)

    def _trained(self, learned: FloatArray, held: FloatArray, horizon: int, seed: int) -> Any:
        from controlplane.forecast.lstm.backend import keras  # noqa: PLC0415 - takes seconds
        from controlplane.forecast.lstm.layers import PinballLoss  # noqa: PLC0415 - likewise

        keras.utils.set_random_seed(seed)
        settings = self.settings
        network = keras.Sequential(
            [
                keras.Input((ENCODED, 1)),
                keras.layers.LSTM(settings.units),
                keras.layers.Dropout(settings.dropout),
                keras.layers.Dense(horizon * len(LEVELS)),
                keras.layers.Reshape((horizon, len(LEVELS))),
            ]
        )
        network.compile(
            optimizer=keras.optimizers.AdamW(settings.rate, weight_decay=settings.decay, clipnorm=1.0),
            loss=PinballLoss(settings.near, settings.near_weight),
        )
        network.fit(
            *_examples(learned),
            validation_data=_examples(held) if len(held) else None,
            epochs=settings.epochs,
            batch_size=settings.batch,
            callbacks=[keras.callbacks.EarlyStopping(patience=settings.patience, restore_best_weights=True)]
            if len(held)
            else [],
            verbose=0,
        )
        return network


def _drawn(rows: FloatArray, most: int, rng: np.random.Generator) -> FloatArray:
    return rows[np.sort(rng.choice(len(rows), most, replace=False))] if len(rows) > most else rows


def _scales(past: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Answer what counts as 0 and as 1 in each stretch, both (n, 1)."""
    centre = past.mean(axis=1, keepdims=True)
    return centre, np.maximum(past.std(axis=1, keepdims=True), 1e-3 * np.abs(centre) + 1e-9)


def _examples(stretches: FloatArray) -> tuple[Any, Any]:
    past, ahead = stretches[:, :ENCODED], stretches[:, ENCODED:]
    centre, scale = _scales(past)
    return (
        ((past - centre) / scale)[..., None].astype(np.float32),
        np.clip((ahead - centre) / scale, -30, 30).astype(np.float32),
    )
