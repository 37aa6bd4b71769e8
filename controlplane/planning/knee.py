"""How many steps an instance usefully runs at once, as measured. Pure.

Compiling a problem calls it. An instance says how many steps it takes; measurements say from where on taking
more only makes all of them slower.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from controlplane.planning.problem import Call, Concurrency
from controlplane.planning.rules import KNEE, SURE


class Useful(NamedTuple):
    """What an instance is planned to run at once, and how long a step takes then."""

    places: int
    seconds: float


def useful(call: Call, capacity: int) -> Useful:
    """Answer up to how many steps at once each further one still adds to what the instance does in an hour.

    Where nothing was measured by concurrency it is the capacity, and the step takes its mean. Beyond the last
    measured point the step is taken to slow down as much as it surely did before it: a few quick steps are no
    reason to think less of what the engine says it can do.

    Args:
        call: What was measured.
        capacity: What the instance says that it takes at once, at least 1.
    """
    points = _never_faster([point for point in call.concurrency if point.in_flight > 0 and point.seconds > 0])
    if not points:
        return Useful(capacity, call.mean_seconds)
    beyond = _sure_slope(points, call.variation * call.mean_seconds)
    places, rate = 1, 1 / _at(points, 1, beyond)
    enough = KNEE * rate
    while places < capacity and (places + 1) / _at(points, places + 1, beyond) - rate >= enough:
        places += 1
        rate = places / _at(points, places, beyond)
    return Useful(places, max(call.mean_seconds, _at(points, places, beyond)))


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


def _never_faster(points: Sequence[Concurrency]) -> list[Concurrency]:
    """Pool neighbours that would make a step faster under more work, by samples (isotonic regression)."""
    pooled: list[list[Concurrency]] = []
    for point in sorted(points):
        pooled.append([point])
        while len(pooled) > 1 and _mean(pooled[-2]) > _mean(pooled[-1]):
            last = pooled.pop()
            pooled[-1] += last
    return [point._replace(seconds=_mean(group)) for group in pooled for point in group]


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
