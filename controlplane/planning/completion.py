"""How long a provision takes: its calls in a row, each with its wait for a place. Pure; numpy only.

Sizing asks it how many provisions are too slow, options ask it for P95. The sum of independent waits and
durations is worked out on a grid of time; nothing is assumed of its shape.
"""

from typing import NamedTuple

import numpy as np

from controlplane.planning.queueing import FloatArray

_CHUNK = 8192
"""Entries that are worked out at once: they fit into the processor's cache."""


class Waits(NamedTuple):
    """Waits for one call: with a chance of `own` and `other` exponential with these means, otherwise none.

    A call that waits does so behind this workload's work or behind that of others, each by its part of the
    load. All of shape (n,).
    """

    own: FloatArray
    own_seconds: FloatArray
    other: FloatArray
    other_seconds: FloatArray


def done_by(service: FloatArray, waits: list[Waits], until: FloatArray) -> FloatArray:
    """Answer the chance that provisions are done by each point of a grid.

    A wait turns F into (1-c)·F + c·H, where H' = (F-H)/w; with F linear between points that is an exact
    recursion, and one that keeps the order: a likelier or longer wait never makes anything earlier.

    Args:
        service: Shape (cells + 1, n): the same without waits.
        waits: For each call, of shape (n,).
        until: Shape (n,): the end of the grid in seconds.

    Returns:
        Shape (cells + 1, n).
    """
    answer = np.empty_like(service)
    for start in range(0, service.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        done, width = np.ascontiguousarray(service[:, part]), until[part] / (len(service) - 1)
        for wait in waits:
            done = _waited(done, Waits(*(values[part] for values in wait)), width)
        answer[:, part] = done
    return answer


def _waited(done: FloatArray, wait: Waits, width: FloatArray) -> FloatArray:
    if not (wait.own.any() or wait.other.any()):
        return done
    answer = done * (1.0 - wait.own - wait.other)
    for chance, seconds in ((wait.own, wait.own_seconds), (wait.other, wait.other_seconds)):
        if chance.any():
            _add_exponential(answer, done, chance, width / np.maximum(seconds, 1e-9))
    return answer


def _add_exponential(answer: FloatArray, done: FloatArray, chance: FloatArray, decay: FloatArray) -> None:
    """Add `chance` times `done`, delayed by an exponential time with a rate of `decay` per cell."""
    kept = np.exp(-decay)
    mean = -np.expm1(-decay) / np.maximum(decay, 1e-12)
    first, second = (mean - kept) * chance, (1.0 - mean) * chance
    delayed = np.zeros(done.shape[1])
    scratch = np.empty(done.shape[1])
    for cell in range(1, len(done)):
        delayed *= kept
        np.multiply(first, done[cell - 1], out=scratch)
        delayed += scratch
        np.multiply(second, done[cell], out=scratch)
        delayed += scratch
        answer[cell] += delayed


def time_at(done: FloatArray, until: FloatArray, share: float) -> FloatArray:
    """Answer by when so many are done; infinite where that is beyond the grid.

    Args:
        done: Shape (cells + 1, n).
        until: Shape (n,): the end of the grid in seconds.
        share: In 0..1.
    """
    cells = len(done) - 1
    after = np.argmax(done >= share, axis=0)
    columns = np.arange(done.shape[1])
    high, low = done[after, columns], done[np.maximum(after - 1, 0), columns]
    part = np.where(high > low, (share - low) / np.where(high > low, high - low, 1.0), 1.0)
    found = (after - 1 + part) / cells * until
    return np.where(done[-1] >= share, found, np.inf)
