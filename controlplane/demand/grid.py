"""From cells of single resources to the demand of a workload on its grid, and to coarser grids. Pure.

The history calls it when it reads and when it condenses. The rules, in words:

* A cell's time is its beginning: cell `t` holds what was measured from `t` up to and without `t + 300 s`.
* What several kinds of metrics say of one resource is never added up: the most direct kind counts.
* A resource that is silent in a cell counts with what it showed last, for at most three cells; then it is
  gone.
* Where fewer than half of the resources that count were heard, the cell is a gap. A gap is NaN, never zero.
* An hour is the mean of its cells where at least half of them were measured; else it is a gap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from controlplane.demand.signals import CELL_SECONDS
from controlplane.forecast.series import FloatArray

CARRIED_CELLS = 3
"""For how many cells a silent resource counts with what it showed last."""

HEARD_SHARE = 0.5
"""The least share of the resources that count which must have been heard."""

MEASURED_SHARE = 0.5
"""The least share of the cells of a coarser cell that must have been measured."""


@dataclass(frozen=True, slots=True)
class ResourceCell:
    """What one kind of metric says of one resource in one cell.

    Attributes:
        resource: Whose.
        rank: How direct the kind of metric is; the smallest counts.
        cell: Beginning of the cell, seconds since the epoch, a multiple of 300.
        value: In the signal's unit; a sum where several parts make the resource up.
    """

    resource: str
    rank: int
    cell: int
    value: float


def cell_of(time: float) -> int:
    """Answer the beginning of the cell that a time lies in, both in seconds since the epoch."""
    return int(time // CELL_SECONDS) * CELL_SECONDS


def combined(cells: Iterable[ResourceCell], start: int, end: int) -> FloatArray:
    """Add resources up, cell by cell.

    Args:
        cells: Of one workload and signal, in any order. Those of up to three cells before `start` matter too.
        start: Beginning of the first cell.
        end: End of the last cell.

    Returns:
        Shape ((end - start) / 300,), NaN where there is a gap.
    """
    known = _by_cell(cells)
    count = max(0, (end - start) // CELL_SECONDS)
    values = np.full(count, np.nan)
    shown: dict[str, tuple[int, float]] = {}
    for index in range(-CARRIED_CELLS, count):
        cell = start + index * CELL_SECONDS
        heard = known.get(cell, {})
        shown = {name: seen for name, seen in shown.items() if cell - seen[0] <= CARRIED_CELLS * CELL_SECONDS}
        shown.update({name: (cell, value) for name, value in heard.items()})
        if index >= 0 and heard and len(heard) >= HEARD_SHARE * len(shown):
            values[index] = sum(value for _, value in shown.values())
    return values


def _by_cell(cells: Iterable[ResourceCell]) -> Mapping[int, Mapping[str, float]]:
    """Answer the value of each resource by cell, of the most direct kind that was heard there."""
    best: dict[int, dict[str, tuple[int, float]]] = {}
    for each in cells:
        there = best.setdefault(each.cell, {})
        rank, value = there.get(each.resource, (each.rank, 0.0))
        if each.rank < rank:
            there[each.resource] = (each.rank, each.value)
        elif each.rank == rank:
            there[each.resource] = (rank, value + each.value)
    return {cell: {name: value for name, (_, value) in there.items()} for cell, there in best.items()}


def coarser(values: FloatArray, factor: int) -> FloatArray:
    """Answer a grid of cells so many times as long; `values` begins and ends on it.

    Args:
        values: Shape (n * factor,), NaN for gaps.
        factor: How many cells make one up.

    Returns:
        Shape (n,): means over what was measured, NaN where that was too little.
    """
    if factor == 1:
        return values
    blocks = values.reshape(-1, factor)
    there = np.isfinite(blocks)
    counts = there.sum(axis=1)
    sums = np.where(there, blocks, 0.0).sum(axis=1)
    means: FloatArray = np.divide(sums, counts, out=np.full(len(blocks), np.nan), where=counts > 0)
    means[counts < MEASURED_SHARE * factor] = np.nan
    return means
