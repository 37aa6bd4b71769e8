"""Queues: how likely and how long a call waits for a place in a pool. Pure; numpy only.

Sizing and costs call it with whole arrays. Calls of one pool wait in one queue, first come, first served, and
arrive at random (Poisson). It must know neither engines nor money.

Sources: A. K. Erlang (1917) for the chance to wait; A. O. Allen, Probability, Statistics and Queueing Theory
(1990), for G/G/c after Allen and Cunneen, which for random arrivals is the rule of Lee and Longton (1959).
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_HUGE = 1e290
"""Reciprocals stop here: a chance of 1e-290 is none."""


def erlang_b(servers: IntArray, load: FloatArray) -> FloatArray:
    """Answer the chance that all servers are busy where nobody waits.

    The recursion 1/B(c) = 1 + c/a · 1/B(c-1) runs over reciprocals, which can neither cancel nor underflow,
    so that it holds for any number of servers; it ends at 1e290 instead of overflowing.

    Args:
        servers: Shape (n,), at least 0.
        load: Shape (n,): work in flight, arrivals times mean duration; at least 0.

    Returns:
        Shape (n,), in 0..1.
    """
    order = _by_size(servers)
    counts = servers[order]
    per_load = 1.0 / np.maximum(load[order], 1.0 / _HUGE)
    reciprocal = np.ones(len(order))
    most = int(counts[0]) if len(counts) else 0
    ends = np.searchsorted(-counts, -np.arange(1, most + 1), side="right")
    with np.errstate(over="ignore"):
        for count, end in enumerate(ends.tolist(), 1):
            part = reciprocal[:end]
            part *= per_load[:end]
            part *= count
            np.minimum(part, _HUGE, out=part)
            part += 1.0
    answer = np.empty(len(order))
    answer[order] = 1.0 / reciprocal
    return answer


def _by_size(servers: IntArray) -> IntArray:
    """Answer the order of servers, most first. Small numbers are sorted by their digits, in linear time."""
    most = int(servers.max(initial=0))
    small = most <= np.iinfo(np.uint16).max
    return np.argsort((most - servers).astype(np.uint16) if small else -servers, kind="stable")


def erlang_c(servers: IntArray, load: FloatArray) -> FloatArray:
    """Answer the chance that a call finds all servers busy and waits: 1 where they cannot keep up.

    Args:
        servers: Shape (n,), at least 0.
        load: Shape (n,): work in flight, at least 0.

    Returns:
        Shape (n,), in 0..1.
    """
    busy = erlang_b(servers, load)
    free = servers - load
    keeps_up = free > 0
    chance = np.ones(len(busy))
    np.divide(servers * busy, free + load * busy, out=chance, where=keeps_up)
    return chance


def mean_wait_if_any(servers: IntArray, load: FloatArray, residual: FloatArray) -> FloatArray:
    """Answer how many seconds a call waits on average that has to wait; infinite where nobody keeps up.

    Args:
        servers: Shape (n,).
        load: Shape (n,): work in flight.
        residual: Shape (n,): what is left on average of a call in progress, `mean · (1 + variation²) / 2`.

    Returns:
        Shape (n,): `residual / (servers - load)`, which makes the mean wait that of Allen and Cunneen.
    """
    free = servers - load
    wait = np.full(len(free), np.inf)
    np.divide(residual, free, out=wait, where=free > 0)
    return wait


def residual_seconds(mean: float, variation: float) -> float:
    """Answer what is left on average of a call in progress when another arrives."""
    return mean * (1.0 + variation * variation) / 2.0


def wait_beyond(chance: FloatArray, mean_if_any: FloatArray, seconds: float) -> FloatArray:
    """Answer the chance to wait longer than that: waits of those who wait are taken as exponential.

    For exponential durations this is exact; for others it is the usual approximation (Tijms, A First Course
    in Stochastic Models, 2003, 9.6), good in the middle and in the tail where places are busy.
    """
    tail: FloatArray = chance * np.exp(-seconds / mean_if_any)
    return tail
