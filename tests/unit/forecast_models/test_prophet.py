"""Prophet says what its coefficients say; events, peaks and newer levels move it; and it is quiet."""

import logging

import numpy as np
import pandas as pd
import pytest

from controlplane.forecast.models import prophet, prophet_inputs
from controlplane.forecast.models.correction import scales
from controlplane.forecast.models.prophet import ProphetModel
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.series import DAY, HOUR, Event, FloatArray, Series, Window

HORIZON = 24
START = 19_900 * DAY
HOURS = np.arange(24 * 20)


def _daily() -> FloatArray:
    noise = np.random.default_rng(6).normal(0, 2, HOURS.size)
    season: FloatArray = 100 + 50 * np.sin(2 * np.pi * HOURS / 24) + noise
    return season


def _event(day: int, kind: str = "sale") -> Event:
    start = START + day * DAY + 12 * HOUR
    return Event(f"{kind} {day}", kind, start, start + 3 * HOUR)


def _forecast(fitted_on: Window, window: Window) -> FloatArray:
    answer: FloatArray = (
        ProphetModel().fit([fitted_on], horizon=HORIZON, seed=1).forecast([window], HORIZON)[0]
    )
    return answer


def test_its_coefficients_say_what_prophet_says() -> None:
    series = Series("s", START, HOUR, _daily())
    window = Window(series, (_event(3), _event(6)), {"peaks": np.tile(np.arange(24.0), 21)})
    scale = scales(series.values)[1]
    table, sizes, mean = prophet._table(window, series, scale)
    model = prophet._run(table, prophet_inputs.cycles(window), sizes, 1)
    learned = prophet._learn(window, 1)
    assert model is not None
    assert learned is not None

    wanted = model.predict(table)["yhat"].to_numpy() + mean

    np.testing.assert_allclose(learned.usual(window, series, 0), wanted, atol=1e-6)
    assert isinstance(table, pd.DataFrame)


def test_an_event_seen_before_moves_the_forecast_while_it_lasts() -> None:
    values = _daily()
    past = [_event(day) for day in (4, 8, 12, 16)]
    for event in past:
        first = (event.start - START) // HOUR
        values[first : first + 3] *= 3
    series = Series("s", START, HOUR, values)
    quiet = Window(series, tuple(past))
    busy = Window(series, (*past, _event(20)))

    without, planned = _forecast(quiet, quiet), _forecast(quiet, busy)

    assert (planned[12:15, MEDIAN] > 2 * without[12:15, MEDIAN]).all()
    np.testing.assert_allclose(planned[:9], without[:9])


def test_a_stated_peak_moves_the_forecast() -> None:
    values, peaks = _daily(), np.zeros(HOURS.size + HORIZON)
    for day in (2, 7, 11, 15, 18, 20):
        peaks[24 * day + 5] = 400.0
    values += 2 * peaks[: HOURS.size]
    window = Window(Series("s", START, HOUR, values), covariates={"peaks": peaks})

    told = _forecast(window, window)[:, MEDIAN]

    assert told[5] > 2 * told[4]


def test_the_level_follows_newer_data() -> None:
    values = _daily()
    old = Window(Series("s", START, HOUR, values[: 24 * 18]))
    values[24 * 18 :] *= 2

    told = _forecast(old, Window(Series("s", START, HOUR, values)))

    assert told[:3, MEDIAN].mean() > 1.5 * values[: 24 * 18 : 24].mean()


def test_less_than_a_day_has_no_answer() -> None:
    window = Window(Series("s", START, HOUR, _daily()[:20]))

    assert np.isnan(_forecast(window, window)).all()


def test_it_is_quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    window = Window(Series("s", START, HOUR, _daily()))

    with caplog.at_level(logging.DEBUG):
        _forecast(window, window)

    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
