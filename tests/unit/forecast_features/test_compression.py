"""The scale that demand is seen on: it can be undone, asks no future, and makes factors shifts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.forecast.features.compression import PLAIN, Scale, multiplied, scale_of
from controlplane.forecast.series import HOUR, MINUTE, FloatArray, Series


def hours(values: list[float], step: int = HOUR) -> Series:
    return Series("any", 0, step, np.array(values), upper=100.0)


@given(st.lists(st.floats(0, 1e12), min_size=1), st.floats(1e-6, 1e9))
def test_it_can_be_undone_and_keeps_the_order(values: list[float], unit: float) -> None:
    plain: FloatArray = np.sort(np.array(values))
    scale = Scale(unit)
    seen = scale.into(plain)
    np.testing.assert_allclose(scale.back(seen), plain, rtol=1e-6, atol=1e-9 * unit)
    assert (np.diff(seen) >= 0).all()
    assert (seen >= 0).all()


def test_a_coarse_grid_is_seen_by_its_mean_and_a_fine_one_as_it_is() -> None:
    values = [1.0, 2.0, float("nan"), 6.0]
    assert scale_of(hours(values)) == Scale(3.0)
    assert scale_of(hours(values, 5 * MINUTE)) is PLAIN
    fine = hours(values, 5 * MINUTE)
    assert PLAIN.series(fine) is fine


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [float("nan")]])
def test_where_nothing_was_used_there_is_no_scale(values: list[float]) -> None:
    assert scale_of(hours(values)) is PLAIN


def test_gaps_and_the_bound_go_along() -> None:
    seen = Scale(10.0).series(hours([float("nan"), 0.0, 100.0]))
    assert np.isnan(seen.values[0])
    assert seen.values[1] == 0
    assert seen.upper == pytest.approx(seen.values[2]) == pytest.approx(np.log(11))


def test_no_forecast_is_too_wild_to_be_undone() -> None:
    assert np.isfinite(Scale(1e9).back(np.array([1e6]))).all()


@pytest.mark.parametrize("step", [5 * MINUTE, HOUR])
def test_demand_can_be_multiplied_on_its_scale(step: int) -> None:
    series = hours([1.0, 5.0, 30.0], step)
    scale = scale_of(series)
    seen = multiplied(scale.into(series.values), 2.5, step)
    np.testing.assert_allclose(scale.back(seen), 2.5 * series.values)
