"""Many series of two weeks at 5 min, made of a few traces or out of nothing. Pure but for reading files.

Each is a trace that was scaled, moved by whole hours and given noise of its own; without traces, a day and
a week with noise. They are as dear to forecast as real ones, and say nothing of how good forecasts are.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from controlplane.demand.signals import CELL_SECONDS, DemandKey, Signal
from controlplane.forecast.backtest.csvfile import NoTraceError, read
from controlplane.forecast.series import DAY, WEEK, FloatArray

CELLS = 2 * WEEK // CELL_SECONDS
NOISE = 0.03
HOUR_CELLS = 12


def traces(folder: Path | None) -> list[FloatArray]:
    """Answer the 5 min traces of a folder that are long enough, each of `CELLS` values, gaps filled."""
    found = []
    for path in sorted(folder.glob("*.csv")) if folder else []:
        try:
            trace = read(path)
        except NoTraceError:
            continue
        if trace.step_seconds == CELL_SECONDS:
            found += [_whole(column) for column in trace.columns.values() if len(column) >= CELLS // 2]
    return found


def many(count: int, bases: Sequence[FloatArray], cells: int, seed: int) -> dict[DemandKey, FloatArray]:
    """Answer so many series by key, each of shape (cells,), four signals to a workload.

    Args:
        count: How many.
        bases: Traces of `CELLS` values to make them of; none for shapes out of nothing.
        cells: How many values of each.
        seed: Of all randomness.
    """
    rng = np.random.default_rng(seed)
    signals = list(Signal)
    made = {}
    for number in range(count):
        key = DemandKey(f"workload-{number // len(signals):03}", signals[number % len(signals)])
        base = bases[number % len(bases)] if bases else _shape(rng)
        shifted = np.roll(base, HOUR_CELLS * int(rng.integers(0, 24)))
        scaled = shifted * rng.uniform(0.5, 2.0) * rng.lognormal(0.0, NOISE, len(base))
        made[key] = np.clip(np.resize(scaled, cells), 0.0, 1e6)
    return made


def _whole(column: FloatArray) -> FloatArray:
    """Answer the last two weeks, repeated where it is shorter, with gaps bridged and about 100 in size."""
    there = np.flatnonzero(np.isfinite(column))
    filled = np.interp(np.arange(len(column)), there, column[there])
    size = float(np.abs(filled).mean()) or 1.0
    return np.resize(filled[-CELLS:], CELLS) * (100.0 / size)


def _shape(rng: np.random.Generator) -> FloatArray:
    time = CELL_SECONDS * np.arange(CELLS)
    day, week = 2 * np.pi * time / DAY, 2 * np.pi * time / WEEK
    height = rng.uniform(0.2, 0.8)
    peaks = 1 + height * np.sin(day) + 0.2 * np.sin(2 * day + 1) + 0.2 * np.sin(week)
    return np.asarray(100.0 * np.maximum(peaks, 0.05))
