"""How many instances each pool of a chain needs at a rate. Pure.

Options call it for all moments of all chains at once. Lower bounds first, pool by pool: what is kept anyway,
enough places for the work, and instances that save more waiting than they cost. Where the promised time is
then not kept, the exact search adds what costs least.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.planning.entries import Entries, late, queues
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import BoolArray, Rows
from controlplane.planning.rules import IDLE_CHANCE, SLOW_SHARE, UTILISATION_MAX
from controlplane.planning.search import Order, cheapest

_ROUNDS = 10_000
"""No pool grows by more instances than that over its lower bound."""


@dataclass(frozen=True, slots=True)
class Sized:
    """Sizes of the pools of entries, and what made them; e entries, p pools.

    Attributes:
        sizes: Shape (e, p).
        worked: Shape (e, p): what the work alone needs, bounds aside.
        economic: Shape (e, p): instances were added because they save more waiting than they cost.
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


def sized(rows: Rows, entries: Entries) -> Sized:
    """Answer the cheapest sizes that carry the work and keep the promise, or the most that bounds allow."""
    row = entries.row
    work = rows.load[row] * entries.rate[:, None] + entries.other
    worked = np.ceil(work / (rows.places[row] * UTILISATION_MAX) - 1e-9).astype(np.int64)
    least = np.clip(worked, rows.least[row], rows.most[row])
    short = rows.used[row] & (worked > rows.most[row])
    sizes = _economic(rows, entries, least)
    economic = sizes > least
    slow = late(rows, entries, queues(rows, entries, sizes)) > SLOW_SHARE
    bound_by_time = rows.promised[row] > 0
    hopeless = bound_by_time & (rows.service[-1, row] < 1 - SLOW_SHARE)
    open_ = np.flatnonzero(bound_by_time & slow & ~hopeless)
    found, kept_there = _promised(rows, entries.pick(open_), sizes[open_])
    promised = np.zeros(sizes.shape, dtype=bool)
    promised[open_] = found > sizes[open_]
    sizes[open_] = found
    kept = ~short.any(axis=1) & ~(bound_by_time & slow)
    kept[open_] = kept_there & ~short[open_].any(axis=1)
    return Sized(sizes, worked, economic, promised, short, kept)


def _economic(rows: Rows, entries: Entries, least: IntArray) -> IntArray:
    """Add instances, pool by pool, while each saves more waiting than it costs."""
    sizes = least.copy()
    active = np.flatnonzero(rows.wait_price[entries.row] > 0)
    price = rows.price[entries.row]
    for _ in range(_ROUNDS):
        if not len(active):
            break
        part = entries.pick(active)
        now = _waiting_cost(rows, part, sizes[active])
        more = np.minimum(sizes[active] + 1, rows.most[part.row])
        then = _waiting_cost(rows, part, more)
        grows = (now - then > price[active] + 1e-12) & (more > sizes[active])
        grows &= rows.used[part.row] & _waits_at_all(rows, part, sizes[active])
        sizes[active] = np.where(grows, more, sizes[active])
        active = active[grows.any(axis=1)]
    return sizes


def _waiting_cost(rows: Rows, entries: Entries, sizes: IntArray) -> FloatArray:
    """Answer what this workload's waiting in each pool costs an hour."""
    row = entries.row
    hours = queues(rows, entries, sizes).mean_seconds / 3600
    answer: FloatArray = hours * rows.calls[row] * (entries.rate * rows.wait_price[row])[:, None]
    return answer


def _waits_at_all(rows: Rows, entries: Entries, sizes: IntArray) -> BoolArray:
    answer: BoolArray = queues(rows, entries, sizes).chance > IDLE_CHANCE
    return answer


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
    answer = high.copy()
    answer[index] = cheapest(orders, low[index], high[index], lambda at, sizes: keeps(index[at], sizes))
    return answer, possible


def _largest(rows: Rows, entries: Entries, low: IntArray) -> IntArray:
    """Grow each pool until calls hardly ever wait in it, or to its bound: beyond that nothing gets faster."""
    sizes = low.copy()
    active = np.arange(len(sizes))
    for _ in range(_ROUNDS):
        if not len(active):
            break
        part = entries.pick(active)
        more = np.minimum(sizes[active] + 1, rows.most[part.row])
        grows = rows.used[part.row] & _waits_at_all(rows, part, sizes[active]) & (more > sizes[active])
        sizes[active] = np.where(grows, more, sizes[active])
        active = active[grows.any(axis=1)]
    return sizes
