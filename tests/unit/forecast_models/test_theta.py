"""Theta follows seasons, levels and short drifts, and says how sure it is from its own errors."""

import numpy as np

from controlplane.forecast.models.theta import Theta
from controlplane.forecast.quantiles import LEVELS, MEDIAN
from controlplane.forecast.series import HOUR, FloatArray, Series, Window

HORIZON = 24
Q10, Q90 = list(LEVELS).index(0.1), list(LEVELS).index(0.9)


def _forecast(values: FloatArray) -> FloatArray:
    fitted = Theta().fit([], horizon=HORIZON, seed=0)
    answer: FloatArray = fitted.forecast([Window(Series("s", 0, HOUR, values))], HORIZON)[0]
    return answer


def _daily(days: int) -> FloatArray:
    hours = np.arange(24 * days)
    season: FloatArray = 100 + 60 * np.sin(2 * np.pi * hours / 24)
    return season


def test_a_season_goes_on() -> None:
    told = _forecast(_daily(10))

    np.testing.assert_allclose(told[:, MEDIAN], _daily(1), atol=2)


def test_a_level_that_moved_goes_on() -> None:
    values = _daily(14)
    values[-36:] += 50

    assert np.mean(_forecast(values)[:6, MEDIAN] - _daily(1)[:6]) > 20


def test_weekends_are_told_from_working_days() -> None:
    week: FloatArray = np.repeat([1.0, 1.0, 1.0, 1.0, 1.0, 0.3, 0.3], 24)
    values = _daily(35) * np.tile(week, 5)

    told = _forecast(values[: -2 * 24])

    np.testing.assert_allclose(told[6:, MEDIAN], 0.3 * _daily(1)[6:], atol=15)


def test_half_of_a_short_drift_goes_on() -> None:
    told = _forecast(np.arange(10.0, 22.0))

    assert 21.5 <= told[2, MEDIAN] <= 24
    assert told[-1, MEDIAN] <= 25


def test_its_errors_make_the_band() -> None:
    noise = np.random.default_rng(2).normal(0, 5, 24 * 30)

    told = _forecast(_daily(30) + noise)

    width = np.mean(told[:, Q90] - told[:, Q10])
    assert 2 * 1.28 * 5 * 0.8 <= width <= 2 * 1.28 * 5 * 1.4
