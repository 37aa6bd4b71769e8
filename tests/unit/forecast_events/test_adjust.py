"""Past events leave the history, planned ones move the forecast, and both forecasts are told."""

from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast.events.adjust import adjust, clean
from controlplane.forecast.events.uplift import UNKNOWN_UPLIFT, Learned
from controlplane.forecast.quantiles import LEVELS, MEDIAN, usable
from controlplane.forecast.series import DAY, HOUR, Event, FloatArray, Series, Window

START = 19_905 * DAY
HOURS = np.arange(24 * 28)
PLAIN: FloatArray = 120 + 80 * np.sin(2 * np.pi * HOURS / 24)
BASE: FloatArray = np.tile(np.linspace(80.0, 120.0, len(LEVELS)), (24, 1))
LEARNED = {"sale": Learned(np.log([1.0, 3.0, 1.0]), 0.2, 10)}


def _event(day: int, expected: float | None = None) -> Event:
    start = START + day * DAY + 12 * HOUR
    return Event(f"sale {day}", "sale", start, start + 2 * HOUR, expected)


def _window(*events: Event, values: FloatArray = PLAIN, upper: float | None = None) -> Window:
    return Window(Series("s", START, HOUR, values, upper), events)


def test_a_cleaned_history_is_as_if_there_had_been_no_event() -> None:
    values = PLAIN.copy()
    past = [_event(day) for day in (4, 9, 15, 20, 26)]
    for each in past:
        first = (each.start - START) // HOUR
        values[first : first + 2] *= 4

    cleaned = clean(_window(*past, _event(28), values=values))

    np.testing.assert_allclose(cleaned.window.series.values, PLAIN, rtol=0.25)
    assert cleaned.window.events == ()
    assert cleaned.learned["sale"].count == 5


def test_gaps_and_quiet_times_stay_as_they_are() -> None:
    values = PLAIN.copy()
    values[50:60] = np.nan

    cleaned = clean(_window(_event(9), values=values)).window.series.values

    assert np.isnan(cleaned[50:60]).all()
    np.testing.assert_array_equal(cleaned[: 24 * 9], values[: 24 * 9])


def test_without_events_nothing_changes() -> None:
    window = _window()

    assert clean(window).window.series is window.series
    assert adjust(BASE, window, {}).quantiles is BASE


def test_a_planned_event_moves_its_own_time_alone() -> None:
    told = adjust(BASE, _window(_event(28)), LEARNED)

    np.testing.assert_allclose(told.quantiles[12:14, MEDIAN], 3 * BASE[0, MEDIAN], rtol=0.05)
    np.testing.assert_array_equal(told.quantiles[:10], BASE[:10])
    np.testing.assert_array_equal(told.without, BASE)
    assert usable(told.quantiles)
    [effect] = told.effects
    assert effect.uplift == pytest.approx(3, rel=0.05)
    assert effect.spread > 1.2
    assert effect.learned_from == 10


def test_doubt_about_an_uplift_widens_the_forecast() -> None:
    told = adjust(BASE, _window(_event(28)), LEARNED).quantiles[12]

    assert told[-1] / told[MEDIAN] > 1.2 * BASE[0, -1] / BASE[0, MEDIAN]
    assert told[0] / told[MEDIAN] < BASE[0, 0] / BASE[0, MEDIAN]


def test_an_unknown_event_widens_upwards_alone() -> None:
    told = adjust(BASE, _window(_event(28)), {})

    np.testing.assert_allclose(told.quantiles[:, : MEDIAN + 1], BASE[:, : MEDIAN + 1])
    assert (told.quantiles[12, MEDIAN + 1 :] > BASE[12, MEDIAN + 1 :]).all()
    assert told.effects[0].reason == UNKNOWN_UPLIFT


def test_an_event_after_the_horizon_is_not_told() -> None:
    assert adjust(BASE, _window(_event(40)), LEARNED).effects == ()


def test_two_expectations_of_one_type_are_kept_apart() -> None:
    one, other = _event(28, 2.0), replace(_event(28, 8.0), name="other", start=START + 28 * DAY + 20 * HOUR)
    other = replace(other, end=other.start + 2 * HOUR)

    told = adjust(BASE, _window(one, other), {})

    assert [round(effect.uplift, 6) for effect in told.effects] == [2, 8]


def test_no_forecast_leaves_its_bounds() -> None:
    told = adjust(np.minimum(BASE, 100.0), _window(_event(28), upper=100.0), LEARNED)

    assert told.quantiles.max() == 100.0


def test_of_zero_demand_an_event_makes_none() -> None:
    assert not adjust(np.zeros_like(BASE), _window(_event(28)), LEARNED).quantiles.any()
