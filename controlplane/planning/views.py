"""What to believe of calls that were measured seldom or never. Pure.

Plans take the figures of the chain in force as they are, and those of all others cautiously, so that no
switch rests on luck with a few measurements; exploration takes them hopefully, so that bad luck rules nothing
out for good. From `ENOUGH_SAMPLES` on all three are the same. It must never make up a figure where one was
measured.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from controlplane.planning.problem import Call, Candidate
from controlplane.planning.rules import ENOUGH_SAMPLES, SHORTEST_SECONDS, UNKNOWN_FACTOR, UNKNOWN_SECONDS

Alike = Mapping[tuple[str, ...], Sequence[Call]]
"""Calls that were measured, by the steps that they do."""


class View(Enum):
    """How much doubt is given its due: none, for the worse, for the better."""

    PLAIN = 0
    CAUTIOUS = 1
    HOPEFUL = -1


def measured_alike(candidates: Iterable[Candidate]) -> Alike:
    """Answer the measured calls of a problem, by what they do."""
    found: dict[tuple[str, ...], list[Call]] = {}
    for candidate in candidates:
        for call in candidate.calls:
            if call.samples > 0 and call.mean_seconds > 0:
                found.setdefault(call.steps, []).append(call)
    return found


def few(call: Call) -> bool:
    """Say whether a call was measured too seldom to take its figures as they are."""
    return call.samples < ENOUGH_SAMPLES


def seen(call: Call, view: View, alike: Alike) -> Call:
    """Answer a call as one should believe it to be."""
    others = alike.get(call.steps, ())
    if call.samples <= 0:
        return _unmeasured(call, view, others)
    if call.mean_seconds <= 0:
        call = _timed(call, view, others)
    if view is View.PLAIN or not few(call):
        return call
    worth = call.samples * ENOUGH_SAMPLES / (ENOUGH_SAMPLES - call.samples)
    stretch = math.exp(view.value * call.variation / math.sqrt(worth))
    return replace(
        _stretched(call, stretch), success=_wilson(call.success, worth, below=view is View.CAUTIOUS)
    )


def _unmeasured(call: Call, view: View, alike: Sequence[Call]) -> Call:
    """Think of it as of what does the same: as the slowest and more, as the fastest, or as their average."""
    means = [other.mean_seconds for other in alike] or [UNKNOWN_SECONDS * len(call.steps)]
    success = [other.success for other in alike] or [1.0]
    if view is View.CAUTIOUS:
        return replace(_as_long(call, UNKNOWN_FACTOR * max(means)), success=0.0)
    if view is View.HOPEFUL:
        return replace(_as_long(call, min(means)), success=max(success))
    return replace(_as_long(call, sum(means) / len(means)), success=sum(success) / len(success))


def _timed(call: Call, view: View, alike: Sequence[Call]) -> Call:
    """Answer a call with a duration that was measured without one: too short to tell, or none succeeded."""
    if call.success > 0:
        return replace(_as_long(call, SHORTEST_SECONDS), attempts=call.attempts)
    return replace(_unmeasured(call, view, alike), success=call.success)


def _as_long(call: Call, seconds: float) -> Call:
    return replace(
        call, mean_seconds=seconds, p50_seconds=0.0, p95_seconds=0.0, p99_seconds=0.0,
        variation=1.0, attempts=1.0, concurrency=(),
    )  # fmt: skip


def _stretched(call: Call, factor: float) -> Call:
    return replace(
        call,
        mean_seconds=call.mean_seconds * factor,
        p50_seconds=call.p50_seconds * factor,
        p95_seconds=call.p95_seconds * factor,
        p99_seconds=call.p99_seconds * factor,
        concurrency=tuple(point._replace(seconds=point.seconds * factor) for point in call.concurrency),
    )


def _wilson(share: float, samples: float, *, below: bool) -> float:
    """Answer an end of Wilson's interval (1927) of a share, one standard error wide."""
    spread = math.sqrt(share * (1 - share) / samples + 1 / (4 * samples * samples))
    centre = share + 1 / (2 * samples)
    edge = (centre - spread if below else centre + spread) / (1 + 1 / samples)
    return min(1.0, max(0.0, edge))
