"""The headroom that would have suited reactive scaling best, found with the whole of a trace in sight.

Reactive scaling keeps enough instances for the most that came in the last half hour, times a headroom. It is
given the headroom that costs least on just this trace, misses included: better than anybody could choose it.
"""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.scaling.simulating import serve
from controlplane.forecast.series import FloatArray
from examples.demo_scaling.stage import (
    INSTANCES_MAX,
    MISS_PRICE,
    PRICE_HOUR,
    PROMISED_SECONDS,
    WORK_SECONDS,
)

WINDOW = 6
"""Half an hour of the trace."""

HEADROOMS = tuple(round(1.0 + 0.1 * number, 1) for number in range(21))

OVERHEAD_SECONDS = 0.08
"""What a request takes beside its step: five transactions and four calls."""


def instances(seen: Sequence[float], headroom: float) -> int:
    """Answer how many instances reactive scaling keeps after what it has seen, in requests a second."""
    most = max(seen[-WINDOW:])
    return min(INSTANCES_MAX, max(1, math.ceil(headroom * most * WORK_SECONDS)))


def best_headroom(
    past: FloatArray, coming: FloatArray, arrivals: FloatArray, *, step: float, lead: float
) -> float:
    """Try all headrooms on what will come; answer the one of least cost.

    Args:
        past: Demand before the replay, requests a second.
        coming: Demand that will be replayed.
        arrivals: When its requests will come, seconds from the beginning.
        step: Seconds that a value of the trace takes.
        lead: Seconds that an instance takes to start.
    """
    durations = np.full(len(arrivals), WORK_SECONDS + OVERHEAD_SECONDS)
    known = np.concatenate([past[-WINDOW:], coming])
    costs = {}
    for headroom in HEADROOMS:
        targets = [instances(known[k : k + WINDOW].tolist(), headroom) for k in range(len(coming))]
        served = serve(targets, arrivals, durations, step=step, lead=lead, promised=PROMISED_SECONDS)
        costs[headroom] = served.hours * PRICE_HOUR + served.missed * MISS_PRICE
    return min(costs, key=lambda headroom: (costs[headroom], headroom))
