"""Losses are what their definitions say, and nothing that was not measured or not forecast counts."""

import numpy as np
import pytest

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.scores import Marks, mark, ratio, relative, score, seasonal_error
from controlplane.forecast.series import HOUR, FloatArray, Series

NAN = float("nan")


def points(values: FloatArray) -> FloatArray:
    """Make forecasts that are sure of one value."""
    return np.repeat(values[..., None], len(LEVELS), axis=-1)


def marked(forecast: list[list[float]], actual: list[list[float]], scale: float = 2.0) -> Marks:
    actuals = np.array(actual)
    return mark(points(np.array(forecast)), actuals, np.full(len(actuals), scale))


def test_of_a_point_the_loss_is_the_absolute_error() -> None:
    found = score(marked([[10, 20], [30, 50]], [[12, 20], [30, 40]]), 2)

    assert found.wql == pytest.approx((2 + 10) / (12 + 20 + 30 + 40))
    assert found.mase == pytest.approx((2 + 10) / 4 / 2)
    assert found.smape == pytest.approx(100 * (2 / 11 + 10 / 45) / 4)


def test_the_loss_of_quantiles_is_the_mean_pinball_loss() -> None:
    quantiles = np.linspace(5, 17, len(LEVELS))[None, None]
    levels, forecast = LEVELS[2:11], quantiles[0, 0, 2:11]
    expected = np.mean(
        [2 * max(t * (12 - q), (t - 1) * (12 - q)) for t, q in zip(levels, forecast, strict=True)]
    )

    found = score(mark(quantiles, np.array([[12.0]]), np.ones(1)), 1)

    assert found.wql == pytest.approx(expected / 12)


def test_only_steps_up_to_the_horizon_count() -> None:
    found = marked([[10, 999]], [[10, 1]])

    assert score(found, 1).wql == 0
    assert score(found, 2).wql > 0


def test_what_was_not_measured_or_not_forecast_is_left_out() -> None:
    found = score(marked([[10, 10, NAN]], [[12, NAN, 5]]), 3)

    assert found.wql == pytest.approx(2 / 12)
    assert found.coverage == 0
    assert found.below == (0, 0, 0)


def test_nothing_to_count_is_no_number() -> None:
    found = score(marked([[NAN]], [[1.0]]), 1)

    assert np.isnan([found.wql, found.mase, found.smape, found.coverage]).all()


def test_coverage_and_shares_below() -> None:
    quantiles = np.tile(LEVELS * 100, (1, 100, 1))
    actuals = np.arange(100.0)[None] + 0.5

    found = score(mark(quantiles, actuals, np.ones(1)), 100)

    assert found.coverage == pytest.approx(0.8)
    assert found.below == pytest.approx((0.9, 0.95, 0.99))


def test_the_error_of_the_day_before_leaves_gaps_out() -> None:
    values = np.concatenate([np.zeros(24), np.full(24, 3.0)])
    values[30] = NAN

    assert seasonal_error(Series("s", 0, HOUR, values)) == 3
    assert np.isnan(seasonal_error(Series("s", 0, HOUR, values[:20])))
    assert np.isnan(seasonal_error(Series("s", 0, HOUR, np.ones(50))))


def test_models_are_compared_on_what_both_forecast() -> None:
    actual = [[10.0, 10.0]]

    assert ratio(marked([[11, NAN]], actual), marked([[12, 90]], actual), 2) == pytest.approx(0.5)
    assert np.isnan(ratio(marked([[11, 11]], actual), marked([[10, 10]], actual), 2))


def test_the_geometric_mean_is_over_series() -> None:
    actual = [[10.0], [10.0]]
    pairs = [
        (marked([[11], [11]], actual), marked([[12], [12]], actual)),
        (marked([[14], [14]], actual), marked([[12], [12]], actual)),
    ]

    found = relative(pairs, 1, np.random.default_rng(0))

    assert found.mean == pytest.approx(1)
    assert found.low == pytest.approx(found.high) == pytest.approx(1)
    assert found.series == 2


def test_the_interval_comes_from_drawing_origins_and_is_repeatable() -> None:
    rng = np.random.default_rng(1)
    actual = (100 + rng.normal(0, 1, (8, 4))).tolist()
    pairs = [
        (
            marked((100 + rng.normal(0, 1, (8, 4))).tolist(), actual),
            marked((100 + rng.normal(0, 3, (8, 4))).tolist(), actual),
        )
        for _ in range(5)
    ]

    one, two = (relative(pairs, 4, np.random.default_rng(3)) for _ in range(2))

    assert one == two
    assert one.low < one.mean < one.high < 1


def test_where_nothing_can_be_compared_there_is_no_number() -> None:
    assert np.isnan(relative([], 1, np.random.default_rng(0)).mean)
