"""What Prophet sees beside time: events and covariates as columns; and its seasons as numbers again. Pure.

`prophet` calls it, when it learns and when it forecasts, so that both speak of the same columns. numpy
only; it never reads demand.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.events.windows import by_type, shares
from controlplane.forecast.series import DAY, FloatArray, Window

DAILY = ("daily", 1.0, 8)
"""Name, period in days and how many waves."""

WEEKLY = ("weekly", 7.0, 5)

Cycle = tuple[str, float, int]

PARTS = ("before", "during", "after")


def cycles(window: Window) -> tuple[Cycle, ...]:
    """Answer the seasons that a history allows: a day from two days on, a week from two weeks on."""
    series = window.series
    if series.day == 1 or len(series) < 2 * series.day:
        return ()
    return (DAILY,) if len(series) < 2 * series.week else (DAILY, WEEKLY)


def waves(times: FloatArray, cycle: Cycle) -> FloatArray:
    """Answer the sines and cosines of a season as Prophet makes them, shape (len(times), 2 * waves)."""
    _, period, order = cycle
    angle = 2 * np.pi * times[:, None] / (DAY * period) * np.arange(1, order + 1)
    return np.stack((np.sin(angle), np.cos(angle)), axis=2).reshape(len(times), 2 * order)


def columns(window: Window, ahead: int) -> dict[str, FloatArray]:
    """Answer what is known beside time, by name, each of shape (n + ahead,).

    Events are the share of each step before, within and after those of a type. Covariates, such as stated
    peaks or holidays, are as many times their mean as they are, on the scale of logarithms; one that does not
    reach as far as the forecast is left out, since half a covariate would mislead.
    """
    series = window.series
    times = series.times(ahead)
    told: dict[str, FloatArray] = {}
    for kind, events in by_type(window.events).items():
        covered = shares(events, times, series.step_seconds)
        told |= {f"event {kind} {part}": covered[:, index] for index, part in enumerate(PARTS)}
    for name, values in sorted(window.covariates.items()):
        if len(values) >= len(times) and np.isfinite(values[: len(times)]).all():
            told[f"covariate {name}"] = values[: len(times)]
    return told


def grouped(values: FloatArray, size: int) -> FloatArray:
    """Answer the means of groups of steps, counted from the end; an incomplete first group is left out."""
    rest = len(values) % size
    means: FloatArray = values[rest:].reshape(-1, size).mean(axis=1)
    return means


def middles(times: Sequence[int] | NDArray[np.int64], step_seconds: int) -> FloatArray:
    """Answer the middles of steps, seconds since the epoch."""
    return np.asarray(times, dtype=np.float64) + step_seconds / 2
