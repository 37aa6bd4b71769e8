"""Where the marks of an axis go: round numbers, and round times in UTC. Pure."""

import math
from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TIMES = (
    5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY,
)  # fmt: skip

NARROW = 0.6
"""Where the smallest value is more than this share of the largest, the axis does not begin at zero."""


def value_range(values: list[float]) -> tuple[float, float]:
    """Answer from where to where the axis of values goes: from zero, unless that hides what there is."""
    there = [value for value in values if math.isfinite(value)]
    if not there:
        return 0.0, 1.0
    low, high = min(there), max(there)
    if low > NARROW * high:
        room = max((high - low) * 0.2, abs(high) * 0.01)
        return max(0.0, low - room), high + room
    return min(0.0, low), high * 1.05 if high > 0 else 1.0


def value_marks(low: float, high: float, count: int) -> list[float]:
    """Answer about `count` round values within an axis."""
    rough = (high - low) / max(count, 1)
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1, 2, 2.5, 5, 10) if power * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def time_marks(first: float, last: float, count: int) -> list[tuple[float, str]]:
    """Answer at most `count` (or two) round times within an axis, each as it is written: `06:00`, `Dec 1`."""
    step = next((size for size in _TIMES if (last - first) / size + 1 <= max(count, 2)), _TIMES[-1])
    marks = []
    for number in range(math.ceil(first / step), math.floor(last / step) + 1):
        at = datetime.fromtimestamp(number * step, UTC)
        midnight = (at.hour, at.minute) == (0, 0)
        marks.append((float(number * step), at.strftime("%b %-d" if midnight else "%H:%M")))
    return marks
