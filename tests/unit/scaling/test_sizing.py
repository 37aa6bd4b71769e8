"""One headroom for all series: the smallest that leaves a share short, and what it costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.scaling.sizing import LEADS, TARGETS, charged, pooled_headroom, sized

PAIRS = st.integers(1, 4).flatmap(
    lambda rows: st.tuples(
        arrays(np.float64, (rows, 25), elements=st.floats(0.1, 100)),
        arrays(np.float64, (rows, 25), elements=st.floats(0.1, 100)),
    )
)


@given(PAIRS, st.sampled_from([0.0, 0.02, 0.05, 0.3]))
def test_no_more_than_the_share_is_short_and_a_smaller_headroom_leaves_more(
    pair: tuple[np.ndarray, np.ndarray], short: float
) -> None:
    wanted, demand = pair
    factor = pooled_headroom(wanted, demand, short)

    assert (demand > factor * wanted * (1 + 1e-12)).mean() <= short
    assert (demand > factor * wanted * (1 - 1e-9)).mean() > short


def test_knowing_the_future_costs_what_came() -> None:
    demand = np.array([[1.0, 2.0, 3.0], [10.0, 10.0, 40.0]])
    found = sized(demand, demand, 0.02)

    assert (found.headroom, found.cost) == (1.0, 1.0)
    assert found.short == (0.0, 0.0)


def test_every_series_counts_alike_whatever_its_unit() -> None:
    demand = np.array([[1.0, 1.0], [1e9, 1e9]])
    found = charged(np.array([[3.0, 3.0], [1e9, 1e9]]), demand, 1.0)

    assert found.cost == pytest.approx(2.0)
    assert found.by_series == (3.0, 1.0)


def test_what_is_not_known_does_not_count() -> None:
    demand = np.array([[1.0, np.nan, 1.0]])
    found = sized(np.array([[1.0, 50.0, 2.0]]), demand, 0.0)

    assert found.cost == pytest.approx(1.5)


def test_a_policy_that_wanted_nothing_where_demand_came_has_no_headroom() -> None:
    found = sized(np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]]), 0.0)

    assert found.headroom == np.inf


def test_a_share_of_no_demand_is_left_out() -> None:
    found = charged(np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]]), 1.0)

    assert found.cost == 2.0


def test_every_lead_time_has_a_target_and_lies_within_four_hours() -> None:
    assert set(LEADS) == set(TARGETS)
    assert max(max(steps) for steps in LEADS.values()) == 48
