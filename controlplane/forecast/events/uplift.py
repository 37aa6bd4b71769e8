"""By how much events of a type move demand: learned from past ones, held by what people expect. Pure.

`adjust` calls it. Effects are factors, so all is counted in logarithms. The regression fits events together
with the time of day, weekends and level (see `baseline`), robustly. How far single events stray from their
type is measured too: it says how much a few events are worth against an expectation, and how sure an uplift
is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.events.baseline import design
from controlplane.forecast.events.windows import AFTER, BEFORE, DURING, by_type, shares, spans
from controlplane.forecast.series import DAY, Event, FloatArray, Series

IntArray = NDArray[np.int64]

OFFSET = 0.01
"""Share of the mean that is added before logarithms are taken, so that zeros are allowed."""

HALF_LIFE_DAYS = 14.0
"""After so many days a step counts half."""

UNKNOWN = 0.7
"""Standard deviation of the effect of an event of which nothing is known: a factor of two is common."""

EXPECTED = 0.35
"""Likewise where people expect something: they are off by a factor of 1.4."""

AROUND = 0.35
"""Likewise for the time before and after an event."""

STRAYS = 0.3
"""How far single events stray from their type, before it is measured; it counts as `STRAYS_COUNT` events."""

STRAYS_COUNT = 2

MOST = math.log(50.0)
"""No effect is believed beyond this factor."""

ROUNDS = 3
"""Rounds of reweighting."""

LEAST_NOISE = 0.1
"""A step that is off by less is never held to be wild."""

HUBER = 1.5
"""Residuals beyond so many deviations count less than squared."""

LEARNED, EXPECTATION, UNKNOWN_UPLIFT = "UPLIFT_LEARNED", "UPLIFT_EXPECTED", "UPLIFT_UNKNOWN"
"""Where an uplift comes from: past events, what people expect, or nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What past events of one type did, by part of their time.

    Attributes:
        effect: Logarithms of the factors, shape (3,).
        strays: How far single events stray from it, a standard deviation.
        count: Past events it was learned from.
    """

    effect: FloatArray
    strays: float
    count: int


NOTHING = Learned(np.zeros(3), STRAYS, 0)
"""What is known of a type without past events."""


@dataclass(frozen=True, slots=True, eq=False)
class Uplift:
    """What an event to come will do.

    Attributes:
        effect: Logarithms of the factors before, during and after, shape (3,).
        spread: Standard deviations of them, shape (3,).
        learned_from: Past events of its type.
        reason: `LEARNED`, `EXPECTATION` or `UNKNOWN_UPLIFT`.
    """

    effect: FloatArray
    spread: FloatArray
    learned_from: int
    reason: str


def learn(series: Series, events: Sequence[Event]) -> Mapping[str, Learned]:
    """Learn what past events did.

    Args:
        series: Up to and with the origin.
        events: Past and planned ones; only what they covered of the series is learned from.

    Returns:
        By type, where at least one event's own time was measured.
    """
    times = series.times()
    measured = np.isfinite(series.values)
    kinds = {
        kind: shares(those, times, series.step_seconds)[measured] for kind, those in by_type(events).items()
    }
    kinds = {kind: covered for kind, covered in kinds.items() if covered[:, DURING].sum() > 0}
    if not kinds or np.count_nonzero(measured) < 2 * series.day:
        return {}
    here, values = times[measured], series.values[measured]
    logs = np.log(np.maximum(values, 0.0) + OFFSET * float(np.mean(np.abs(values))) + 1e-300)
    age = 0.5 ** ((here[-1] - here) / (HALF_LIFE_DAYS * DAY))
    effects, residuals = _fitted(here, logs, age, np.concatenate(list(kinds.values()), axis=1))
    learned = {}
    for index, kind in enumerate(kinds):
        past = _past(by_type(events)[kind], series)
        effect = np.clip(effects[3 * index : 3 * index + 3], -MOST, MOST)
        seen = (kinds[kind] > 0).any(axis=0)
        learned[kind] = Learned(np.where(seen, effect, 0.0), _strays(past, here, residuals), len(past))
    return learned


def _fitted(
    times: IntArray, logs: FloatArray, age: FloatArray, covered: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Regress logarithms on the baseline and on events; answer the events' effects and the residuals."""
    base, held = design(times)
    columns = np.concatenate((base, covered), axis=1)
    k = base.shape[1]
    precision = np.zeros((columns.shape[1],) * 2)
    precision[:k, :k] = held
    # Effects are shrunk later, knowing how many events there were: here just enough to have a solution.
    precision[k:, k:] = 0.01 * np.eye(columns.shape[1] - k)
    weights, found, residuals = age, np.zeros(columns.shape[1]), logs
    for _ in range(ROUNDS):
        weighted = columns * weights[:, None]
        found = np.asarray(np.linalg.solve(columns.T @ weighted + precision, weighted.T @ logs), np.float64)
        residuals = logs - columns @ found
        width = max(LEAST_NOISE, 1.4826 * float(np.median(np.abs(residuals))))
        weights = age * np.minimum(1.0, HUBER * width / np.maximum(np.abs(residuals), 1e-12))
    return found[k:], residuals


def _past(events: Sequence[Event], series: Series) -> list[Event]:
    """Answer events that were over, or under way, and of which something was measured."""
    end = series.last + series.step_seconds
    return [event for event in events if event.start < end and event.end > series.start]


def _strays(past: Sequence[Event], times: IntArray, residuals: FloatArray) -> float:
    """Measure how far single events stray, from the mean residual of each."""
    means = []
    for event in past:
        start, end = spans(event)[DURING]
        here = residuals[(times >= start) & (times < end)]
        if here.size:
            means.append(float(here.mean()))
    squares = float(np.square(means).sum()) + STRAYS_COUNT * STRAYS**2
    return math.sqrt(squares / (len(means) + STRAYS_COUNT))


def expect(event: Event, learned: Learned) -> Uplift:
    """Say what an event to come will do: what was learned, drawn towards what is expected."""
    expected = event.expected_uplift
    reason = LEARNED if learned.count else UNKNOWN_UPLIFT if expected is None else EXPECTATION
    centre, width = (0.0, UNKNOWN) if expected is None else (math.log(expected), EXPECTED)
    centres = np.zeros(3)
    widths = np.full(3, AROUND)
    centres[DURING], widths[DURING] = np.clip(centre, -MOST, MOST), width
    seen = learned.count / learned.strays**2
    total = seen + widths**-2.0
    effect = (seen * learned.effect + centres / widths**2) / total
    spread = np.sqrt(1 / total + learned.strays**2)
    # Around an event of which nothing was seen there is nothing to be unsure of, but that it may be longer.
    spread[[BEFORE, AFTER]] = spread[[BEFORE, AFTER]] if learned.count else STRAYS / 2
    return Uplift(effect, spread, learned.count, reason)
