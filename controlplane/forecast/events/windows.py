"""Which part of each step lies before, within and after an event. Pure; numpy only.

Prophet and `uplift` call it, so that both mean the same by the time around an event. It never reads demand.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.series import HOUR, Event, FloatArray

BEFORE, DURING, AFTER = 0, 1, 2
"""The parts of an event's time, as indices."""

AROUND_SECONDS = 2 * HOUR
"""The times before and after are as long as the event, and at most so long."""


def spans(event: Event) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Answer from when until when the three parts last."""
    around = min(AROUND_SECONDS, event.end - event.start)
    return (
        (event.start - around, event.start),
        (event.start, event.end),
        (event.end, event.end + around),
    )


def shares(events: Sequence[Event], times: NDArray[np.int64], step_seconds: int) -> FloatArray:
    """Answer which share of each step is covered by each part of any of the events.

    Args:
        events: Of one type.
        times: Starts of the steps, ascending.
        step_seconds: Length of a step.

    Returns:
        Shape (len(times), 3), within 0 and 1. Events at one time count once; where the time after one event
        is the time of another, both are told.
    """
    covered = np.zeros((len(times), 3))
    for event in events:
        for part, (start, end) in enumerate(spans(event)):
            first = int(np.searchsorted(times, start - step_seconds, side="right"))
            last = int(np.searchsorted(times, end, side="left"))
            here = times[first:last]
            share = (np.minimum(here + step_seconds, end) - np.maximum(here, start)) / step_seconds
            covered[first:last, part] = np.maximum(covered[first:last, part], share)
    return covered


def by_type(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Sort events by type, in the order of the types' names."""
    kinds: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda event: (event.type, event.start, event.name)):
        kinds.setdefault(event.type, []).append(event)
    return kinds
