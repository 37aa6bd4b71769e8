"""A forecast with events and without: past ones leave the history, planned ones move the forecast. Pure.

The forecasting loop calls `clean` before models that take no events see a window, and `adjust` on the
combined forecast. A model that takes events itself gets the window as it is, and its forecast is not
adjusted: never both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from controlplane.forecast.events.uplift import (
    NOTHING,
    OFFSET,
    UNKNOWN_UPLIFT,
    Learned,
    Uplift,
    expect,
    learn,
)
from controlplane.forecast.events.windows import DURING, by_type, shares
from controlplane.forecast.models.spread import NORMAL
from controlplane.forecast.quantiles import MEDIAN, bounded, ordered
from controlplane.forecast.series import Event, FloatArray, Window

NORMAL_90 = 1.2815515655446004
"""The .9 quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """A history without events.

    Attributes:
        window: The window with past effects taken out, and no events.
        learned: What past events did, by type.
    """

    window: Window
    learned: Mapping[str, Learned]


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """What one event does to a forecast.

    Attributes:
        event: It.
        uplift: What demand is multiplied by while it lasts.
        spread: Half the width of the uplift's 80 % interval, as a factor.
        learned_from: From how many past events of the type.
        reason: Where the uplift comes from, one of the reasons of `uplift`.
    """

    event: Event
    uplift: float
    spread: float
    learned_from: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Adjusted:
    """A forecast with what is planned, beside the one without.

    Attributes:
        quantiles: Shape (horizon, levels), with the events.
        without: The same as if nothing were planned.
        effects: What each event that touches the horizon does, by start; empty where none does.
    """

    quantiles: FloatArray
    without: FloatArray
    effects: tuple[Effect, ...]


def clean(window: Window) -> Cleaned:
    """Take what past events did out of a history.

    What an event type did on average is taken out; how single events strayed from it stays, as noise does.
    """
    series = window.series
    learned = learn(series, window.events)
    if not learned:
        return Cleaned(replace(window, events=()), learned)
    times = series.times()
    moved = np.zeros(len(series))
    for kind, events in by_type(window.events).items():
        if kind in learned:
            moved += shares(events, times, series.step_seconds) @ learned[kind].effect
    offset = OFFSET * float(np.nanmean(np.abs(series.values)))
    values = np.where(
        moved != 0.0, np.maximum(0.0, (series.values + offset) * np.exp(-moved) - offset), series.values
    )
    return Cleaned(replace(window, series=replace(series, values=values), events=()), learned)


def adjust(quantiles: FloatArray, window: Window, learned: Mapping[str, Learned]) -> Adjusted:
    """Put planned events on a forecast.

    Args:
        quantiles: What is forecast as if nothing were planned, shape (horizon, levels).
        window: With its events, past and planned.
        learned: What `clean` learned.
    """
    series, horizon = window.series, len(quantiles)
    times = series.times(horizon)[len(series) :]
    shift, variance, doubt = np.zeros(horizon), np.zeros(horizon), np.zeros(horizon)
    effects = []
    for kind, events in by_type(window.events).items():
        for uplift, alike in _alike(events, learned.get(kind, NOTHING)):
            covered = shares(alike, times, series.step_seconds)
            if not covered.any():
                continue
            shift += covered @ uplift.effect
            wide = covered @ uplift.spread**2
            if uplift.reason == UNKNOWN_UPLIFT:
                doubt += wide
            else:
                variance += wide
            here = [event for event in alike if shares([event], times, series.step_seconds).any()]
            effects += [_effect(event, uplift) for event in here]
    if not effects:
        return Adjusted(quantiles, quantiles, ())
    moved = _moved(quantiles, shift, variance, doubt)
    upper = np.inf if series.upper is None else series.upper
    effects.sort(key=lambda effect: (effect.event.start, effect.event.name))
    return Adjusted(bounded(ordered(moved), 0.0, upper), quantiles, tuple(effects))


def _alike(events: Sequence[Event], learned: Learned) -> list[tuple[Uplift, list[Event]]]:
    """Sort events of one type by what is expected of them: those of one expectation have one uplift."""
    by_expectation: dict[float | None, list[Event]] = {}
    for event in events:
        by_expectation.setdefault(event.expected_uplift, []).append(event)
    return [(expect(those[0], learned), those) for those in by_expectation.values()]


def _effect(event: Event, uplift: Uplift) -> Effect:
    spread = float(np.exp(NORMAL_90 * uplift.spread[DURING]))
    return Effect(event, float(np.exp(uplift.effect[DURING])), spread, uplift.learned_from, uplift.reason)


def _moved(quantiles: FloatArray, shift: FloatArray, variance: FloatArray, doubt: FloatArray) -> FloatArray:
    """Multiply a forecast by factors that are themselves uncertain.

    On the scale of logarithms the distance of each quantile from the median and that of the factor add up as
    independent ones do. Where nothing is known of an event, only upper quantiles move: it may bring demand.
    """
    tiny = 1e-9 * (float(np.max(quantiles)) + 1e-300)
    logs = np.log(np.maximum(quantiles, tiny))
    apart = logs - logs[:, MEDIAN : MEDIAN + 1]
    wide = variance[:, None] + np.where(NORMAL > 0, doubt[:, None], 0.0)
    further = np.sqrt(apart**2 + NORMAL**2 * wide) - np.abs(apart)
    moved: FloatArray = quantiles * np.exp(shift[:, None] + np.sign(NORMAL) * further)
    return moved
