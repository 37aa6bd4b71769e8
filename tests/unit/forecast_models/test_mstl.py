"""MSTL lays the season it learned over newer data, and learns a series it does not know."""

import numpy as np

from controlplane.forecast.models.mstl import Mstl
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.series import HOUR, FloatArray, Series, Window

HORIZON = 24


def _daily(days: int) -> FloatArray:
    hours = np.arange(24 * days)
    noise = np.random.default_rng(4).normal(0, 1, hours.size)
    season: FloatArray = 100 + 60 * np.sin(2 * np.pi * hours / 24) + noise
    return season


def _window(values: FloatArray, cut: int = 0) -> Window:
    return Window(Series("s", cut * HOUR, HOUR, values[cut:]))


def test_a_season_learned_earlier_lies_over_newer_data() -> None:
    values = _daily(16)
    fitted = Mstl().fit([_window(values[: 24 * 14])], horizon=HORIZON, seed=0)

    told = fitted.forecast([_window(values[: 24 * 15 + 7], cut=5)], HORIZON)[0]

    np.testing.assert_allclose(told[:, MEDIAN], _daily(17)[24 * 15 + 7 :][:HORIZON], atol=6)


def test_the_level_follows_newer_data() -> None:
    values = _daily(16)
    fitted = Mstl().fit([_window(values[: 24 * 14])], horizon=HORIZON, seed=0)
    values[24 * 14 :] += 100

    told = fitted.forecast([_window(values)], HORIZON)[0]

    assert told[:4, MEDIAN].mean() > _daily(1)[:4].mean() + 60


def test_a_series_that_was_not_learned_is_decomposed_on_the_way() -> None:
    window = _window(_daily(14))
    learned = Mstl().fit([window], horizon=HORIZON, seed=0).forecast([window], HORIZON)
    unknown = Mstl().fit([], horizon=HORIZON, seed=0).forecast([window], HORIZON)

    np.testing.assert_array_equal(learned, unknown)


def test_less_than_three_days_have_no_answer() -> None:
    window = _window(_daily(3)[:71])

    assert np.isnan(Mstl().fit([window], horizon=HORIZON, seed=0).forecast([window], HORIZON)).all()
