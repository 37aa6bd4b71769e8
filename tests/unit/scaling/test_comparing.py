"""Policies side by side in the simulation: equal cost, equal misses, the same requests from the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.calibrating import BEGIN, factors, own, priced
from benchmarks.scaling.comparing import Arena, traffic
from benchmarks.scaling.policies import ENCHAIN, ORACLE, REACTIVE
from benchmarks.scaling.running import simulate
from benchmarks.scaling.sizing import LEADS
from benchmarks.scaling.staffing import Work
from benchmarks.scaling.trials import Trial, sizes
from controlplane.forecast.series import FloatArray

HORIZON = 48
STEPS = 96


def ahead(values: FloatArray, steps: int) -> FloatArray:
    return np.lib.stride_tricks.sliding_window_view(values, HORIZON)[:steps]


def made(steps: int = STEPS) -> Trial:
    """Make a trial of two series: a wave, and the same a hundred times as large, in another phase."""
    time = np.arange(steps + HORIZON)
    waves = np.stack([2 + np.sin(time / 12), 100 * (2 + np.cos(time / 12))])
    demand = np.stack([ahead(wave, steps) for wave in waves])
    last = np.repeat(demand[:, :, :1], HORIZON, axis=2)
    return Trial(("a", "b"), demand, {ENCHAIN: 1.05 * demand, REACTIVE: last, ORACLE: demand})


def test_the_oracle_costs_what_came_at_any_lead_time() -> None:
    for by_lead in (sizes(made(), 0.02)[ORACLE], sizes(made(), 0.05)[ORACLE]):
        assert [each.cost for each in by_lead.values()] == pytest.approx([1.0] * len(LEADS))


def test_who_only_follows_pays_more_the_longer_capacity_takes() -> None:
    costs = [each.cost for each in sizes(made(), 0.02)[REACTIVE].values()]

    assert costs[0] < costs[1] < costs[2]
    assert costs[0] > sizes(made(), 0.02)[ENCHAIN]["10-20 min"].cost


def test_requests_are_drawn_from_the_seed_alone() -> None:
    demand = made().demand[0, :, 0]
    one, again, other = (traffic("a", demand, seed, Work()) for seed in (1, 1, 2))

    assert one.arrivals.tolist() == again.arrivals.tolist()
    assert one.durations.tolist() == again.durations.tolist()
    assert one.arrivals.tolist() != other.arrivals.tolist()


def test_requests_come_as_often_as_demand_says() -> None:
    demand = np.array([0.0, 1.0, 3.0] * 300)
    drawn = traffic("a", demand, 5, Work())
    steps = np.bincount((drawn.arrivals // 300).astype(int) % 3, minlength=3)

    assert steps[0] == 0
    assert steps[2] / steps[1] == pytest.approx(3.0, rel=0.1)
    assert (np.diff(drawn.arrivals) >= 0).all()


def test_at_equal_cost_who_knows_more_misses_less() -> None:
    arena = Arena(made(), 3600, 1, Work())
    cost = arena.run(ENCHAIN, 1.1).cost
    knows, follows = arena.at_cost(ENCHAIN, cost), arena.at_cost(REACTIVE, cost)

    assert knows.cost == pytest.approx(follows.cost, rel=0.03)
    assert knows.missed < follows.missed


def test_at_equal_misses_who_knows_more_costs_less() -> None:
    run = simulate(made(), 3600, 1)
    by_name = {each.policy: each for each in run.equal_missed}

    assert all(each.missed <= 0.01 for each in run.equal_missed)
    assert by_name[ORACLE].cost <= by_name[ENCHAIN].cost * 1.02
    assert by_name[ENCHAIN].cost < by_name[REACTIVE].cost


def test_the_same_seed_gives_the_same_figures() -> None:
    assert simulate(made(), 900, 3) == simulate(made(), 900, 3)


@given(st.integers(1, HORIZON), st.integers(0, BEGIN + 59), st.sampled_from([1, 4, 24]))
def test_headroom_never_uses_what_has_not_come(step: int, moment: int, every: int) -> None:
    demand = np.random.default_rng(0).gamma(5.0, 0.2, (2, (BEGIN + 60) // every))
    place = min(moment // every, demand.shape[1] - 1)
    changed = demand.copy()
    changed[0, place] = 1e6  # the moment `place` is judged by the value that comes `step` steps later
    before, after = (factors(np.ones_like(each), each, step, 0.02, every) for each in (demand, changed))

    known = -(-(place * every + step) // every)  # the first moment at which that value is known
    assert before[:, :known].tolist() == after[:, :known].tolist()


def test_the_price_of_a_short_step_leaves_the_share_short_that_is_wanted() -> None:
    rng = np.random.default_rng(1)
    demand = np.stack([rng.normal(1, spread, 5000) for spread in (0.02, 0.1, 0.3)])
    found = priced(np.ones_like(demand), demand, 0.02)

    assert (demand > found[:, None]).mean() == pytest.approx(0.02, abs=0.004)
    assert found[0] < found[1] < found[2]


def test_headroom_of_each_series_helps_where_series_need_unlike_ones() -> None:
    steps = BEGIN + 200
    rng = np.random.default_rng(0)
    demand = np.stack([ahead(rng.uniform(0.99, 1.0, steps + HORIZON), steps),
                       ahead(rng.uniform(0.1, 1.9, steps + HORIZON), steps)])  # fmt: skip
    trial = Trial(("calm", "wild"), demand, {REACTIVE: np.ones_like(demand)})
    one, _, each = own(trial, REACTIVE, "1 h", 0.02)

    assert each.cost < one.cost
