"""Choosing a quantile by price, and raising it towards the reactive envelope: its bounds, and its trust."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.planning.demand import outlook_of, planned_quantile, planned_rates, window
from controlplane.planning.envelope import (
    HIGHEST,
    LEVEL,
    LOWEST,
    SHORT_PRICE,
    TRUSTED_SHARE,
    planned,
    priced,
    priced_levels,
    quantile_at,
    share,
)
from controlplane.planning.problem import Demand, Promise

POSITIVE = st.floats(0, 1e6)
LEVELS = np.array([0.1, 0.5, 0.8, 0.9])
MANY = np.array([0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])


@st.composite
def forecasts(draw: st.DrawFn) -> np.ndarray:
    """Draw quantiles at `MANY`, shape (steps, levels)."""
    steps = draw(st.lists(st.lists(POSITIVE, min_size=7, max_size=7).map(sorted), min_size=1, max_size=12))
    return np.array(steps)


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


def test_a_sure_forecast_is_planned_with_a_high_level_and_a_wide_one_with_a_lower_one() -> None:
    sure = np.array([[9.0, 10.0, 10.1, 10.2, 10.3, 10.4, 10.5]])
    wide = np.array([[1.0, 10.0, 20.0, 80.0, 200.0, 500.0, 900.0]])

    assert priced_levels(sure, MANY).tolist() == [HIGHEST]
    assert priced_levels(wide, MANY).tolist() == [LOWEST]
    assert priced(wide, MANY).tolist() == [80.0]


@given(forecasts())
def test_no_other_level_costs_less(quantiles: np.ndarray) -> None:
    typical = quantiles[:, 1].mean()
    tried = MANY[3:5]
    costs = quantiles[:, 3:5] + SHORT_PRICE * typical * (1 - tried)

    for level, cost in zip(priced_levels(quantiles, MANY), costs, strict=True):
        assert cost[tried.tolist().index(level)] == cost.min()


def test_where_no_level_is_among_those_tried_it_is_the_one_that_trust_is_judged_by() -> None:
    assert priced(np.array([[2.0, 4.0]]), np.array([0.5, 0.99])) == pytest.approx(
        np.interp(LEVEL, [0.5, 0.99], [2.0, 4.0])
    )
    assert priced(np.array([[3.0]]), np.array([0.5])).tolist() == [3.0]


@given(forecasts(), POSITIVE, st.floats(0, 7200), st.sampled_from([0.0, 600.0]))
def test_without_a_price_of_misses_a_plan_never_lies_below_the_rule(
    quantiles: np.ndarray, envelope: float, lead: float, promised: float
) -> None:
    rates = tuple(tuple(row) for row in quantiles.tolist())
    outlook = outlook_of(Demand(300.0, tuple(MANY.tolist()), rates, envelope))
    quantile = planned_quantile(Promise(p95_seconds=promised), 1.0, outlook)

    found = planned_rates(outlook, quantile, lead)

    rule = planned(priced(quantiles, MANY), envelope, TRUSTED_SHARE)
    assert (found >= rule * (1 - 1e-9)).all()
    assert (found[: window(outlook.demand, lead)] >= envelope * (1 - 1e-9)).all()
