"""The global quantile LSTM behind the port: several networks over all series, their quantiles averaged.

The registry makes it, in the worker's process alone. It serves series that it never saw. What it learned
cannot be pickled; `saved` writes and reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from controlplane.forecast.features.compression import Scale, scale_of
from controlplane.forecast.features.track import Track
from controlplane.forecast.gaps import known
from controlplane.forecast.lstm.examples import Examples, joined, of_window
from controlplane.forecast.lstm.ridges import Ridges, whole_days
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.lstm.training import Trained, train
from controlplane.forecast.models.ridge import recent
from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS, bounded, ordered
from controlplane.forecast.series import FloatArray, Series, Window

NEEDS = 24
"""The fewest values it forecasts from."""

REACH = 3.0
"""No forecast is above so many times the largest value seen."""

BATCH = 128
"""Windows are forecast so many at a time, always as many, so that the network is traced once."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedLstm:
    """Trained networks. Cannot be pickled.

    Attributes:
        settings: What they are made of.
        networks: Keras models; none where there was nothing to learn from.
        step_seconds: The grid that they learned on.
        horizon: The furthest step ahead that they learned.
        trained: How each training went.
        ridges: Those of the series, kept between calls.
    """

    settings: Settings
    networks: tuple[Any, ...]
    step_seconds: int
    horizon: int
    trained: tuple[Trained, ...] = ()
    ridges: Ridges = field(default_factory=Ridges)

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port."""
        answers = np.full((len(windows), horizon, len(LEVELS)), np.nan)
        asked = [place for place, window in enumerate(windows) if known(window.series) >= NEEDS]
        if not self.networks or not asked:
            return answers
        scales = [_scale(windows[place].series) for place in asked]
        seen = [_seen(windows[place], scale) for place, scale in zip(asked, scales, strict=True)]
        parts = [self._newest(window, horizon) for window in seen]
        quantiles = self._quantiles(joined(parts, horizon))
        for place, scale, told in zip(asked, scales, quantiles, strict=True):
            if np.isfinite(told).all():
                answers[place] = bounded(ordered(scale.back(told)), 0.0, _upper(windows[place].series))
        return answers

    def _newest(self, window: Window, horizon: int) -> Examples:
        """Answer the one stretch that begins at the end of a window on its scale."""
        track = Track.of(window.series)
        said = self.ridges.said(window.series, track, horizon) if self.settings.ridge else None
        return of_window(window, track, np.array([len(window.series) - 1], dtype=np.int64), horizon, said)

    def _quantiles(self, examples: Examples) -> FloatArray:
        """Answer the networks' mean, shape (n, horizon, levels), on the scales of the series."""
        outputs = [
            np.mean([_predicted(network, examples, first) for network in self.networks], axis=0)
            for first in range(0, len(examples), BATCH)
        ]
        return examples.expanded(np.concatenate(outputs))


@dataclass(frozen=True, slots=True)
class Lstm:
    """The forecaster."""

    settings: Settings = field(default_factory=Settings)
    name: str = "LSTM"
    needs: int = NEEDS

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> FittedLstm:
        """Train as many networks as the settings say; see the port."""
        step = windows[0].series.step_seconds if windows else 0
        settings = self.settings.on(step)
        seeds = np.random.SeedSequence(seed).generate_state(self.settings.seeds)
        seen = [_seen(window, _scale(window.series)) for window in windows]
        trained = []
        for place, each in enumerate(seeds):

            def part(share: float, activity: str, place: int = place) -> None:
                told((place + share) / len(seeds), f"network {place + 1} of {len(seeds)}: {activity}")

            made = train(seen, horizon, int(each), settings, part)
            trained += [made] if made else []
        return FittedLstm(settings, tuple(made.network for made in trained), step, horizon, tuple(trained))


def _scale(series: Series) -> Scale:
    """Answer the scale that a series is seen on, the same for a day as its ridge is."""
    return scale_of(whole_days(recent(series)))


def _seen(window: Window, scale: Scale) -> Window:
    return replace(window, series=scale.series(window.series))


def _predicted(network: Any, examples: Examples, first: int) -> FloatArray:
    """Answer one network's outputs for at most `BATCH` stretches."""
    part = slice(first, first + BATCH)
    past, ahead = examples.past[part], examples.ahead[part]
    missing = BATCH - len(past)
    padded = {
        name: np.pad(array, ((0, missing), (0, 0), (0, 0)))
        for name, array in (("past", past), ("ahead", ahead))
    }
    answer = np.asarray(network.predict_on_batch(padded), dtype=np.float64)
    return answer[: len(past)]


def _upper(series: Series) -> float:
    """Answer what no forecast is above."""
    reach = REACH * float(np.nanmax(np.where(np.isfinite(series.values), series.values, 0.0)))
    return reach if series.upper is None else min(series.upper, reach)
