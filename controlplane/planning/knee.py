"""How many steps an instance usefully runs at once, as measured. Pure.

Compiling a problem calls it. An instance says how many steps it takes; measurements say from where on taking
more only makes all of them slower.
"""

from collections.abc import Sequence
from typing import NamedTuple

from controlplane.planning.problem import Call, Concurrency
from controlplane.planning.rules import KNEE


class Useful(NamedTuple):
    """What an instance is planned to run at once, and how long a step takes then."""

    places: int
    seconds: float


def useful(call: Call, capacity: int) -> Useful:
    """Answer the least number of steps at once that does nearly as much as the instance can do.

    Where nothing was measured by concurrency it is the capacity, and the step takes its mean. Beyond the last
    measured point the step is taken to slow down as it did before it.

    Args:
        call: What was measured.
        capacity: What the instance says that it takes at once, at least 1.
    """
    points = _never_faster([point for point in call.concurrency if point.in_flight > 0 and point.seconds > 0])
    if not points:
        return Useful(capacity, call.mean_seconds)
    durations = [_at(points, count) for count in range(1, capacity + 1)]
    rates = [count / seconds for count, seconds in enumerate(durations, 1)]
    enough = KNEE * max(rates)
    places = next(count for count, rate in enumerate(rates, 1) if rate >= enough)
    return Useful(places, max(call.mean_seconds, durations[places - 1]))


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


def _at(points: Sequence[Concurrency], count: int) -> float:
    """Answer how long a step takes while so many run; linear between points and beyond the last."""
    if count <= points[0].in_flight or len(points) == 1:
        return points[0].seconds
    after = next((i for i, point in enumerate(points) if point.in_flight >= count), len(points) - 1)
    low, high = points[after - 1], points[after]
    slope = (high.seconds - low.seconds) / (high.in_flight - low.in_flight)
    return low.seconds + slope * (count - low.in_flight)
