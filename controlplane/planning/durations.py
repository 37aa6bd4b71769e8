"""How long calls take, and several in a row, as distributions on a grid. Pure; numpy only.

`completion` adds the waits to it. A call's duration goes through its measured quantiles (.5, .95 and .99) and
is log-normal in between, or log-normal by mean and variation where no quantile is known. Calls of a chain are
taken as independent.
"""

import math
from typing import NamedTuple

import numpy as np

from controlplane.planning.queueing import FloatArray
from controlplane.planning.sums import product

Z95, _Z99 = 1.6448536269514722, 2.3263478740408408
"""Normal scores of the quantiles that are measured."""

_NARROWEST = 1e-3
"""A spread of the logarithm that is as good as none."""

FINE = 128
"""Cells on which durations are added."""

_TABLE = np.linspace(-8.0, 8.0, 4097)


def _normal_table() -> FloatArray:
    """Answer the normal distribution at `_TABLE`, by Simpson's rule over its density."""
    half = (_TABLE[1] - _TABLE[0]) / 2

    def density(at: FloatArray) -> FloatArray:
        found: FloatArray = np.exp(-at * at / 2) / np.sqrt(2 * np.pi)
        return found

    parts = (density(_TABLE[:-1]) + 4 * density(_TABLE[:-1] + half) + density(_TABLE[1:])) * half / 3
    return np.concatenate(([0.0], np.cumsum(parts)))


_NORMAL = _normal_table()


class LogShape(NamedTuple):
    """A duration: the logarithm of its median and .95 quantile, and its spread below and above the latter."""

    median: float
    high: float
    spread: float
    tail: float


def shape_of(p50: float, p95: float, p99: float, mean: float, variation: float, stretch: float) -> LogShape:
    """Answer the shape of a duration that is so many times longer than measured."""
    shift = math.log(stretch)
    if 0 < p50 <= p95 <= p99:
        median = math.log(p50) + shift
        spread = max((math.log(p95) + shift - median) / Z95, _NARROWEST)
        tail = max((math.log(p99) - math.log(p95)) / (_Z99 - Z95), _NARROWEST)
        return LogShape(median, median + Z95 * spread, spread, tail)
    spread = max(math.sqrt(math.log1p(variation * variation)), _NARROWEST)
    median = math.log(max(mean, 1e-9)) - spread * spread / 2 + shift
    return LogShape(median, median + Z95 * spread, spread, spread)


def quantile_of(shape: LogShape, z: float) -> float:
    """Answer the duration at a normal score."""
    if z <= Z95:
        return math.exp(shape.median + z * shape.spread)
    return math.exp(shape.high + (z - Z95) * shape.tail)


def below(shapes: FloatArray, seconds: FloatArray) -> FloatArray:
    """Answer the chance that durations stay below.

    Args:
        shapes: Shape (n, 4), rows of `LogShape`.
        seconds: Shape (n, k), above 0.

    Returns:
        Shape (n, k).
    """
    return _below(shapes, np.log(seconds))


def _below(shapes: FloatArray, logs: FloatArray) -> FloatArray:
    median, high, spread, tail = (shapes[:, i, None] for i in range(4))
    scores = np.where(logs <= high, (logs - median) / spread, Z95 + (logs - high) / tail)
    return np.interp(scores, _TABLE, _NORMAL, left=0.0, right=1.0)


DECAYS = np.geomspace(1e-3, 1e5, 65)
"""Rates of a wait by the promised time, for which `overdue_by` is tabulated."""


def overdue_by(service: FloatArray, waits: int) -> FloatArray:
    """Answer how likely so many exponential waits make a provision too slow that is not so without them.

    Args:
        service: Shape (cells + 1, n): by when provisions are done that never wait, up to the promise.
        waits: How many there are at most.

    Returns:
        Shape (waits, n, len(DECAYS)): for one wait of such a rate by the promised time, for two, and so on.
    """
    cells = len(service) - 1
    left = np.outer(1.0 - (np.arange(cells) + 0.5) / cells, DECAYS)
    mass = np.diff(service, axis=0).T
    term = np.exp(-left)
    tail = term.copy()
    found = [product(mass, tail)]
    for count in range(1, waits):
        term = term * left / count
        tail = tail + term
        found.append(product(mass, tail))
    return np.stack(found)


def sums_below(shapes: FloatArray, counts: FloatArray, until: FloatArray, cells: int) -> FloatArray:
    """Answer the chance that calls in a row, without any wait, are done by each point of a grid.

    Args:
        shapes: Shape (n, j, 4): durations of up to j calls in a row.
        counts: Shape (n,): how many of them there are, at least 1.
        until: Shape (n,): the end of the grid in seconds, above 0.
        cells: Of the grid; a divisor of `FINE`.

    Returns:
        Shape (cells + 1, n), from 0 s to `until`.
    """
    found = np.zeros((cells + 1, len(counts)))
    for count in np.unique(counts).astype(int):
        rows = np.flatnonzero(counts == count)
        found[:, rows] = _sums(shapes[rows, :count], until[rows])[:, :: FINE // cells].T
    return found


def _sums(shapes: FloatArray, until: FloatArray) -> FloatArray:
    """Add exactly so many calls; shape (n, FINE + 1). A cell's mass stands in its middle."""
    rows, count, _ = shapes.shape
    edges = np.log(until[:, None] * (np.arange(1, FINE + 1) / FINE))
    if count == 1:
        return np.concatenate((np.zeros((rows, 1)), _below(shapes[:, 0], edges)), axis=1)
    total: FloatArray | None = None
    for call in range(count):
        reached = _below(shapes[:, call], edges)
        mass = np.diff(reached, axis=1, prepend=0.0)
        total = mass if total is None else _added(total, mass)
    assert total is not None
    reached = np.concatenate((np.zeros((rows, 1)), np.cumsum(np.maximum(total, 0.0), axis=1)), axis=1)
    return _moved(reached, (count - 1) / 2)


def _added(one: FloatArray, other: FloatArray) -> FloatArray:
    """Convolve masses row by row; what goes beyond the grid is dropped."""
    spectrum = np.fft.rfft(one, 2 * FINE, axis=1) * np.fft.rfft(other, 2 * FINE, axis=1)
    found: FloatArray = np.fft.irfft(spectrum, 2 * FINE, axis=1)[:, :FINE]
    return found


def _moved(reached: FloatArray, cells: float) -> FloatArray:
    """Move a distribution later by so many cells, linear in between."""
    whole = int(cells)
    part = cells - whole
    padded = np.concatenate((np.zeros((len(reached), whole + 1)), reached), axis=1)
    end = reached.shape[1]
    moved: FloatArray = (1 - part) * padded[:, 1 : end + 1] + part * padded[:, :end]
    return np.minimum(moved, 1.0)
