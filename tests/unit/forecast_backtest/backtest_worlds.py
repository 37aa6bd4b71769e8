"""Series and models for the tests of the backtest. A model here tells what it was shown."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import DAY, HOUR, FloatArray, Series, Window

PLAN = Plan(HOUR, horizon=12, origins=3, stride=5, calibration=4, spacing=7, history=7 * DAY // HOUR)


def case(identifier: str, length: int, seed: int, source: str = "") -> Case:
    """Make a series that goes up and down with the day."""
    hours = np.arange(length)
    noise = np.random.default_rng(seed).normal(0, 3, length)
    values = 100 + 40 * np.sin(2 * np.pi * hours / 24) + noise
    return Case(Series(identifier, 0, HOUR, values), source or identifier)


def changed(one: Case, start: int) -> Case:
    """Answer a case whose values differ from a step on."""
    values = one.series.values.copy()
    values[start:] = 7 * values[start:] + 1000
    return Case(Series(one.series.id, one.series.start, HOUR, values), one.source)


@dataclass(frozen=True)
class Flat:
    """Forecasts one value, however far ahead."""

    learned: float

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """Answer what was learned plus the mean of the window, with a spread."""
        means = np.array([np.nanmean(window.series.values) for window in windows])
        centre = means[:, None, None] + self.learned + LEVELS
        return np.repeat(centre, horizon, axis=1)


class FlatOverAll:
    """Learns the sum of all it is shown, so that one value too many changes every forecast."""

    name = "FlatOverAll"
    needs = 1
    learns_over_all = True

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> Flat:
        """Learn the sum of all values."""
        del horizon, seed, told
        return Flat(1e-6 * float(sum(np.nansum(window.series.values) for window in windows)))


class Dying:
    """Takes its whole process with it."""

    name = "Dying"
    needs = 1

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> Flat:
        """Die, as a process does that is out of memory."""
        del windows, horizon, seed, told
        os._exit(9)


class Failing:
    """Fails on one series, and breaks the port's promise on another."""

    name = "Failing"
    needs = 1

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> "Failing":
        """Fail where the series is called so."""
        del horizon, seed, told
        if windows[0].series.id == "fails":
            raise ValueError("no")
        return self

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """Answer quantiles that descend."""
        return np.tile(-LEVELS, (len(windows), horizon, 1))
