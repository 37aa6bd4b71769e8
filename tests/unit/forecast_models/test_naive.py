"""The naive models answer what statsforecast's do, and no season before it was seen."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from controlplane.forecast.models.local import Local
from controlplane.forecast.models.naive import Naive, SeasonalNaive, WeeklyNaive
from controlplane.forecast.quantiles import LEVELS, MEDIAN
from controlplane.forecast.series import HOUR, FloatArray, Series, Window

VALUES: FloatArray = 1000 + np.random.default_rng(5).normal(0, 30, 24 * 15)


def _forecast(
    model: Callable[[], Local], values: FloatArray, horizon: int = 30, upper: float | None = None
) -> FloatArray:
    window = Window(Series("s", 0, HOUR, values, upper))
    answer: FloatArray = model().fit([], horizon=horizon, seed=0).forecast([window], horizon)[0]
    return answer


@pytest.mark.parametrize(
    ("ours", "theirs", "season"), [(Naive, "Naive", 1), (SeasonalNaive, "SeasonalNaive", 24)]
)
def test_it_answers_what_statsforecast_does(ours: Callable[[], Local], theirs: str, season: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsforecast's imports speak of their own dependencies
        from statsforecast import models
    model = getattr(models, theirs)(**({} if season == 1 else {"season_length": season}))
    wanted = model.forecast(VALUES, h=30, level=[80])

    told = _forecast(ours, VALUES)

    np.testing.assert_allclose(told[:, MEDIAN], wanted["mean"], rtol=1e-9)
    np.testing.assert_allclose(told[:, list(LEVELS).index(0.9)], wanted["hi-80"], rtol=1e-6)
    np.testing.assert_allclose(told[:, list(LEVELS).index(0.1)], wanted["lo-80"], rtol=1e-6)


def test_quantiles_end_at_zero_and_at_the_bound() -> None:
    wild: FloatArray = np.tile([1.0, 99.0], 30)

    told = _forecast(Naive, wild, upper=100.0)

    assert told.min() == 0.0
    assert told.max() == 100.0


@pytest.mark.parametrize(("model", "season"), [(SeasonalNaive, 24), (WeeklyNaive, 168)])
def test_a_season_is_not_guessed_before_it_was_seen(model: Callable[[], Local], season: int) -> None:
    assert np.isnan(_forecast(model, VALUES[: season - 1])).all()
    assert np.isfinite(_forecast(model, VALUES[:season])).all()


def test_the_last_week_comes_again() -> None:
    np.testing.assert_allclose(_forecast(WeeklyNaive, VALUES)[:, MEDIAN], VALUES[-168:-138])
