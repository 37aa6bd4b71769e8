"""Chains that each get a part of a workload's requests: what their pools need together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.planning.parts import instances_of_parts
from controlplane.planning.plan import plan
from controlplane.planning.problem import Call, Candidate, Demand, EngineVersion, PoolFacts, Problem

SHARED, LEFT, RIGHT = (EngineVersion(name, "1") for name in ("shared", "left", "right"))


def problem(rate: float = 600.0, **fields: object) -> Problem:
    candidates = tuple(
        Candidate(engine.engine, (Call(("configure",), SHARED, 500, 60), Call(("serve",), engine, 500, 60)))
        for engine in (LEFT, RIGHT)
    )
    pools = tuple(PoolFacts(engine, ready=1, target=1) for engine in (SHARED, LEFT, RIGHT))
    demand = Demand(300.0, (0.5, 0.9), ((rate, rate),) * 6)
    made = Problem("site", 1_790_000_000.0, demand, candidates, pools, current="left")
    return replace(made, **fields)  # type: ignore[arg-type]  # any field of it


def whole(chain: str) -> dict[EngineVersion, float]:
    chosen = plan(problem(current=chain, settled=chain)).chosen
    assert chosen is not None
    return {pool.engine: pool.share for pool in chosen.pools}


def test_halves_need_half_each_and_a_shared_pool_what_the_whole_needs() -> None:
    found = instances_of_parts(problem(), {"left": 0.5, "right": 0.5})

    assert found[SHARED] == pytest.approx(whole("left")[SHARED], abs=0.03)
    assert found[LEFT] == found[RIGHT]
    # Smaller pools need a little more room for each request.
    assert whole("left")[LEFT] / 2 <= found[LEFT] <= whole("left")[LEFT] / 2 + 1


def test_the_whole_for_one_chain_is_its_plan() -> None:
    found = instances_of_parts(problem(), {"left": 1.0})

    assert found == pytest.approx(whole("left"), abs=0.01)


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_part_never_needs_less(one: float, other: float) -> None:
    less, more = sorted((one, other))

    few = instances_of_parts(problem(), {"right": less, "left": 1 - less})
    many = instances_of_parts(problem(), {"right": more, "left": 1 - more})

    assert few[RIGHT] <= many[RIGHT]


def test_where_nothing_comes_nothing_is_asked_for() -> None:
    assert instances_of_parts(problem(0.0), {"left": 0.5, "right": 0.5}) == {}


def test_what_others_run_is_not_asked_for_and_chains_that_nobody_knows_are_left_out() -> None:
    pools = tuple(replace(pool, launchable=pool.engine != SHARED) for pool in problem().pools)

    found = instances_of_parts(problem(pools=pools), {"left": 0.5, "gone": 0.5})

    assert set(found) == {LEFT}


def test_an_engine_that_nobody_measured_is_thought_to_take_as_long_as_the_others() -> None:
    left, right = problem().candidates
    unknown = replace(right, calls=(right.calls[0], replace(right.calls[1], samples=0, mean_seconds=0.0)))

    found = instances_of_parts(problem(candidates=(left, unknown)), {"left": 0.5, "right": 0.5})

    assert found[RIGHT] == pytest.approx(found[LEFT], abs=1)
