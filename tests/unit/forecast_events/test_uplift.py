"""What past events did is learned beside the time of day, and held by what people expect."""

import math

import numpy as np
import pytest

from controlplane.forecast.events.uplift import (
    EXPECTATION,
    LEARNED,
    NOTHING,
    UNKNOWN_UPLIFT,
    Learned,
    expect,
    learn,
)
from controlplane.forecast.events.windows import AFTER, BEFORE, DURING
from controlplane.forecast.series import DAY, HOUR, Event, FloatArray, Series

START = 19_905 * DAY
HOURS = np.arange(24 * 28)


def event(day: int, hour: int = 19, kind: str = "sale", expected: float | None = None) -> Event:
    start = START + day * DAY + hour * HOUR
    return Event(f"{kind} {day}", kind, start, start + 2 * HOUR, expected)


def demand(events: list[Event], factors: list[float], after: float = 1.0) -> FloatArray:
    """Make demand with a day, weekends, growth, noise, and events."""
    noise = np.exp(np.random.default_rng(9).normal(0, 0.05, HOURS.size))
    weekend = np.where((HOURS // 24) % 7 >= 5, 0.5, 1.0)
    values: FloatArray = (120 + 80 * np.sin(2 * np.pi * HOURS / 24)) * weekend * (1 + HOURS / 500) * noise
    for each, factor in zip(events, factors, strict=True):
        first = (each.start - START) // HOUR
        values[first : first + 2] *= factor
        values[first + 2 : first + 4] *= after
    return values


def learned(events: list[Event], factors: list[float], after: float = 1.0) -> Learned:
    return learn(Series("s", START, HOUR, demand(events, factors, after)), events)["sale"]


def test_the_factor_of_past_events_is_learned() -> None:
    told = learned([event(day) for day in (3, 9, 14, 18, 24)], [3.0] * 5, after=1.5)

    assert told.count == 5
    assert math.exp(told.effect[DURING]) == pytest.approx(3, rel=0.15)
    assert math.exp(told.effect[AFTER]) == pytest.approx(1.5, rel=0.15)
    assert math.exp(told.effect[BEFORE]) == pytest.approx(1, abs=0.15)


def test_one_event_that_went_wild_does_not_decide() -> None:
    told = learned([event(day) for day in (3, 9, 14, 18, 24)], [2.0, 2.0, 60.0, 2.0, 2.0])

    assert math.exp(told.effect[DURING]) < 3
    assert told.strays > learned([event(day) for day in (3, 9, 14, 18, 24)], [2.0] * 5).strays


def test_what_comes_at_this_time_every_day_is_not_the_events_work() -> None:
    told = learned([event(day, hour=6) for day in (3, 9, 14, 18, 24)], [1.0] * 5)

    assert math.exp(told.effect[DURING]) == pytest.approx(1, abs=0.1)


def test_events_to_come_teach_nothing() -> None:
    series = Series("s", START, HOUR, demand([], []))

    assert learn(series, [event(28)]) == {}
    assert learn(series, []) == {}


def test_gaps_while_an_event_lasted_teach_nothing() -> None:
    values = demand([], [])
    values[24 * 5 + 19 : 24 * 5 + 21] = np.nan

    assert learn(Series("s", START, HOUR, values), [event(5)]) == {}


def test_many_events_outweigh_an_expectation() -> None:
    many = expect(event(28, expected=1.5), Learned(np.log([1.0, 4.0, 1.0]), 0.2, 20))
    one = expect(event(28, expected=1.5), Learned(np.log([1.0, 4.0, 1.0]), 0.3, 1))

    assert math.exp(many.effect[DURING]) == pytest.approx(4, rel=0.1)
    assert 1.5 < math.exp(one.effect[DURING]) < 3.5
    assert one.spread[DURING] > many.spread[DURING]
    assert (many.reason, many.learned_from) == (LEARNED, 20)


def test_an_expectation_alone_is_taken_with_doubt() -> None:
    told = expect(event(28, expected=2.0), NOTHING)

    assert math.exp(told.effect[DURING]) == pytest.approx(2)
    assert math.exp(told.spread[DURING]) > 1.3
    assert (told.reason, told.learned_from) == (EXPECTATION, 0)


def test_of_nothing_known_no_uplift_is_made_up() -> None:
    told = expect(event(28), NOTHING)

    assert not told.effect.any()
    assert told.spread[DURING] > expect(event(28, expected=2.0), NOTHING).spread[DURING]
    assert told.reason == UNKNOWN_UPLIFT


def test_all_zero_demand_teaches_that_nothing_moved() -> None:
    told = learn(Series("s", START, HOUR, np.zeros(24 * 28)), [event(5)])

    assert np.isfinite(told["sale"].effect).all()
    assert abs(told["sale"].effect[DURING]) < 1e-3
