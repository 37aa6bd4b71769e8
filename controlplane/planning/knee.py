"""How many steps an instance usefully runs at once, as measured. Pure.

Compiling a problem calls it. An instance says how many steps it takes; measurements say from where on taking
more only makes all of them slower.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from controlplane.planning.problem import Call, Concurrency
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rules import KNEE, SURE, SURELY_SLOWER


class Useful(NamedTuple):
    """What an instance is planned to run at once, and how long a step takes then."""

    places: int
    seconds: float


def useful(call: Call, capacity: int) -> Useful:
    """Answer up to how many steps at once each further one still adds to what the instance does in an hour.

    It is the number that does most when a tenth of what one alone does is taken off for each place: so one
    point that was measured too slow does not end the search as long as more at once do more again. Where
    nothing was measured by concurrency it is the capacity, and the step takes its mean. Beyond the last
    measured point the step is taken to slow down as much as it surely did before it: a few quick steps are no
    reason to think less of what the engine says it can do.

    Args:
        call: What was measured.
        capacity: What the instance says that it takes at once, at least 1.
    """
    deviation = call.variation * call.mean_seconds
    measured = [point for point in call.concurrency if point.in_flight > 0 and point.seconds > 0]
    points = _surely_slower(measured, deviation)
    if not points:
        return Useful(capacity, call.mean_seconds)
    counts = np.arange(1, capacity + 1)
    seconds = _by_count(points, counts, _sure_slope(points, deviation))
    gains = counts / seconds - counts * (KNEE / seconds[0])
    places = int(gains.argmax())
    return Useful(places + 1, max(call.mean_seconds, float(seconds[places])))


def _sure_slope(points: Sequence[Concurrency], deviation: float) -> float:
    """Answer by how many seconds each further step surely slows all: the fitted slope less two of its errors.

    Args:
        points: What was measured.
        deviation: Standard deviation of a step's duration.
    """
    weight = sum(point.samples for point in points)
    if weight <= 0:
        return 0.0
    middle = sum(point.samples * point.in_flight for point in points) / weight
    mean = sum(point.samples * point.seconds for point in points) / weight
    spread = sum(point.samples * (point.in_flight - middle) ** 2 for point in points)
    if spread <= 0:
        return 0.0
    along = sum(point.samples * (point.in_flight - middle) * (point.seconds - mean) for point in points)
    return max(0.0, along / spread - SURE * deviation / math.sqrt(spread))


class _Group(NamedTuple):
    """Neighbours that are taken as one."""

    points: tuple[Concurrency, ...]
    samples: float
    seconds: float


def _surely_slower(measured: Sequence[Concurrency], deviation: float) -> list[Concurrency]:
    """Pool neighbours of which the busier is not surely slower, those that differ least first.

    What is left never makes a step faster under more work, and no point stands out by chance.

    Args:
        measured: Points of the curve.
        deviation: Standard deviation of a step's duration.
    """
    groups = [_Group((point,), max(point.samples, 1e-9), point.seconds) for point in sorted(measured)]
    sure = [_sureness(*pair, deviation) for pair in pairwise(groups)]
    while sure and (least := min(sure)) < SURELY_SLOWER:
        at = sure.index(least)
        groups[at : at + 2] = [_pooled(*groups[at : at + 2])]
        near = groups[max(0, at - 1) : at + 2]
        sure[max(0, at - 1) : at + 2] = [_sureness(*pair, deviation) for pair in pairwise(near)]
    return [point._replace(seconds=group.seconds) for group in groups for point in group.points]


def _sureness(few: _Group, many: _Group, deviation: float) -> float:
    """Answer by how many standard errors steps are slower on the busier side."""
    error = deviation * math.sqrt(1 / few.samples + 1 / many.samples)
    slower = many.seconds - few.seconds
    return slower / error if error > 0 else math.copysign(math.inf, slower)


def _pooled(few: _Group, many: _Group) -> _Group:
    samples = few.samples + many.samples
    seconds = (few.samples * few.seconds + many.samples * many.seconds) / samples
    return _Group(few.points + many.points, samples, seconds)


def _by_count(points: Sequence[Concurrency], counts: IntArray, beyond: float) -> FloatArray:
    """Answer how long a step takes while so many run; linear between points, flat before the first."""
    last = points[-1].in_flight
    between = np.interp(counts, [point.in_flight for point in points], [point.seconds for point in points])
    found: FloatArray = between + beyond * np.maximum(0, counts - last)
    return found
