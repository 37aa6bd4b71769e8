"""How many steps an instance usefully runs at once, as measured. Pure.

Compiling a problem calls it. An instance says how many steps it takes; measurements say from where on taking
more only makes all of them slower.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from controlplane.planning.problem import Call, Concurrency
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
    beyond = _sure_slope(points, deviation)
    seconds = [_at(points, count, beyond) for count in range(1, capacity + 1)]
    enough = KNEE / seconds[0]
    gains = [count / each - enough * count for count, each in enumerate(seconds, 1)]
    places = 1 + max(range(capacity), key=lambda place: (gains[place], -place))
    return Useful(places, max(call.mean_seconds, seconds[places - 1]))


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


def _surely_slower(measured: Sequence[Concurrency], deviation: float) -> list[Concurrency]:
    """Pool neighbours of which the busier is not surely slower, those that differ least first.

    What is left never makes a step faster under more work, and no point stands out by chance.

    Args:
        measured: Points of the curve.
        deviation: Standard deviation of a step's duration.
    """
    groups = [[point] for point in sorted(measured)]
    while len(groups) > 1:
        sure = [_sureness(*pair, deviation) for pair in pairwise(groups)]
        least = min(range(len(sure)), key=sure.__getitem__)
        if sure[least] >= SURELY_SLOWER:
            break
        groups[least] += groups.pop(least + 1)
    return [point._replace(seconds=_mean(group)) for group in groups for point in group]


def _sureness(few: Sequence[Concurrency], many: Sequence[Concurrency], deviation: float) -> float:
    """Answer by how many standard errors steps are slower on the busier side."""
    error = deviation * math.sqrt(1 / _samples(few) + 1 / _samples(many))
    slower = _mean(many) - _mean(few)
    return slower / error if error > 0 else math.copysign(math.inf, slower)


def _samples(group: Sequence[Concurrency]) -> float:
    return sum(max(point.samples, 1e-9) for point in group)


def _mean(group: Sequence[Concurrency]) -> float:
    weights = [max(point.samples, 1e-9) for point in group]
    return sum(w * p.seconds for w, p in zip(weights, group, strict=True)) / sum(weights)


def _at(points: Sequence[Concurrency], count: int, beyond: float) -> float:
    """Answer how long a step takes while so many run; linear between points."""
    if count <= points[0].in_flight:
        return points[0].seconds
    if count >= points[-1].in_flight:
        return points[-1].seconds + beyond * (count - points[-1].in_flight)
    after = next(i for i, point in enumerate(points) if point.in_flight >= count)
    low, high = points[after - 1], points[after]
    slope = (high.seconds - low.seconds) / (high.in_flight - low.in_flight)
    return low.seconds + slope * (count - low.in_flight)
