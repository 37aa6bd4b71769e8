"""The exact search for the cheapest sizes that keep the promise, for many entries at once. Pure.

Sizing calls it for what the lower bounds alone do not settle. All sizes of an entry stand in one fixed order:
fewest instances beyond a maximum, least money, fewest instances, first pools smallest. They are looked at in
that order, best first, and the first that keeps the promise is the answer. As the order does not depend on
demand, and more demand never lets sizes keep a promise that they did not keep before, more demand never leads
to sizes that carry less.
"""

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from controlplane.planning.queueing import IntArray

MICRO = 1_000_000
"""Prices are compared in millionths, so that sums are exact."""

AHEAD = 2
"""For so many sizes that did not keep the promise one more is looked at at once: some take very many."""

Sizes = tuple[int, ...]
Keeps = Callable[[IntArray, IntArray], Sequence[bool]]
"""Says of entries, by index, shape (k,), and of sizes for each, shape (k, p), whether the promise is kept."""


class Order:
    """The fixed order of the sizes of one entry's pools.

    Args:
        prices: Of an instance of each pool, per hour.
        honoured: Instances at most by the engines' bounds.
    """

    def __init__(self, prices: Sequence[float], honoured: Sequence[int]) -> None:
        self._prices = tuple(round(price * MICRO) for price in prices)
        self._honoured = tuple(honoured)

    def __call__(self, sizes: Sizes) -> tuple[int, int, int, Sizes]:
        """Answer what sizes are ordered by; it grows with every instance."""
        beyond = sum(max(0, size - most) for size, most in zip(sizes, self._honoured, strict=True))
        money = sum(size * price for size, price in zip(sizes, self._prices, strict=True))
        return beyond, money, sum(sizes), sizes


class _Front:
    """What is next to be looked at for one entry. Each size is reached once: pools grow left to right."""

    def __init__(self, order: Order, low: Sizes, high: Sizes) -> None:
        self._order, self._high = order, high
        self._heap = [(order(low), 0)]

    def take(self, count: int) -> list[Sizes]:
        """Answer the next sizes in order, so many or all that are left."""
        return [self._next() for _ in range(count) if self._heap]

    def _next(self) -> Sizes:
        (_, _, _, sizes), first = heapq.heappop(self._heap)
        for pool in range(first, len(sizes)):
            if sizes[pool] < self._high[pool]:
                grown = (*sizes[:pool], sizes[pool] + 1, *sizes[pool + 1 :])
                heapq.heappush(self._heap, (self._order(grown), pool))
        return sizes


def needed(low: IntArray, high: IntArray, keeps: Keeps) -> IntArray:
    """Answer how large each pool must be at least for the promise to be kept, the others as large as can be.

    No sizes that keep the promise are smaller anywhere, so that the search may begin there. Found by halving:
    a larger pool never breaks the promise.

    Args:
        low: Shape (e, p): the smallest sizes that come into question.
        high: Shape (e, p): the largest; they keep the promise.
        keeps: Says which sizes keep the promise.

    Returns:
        Shape (e, p).
    """
    smallest, largest = low.copy(), high.copy()
    while (open_ := np.argwhere(smallest < largest)).size:
        entry, pool = open_.T
        middle = (smallest[entry, pool] + largest[entry, pool]) // 2
        sizes = high[entry]
        sizes[np.arange(len(entry)), pool] = middle
        kept = np.array(keeps(entry, sizes), dtype=bool)
        largest[entry[kept], pool[kept]] = middle[kept]
        smallest[entry[~kept], pool[~kept]] = middle[~kept] + 1
    return smallest


def cheapest(orders: Sequence[Order], low: IntArray, high: IntArray, keeps: Keeps) -> IntArray:
    """Answer the first sizes in order that keep the promise, for each entry.

    Args:
        orders: Of each entry.
        low: Shape (e, p): the smallest sizes that come into question.
        high: Shape (e, p): the largest; they must keep the promise.
        keeps: Says which sizes keep the promise.

    Returns:
        Shape (e, p).
    """
    fronts = [
        _Front(order, tuple(small), tuple(large))
        for order, small, large in zip(orders, low.tolist(), high.tolist(), strict=True)
    ]
    answer = high.copy()
    waiting = list(range(len(fronts)))
    seen = 0
    while waiting:
        # What takes long to be found is asked for in growing numbers: a question costs more than sizes do.
        count = 1 + seen // AHEAD
        seen += count
        taken = [(entry, sizes) for entry in waiting for sizes in fronts[entry].take(count)]
        entries, sizes = zip(*taken, strict=True)
        kept = keeps(np.array(entries, dtype=np.int64), np.array(sizes, dtype=np.int64))
        found: dict[int, Sizes] = {}
        for (entry, looked_at), enough in zip(taken, kept, strict=True):
            if enough:
                found.setdefault(entry, looked_at)
        for entry, first in found.items():
            answer[entry] = first
        waiting = [entry for entry in waiting if entry not in found]
    return answer
