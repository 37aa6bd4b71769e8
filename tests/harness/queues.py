"""A discrete-event simulation of calls in a row through pools, to hold formulas against.

Tests of planning call it. Virtual time, first come, first served, one queue for each pool.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.planning.queueing import FloatArray

Draw = Callable[[np.random.Generator, int], FloatArray]


@dataclass(frozen=True)
class Simulated:
    """What was seen of provisions, warm-up left out.

    Attributes:
        waits: Shape (n, steps): seconds waited for each step.
        totals: Shape (n,): seconds from arrival to the end of the last step.
    """

    waits: FloatArray
    totals: FloatArray


def log_normal(mean: float, variation: float) -> Draw:
    """Answer durations of such a mean and variation."""
    spread = float(np.sqrt(np.log1p(variation**2)))
    return lambda rng, n: rng.lognormal(np.log(mean) - spread**2 / 2, spread, n)


def exponential(mean: float) -> Draw:
    """Answer durations without memory."""
    return lambda rng, n: rng.exponential(mean, n)


def simulate(seed: int, per_hour: float, steps: Sequence[tuple[int, Draw]], count: int = 60_000) -> Simulated:
    """Let provisions arrive at random and go through steps of so many places each, one after the other."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(3600 / per_hour, count))
    ready, waits = arrivals.copy(), np.zeros((count, len(steps)))
    for step, (places, draw) in enumerate(steps):
        durations = draw(rng, count)
        free = [0.0] * places
        for one in np.argsort(ready, kind="stable").tolist():
            begin = max(heapq.heappop(free), ready[one])
            waits[one, step] = begin - ready[one]
            ready[one] = begin + durations[one]
            heapq.heappush(free, ready[one])
    warm = count // 10
    return Simulated(waits[warm:], (ready - arrivals)[warm:])
