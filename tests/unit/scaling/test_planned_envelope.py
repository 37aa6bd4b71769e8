"""Raising a quantile towards the reactive envelope: its bounds, and its trust."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.planning.envelope import LEVEL, TRUSTED_SHARE, planned, quantile_at, share

POSITIVE = st.floats(0, 1e6)
LEVELS = np.array([0.1, 0.5, 0.8, 0.9])


@given(POSITIVE, POSITIVE, st.floats(0, 1))
def test_the_plan_lies_between_the_quantile_and_the_larger_of_both(
    quantile: float, envelope: float, towards: float
) -> None:
    (answer,) = planned(np.array([quantile]), envelope, towards)

    assert quantile <= answer <= max(quantile, envelope) * (1 + 1e-9)


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(0, 1))
def test_more_demand_never_plans_less(quantile: float, envelope: float, more: float, towards: float) -> None:
    before = planned(np.array([quantile]), envelope, towards)
    after = planned(np.array([quantile + more]), envelope + more, towards)

    assert after[0] >= before[0] * (1 - 1e-9)


def test_the_whole_share_is_the_larger_of_both() -> None:
    answer = planned(np.array([1.0, 5.0]), 3.0, 1.0)

    assert answer.tolist() == [3.0, 5.0]


def test_a_forecast_of_which_nothing_is_known_is_not_believed() -> None:
    assert share(0, 0) == 1.0


def test_a_forecast_that_keeps_its_word_is_believed() -> None:
    assert share(150, 1000) == pytest.approx(TRUSTED_SHARE)


def test_a_forecast_that_broke_its_word_is_not_believed() -> None:
    assert share(900, 1000) == 1.0


def test_a_few_values_above_do_not_yet_cost_the_trust() -> None:
    assert share(5, 5) < 0.5


@given(st.integers(1, 2000), st.data())
def test_more_values_above_never_win_trust(known: int, data: st.DataObject) -> None:
    above = data.draw(st.integers(0, known - 1))

    assert TRUSTED_SHARE <= share(above, known) <= share(above + 1, known) <= 1.0


@pytest.mark.parametrize(
    ("level", "expected"), [(0.5, 2.0), (0.85, 5.0), (0.9, 6.0), (0.99, 6.0), (0.01, 1.0)]
)
def test_quantiles_between_levels_are_linear_and_beyond_them_flat(level: float, expected: float) -> None:
    assert quantile_at(np.array([1.0, 2.0, 4.0, 6.0]), LEVELS, level) == pytest.approx(expected)


def test_the_level_is_one_that_forecasts_hold_on_both_sides() -> None:
    assert 0.8 <= LEVEL <= 0.9
