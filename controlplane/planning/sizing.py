"""How many instances each pool of a chain needs at a rate. Pure.

Options call it for all moments of all chains at once. Lower bounds first, pool by pool: what is kept anyway,
enough places for the work, and instances that pay for themselves. Where the promised time is then not kept,
the exact search adds what costs least.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.planning.arrays import BoolArray, Rows
from controlplane.planning.economics import economic
from controlplane.planning.entries import Entries, late, queues
from controlplane.planning.queueing import IntArray
from controlplane.planning.rules import IDLE_CHANCE, SLOW_SHARE, UTILISATION_MAX
from controlplane.planning.search import Order, cheapest, needed


@dataclass(frozen=True, slots=True)
class Sized:
    """Sizes of the pools of entries, and what made them; e entries, p pools.

    Attributes:
        sizes: Shape (e, p).
        worked: Shape (e, p): what the work alone needs, bounds aside.
        economic: Shape (e, p): instances were added because they pay for themselves.
        promised: Shape (e, p): instances were added to keep the promised time.
        short: Shape (e, p): a bound keeps the pool below what the work needs.
        kept: Shape (e,): the promise is kept, and no pool is short.
    """

    sizes: IntArray
    worked: IntArray
    economic: BoolArray
    promised: BoolArray
    short: BoolArray
    kept: BoolArray


def lowest(rows: Rows, entries: Entries) -> tuple[IntArray, IntArray, IntArray]:
    """Answer lower bounds of all pools, shape (e, p) each.

    Returns:
        What the work needs, bounds aside; that within bounds; and with the instances that pay for themselves.
    """
    row = entries.row
    work = rows.load[row] * entries.rate[:, None] + entries.other
    worked = np.ceil(work / (rows.places[row] * UTILISATION_MAX) - 1e-9).astype(np.int64)
    least = np.clip(worked, rows.least[row], rows.most[row])
    return worked, least, economic(rows, entries, least)


def sized(rows: Rows, entries: Entries) -> Sized:
    """Answer the cheapest sizes that carry the work and keep the promise, or the most that bounds allow."""
    row = entries.row
    worked, least, low = lowest(rows, entries)
    short = rows.used[row] & (worked > rows.most[row])
    timed = rows.promised[row] > 0
    slow = timed & (late(rows, entries, queues(rows, entries, low)) > SLOW_SHARE)
    hopeless = timed & (rows.service[-1, row] < 1 - SLOW_SHARE)
    open_ = np.flatnonzero(slow & ~hopeless)
    sizes, kept = low.copy(), ~slow
    sizes[open_], kept[open_] = _promised(rows, entries.pick(open_), low[open_])
    return Sized(sizes, worked, low > least, sizes > low, short, kept & ~short.any(axis=1))


def _promised(rows: Rows, entries: Entries, low: IntArray) -> tuple[IntArray, BoolArray]:
    """Answer the cheapest sizes that keep the promised time, and whether any do; otherwise the largest."""
    high = _largest(rows, entries, low)

    def keeps(index: IntArray, sizes: IntArray) -> list[bool]:
        part = entries.pick(index)
        found: list[bool] = (late(rows, part, queues(rows, part, sizes)) <= SLOW_SHARE).tolist()
        return found

    possible = np.array(keeps(np.arange(len(low)), high), dtype=bool)
    index = np.flatnonzero(possible)
    row = entries.row[index]
    orders = [
        Order(prices, honoured)
        for prices, honoured in zip(rows.price[row].tolist(), rows.honoured[row].tolist(), strict=True)
    ]

    def keeps_of(at: IntArray, sizes: IntArray) -> list[bool]:
        return keeps(index[at], sizes)

    answer = high.copy()
    least = needed(low[index], high[index], keeps_of)
    answer[index] = cheapest(orders, least, high[index], keeps_of)
    return answer, possible


def _largest(rows: Rows, entries: Entries, low: IntArray) -> IntArray:
    """Grow each pool until calls hardly ever wait in it, or to its bound: beyond that nothing gets faster."""
    sizes = low.copy()
    active = np.arange(len(sizes))
    while len(active):
        part = entries.pick(active)
        waits = queues(rows, part, sizes[active]).chance > IDLE_CHANCE
        grows = rows.used[part.row] & waits & (sizes[active] < rows.most[part.row])
        sizes[active] += grows
        active = active[grows.any(axis=1)]
    return sizes
