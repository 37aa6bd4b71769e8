"""Forecasts of a replayed trace, made anew as it goes on, with the product's own models and combination.

The replay asks it in a process of its own, step by step, with what has passed by then. The models are those
that need numpy alone. What it answers is in steps of the trace; `messages` turns it into compressed time.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from controlplane.forecast.assembly import present
from controlplane.forecast.combination import combine
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.registry import LIGHT
from controlplane.forecast.series import FloatArray, Series, Window
from controlplane.forecast.track import Track
from controlplane.forecast.worker.members import Asker
from examples.demo_scaling.traces import STEP_SECONDS

HORIZON = 96
"""Steps ahead: eight hours, so that what a change of chain costs is set against what it saves."""

LEARNED_FROM = 16
"""Forecasts of the past that the combination begins with."""

SPACING = 24
"""Steps between them."""

START = 1_600_000_000 // STEP_SECONDS * STEP_SECONDS
"""When the trace's first value is taken to be of; only the distance of its values matters."""

BUDGET_SECONDS = 5.0


@dataclass(slots=True)
class Forecaster:
    """Forecasts one trace.

    Attributes:
        past: What was before the replay.
        asker: The models, with what they have learned.
        track: How they did.
    """

    past: FloatArray
    asker: Asker = field(init=False)
    track: Track = field(init=False)

    def __post_init__(self) -> None:
        """Forecast the past, so that the combination knows how the models do."""
        self.asker = Asker(horizon=HORIZON, seed=0, monotonic=time.monotonic)
        self.track = Track(
            tuple(LIGHT),
            STEP_SECONDS,
            np.zeros(0, dtype=np.int64),
            np.zeros((0, len(LIGHT), HORIZON, len(LEVELS))),
            np.zeros((0, HORIZON)),
        )
        for number in range(LEARNED_FROM, 0, -1):
            self._learn(self.past[: len(self.past) - HORIZON - (number - 1) * SPACING])

    def forecast(self, seen: FloatArray) -> FloatArray:
        """Forecast after what has been seen of the replay; shape (HORIZON, levels), requests a second."""
        window = self._learn(np.concatenate([self.past, seen]))
        known = self.track.known_at(window.series.last)
        answers = {
            name: self.track.forecasts[-1, place][None] for place, name in enumerate(self.track.members)
        }
        now = present([window], answers, HORIZON, [frozenset(self.track.members)])
        quantiles: FloatArray = combine([known], now).quantiles[0]
        return quantiles

    def _learn(self, values: FloatArray) -> Window:
        """Ask all models at the end of these values, and remember what they said."""
        window = Window(Series("demand", START, STEP_SECONDS, values))
        made = self.asker.ask([window], {name: [0] for name in LIGHT}, {}, BUDGET_SECONDS)
        forecasts = {name: quantiles[0] for name, quantiles in made.quantiles.items()}
        self.track = self.track.with_origin(window.series.last, forecasts).with_actuals(window.series)
        return window


_FORECASTERS: dict[str, Forecaster] = {}


def begin(name: str, past: FloatArray) -> float:
    """Take a trace up, in the worker process; answer the seconds that it took."""
    began = time.monotonic()
    _FORECASTERS[name] = Forecaster(past)
    return time.monotonic() - began


def ask(name: str, seen: FloatArray) -> FloatArray:
    """Forecast a trace that was taken up."""
    return _FORECASTERS[name].forecast(seen)
