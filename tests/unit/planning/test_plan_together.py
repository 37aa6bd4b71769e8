"""Workloads that share engines: room is given once, and a pool has one target."""

from dataclasses import replace
from random import Random

import pytest

from benchmarks.planning.making import fleet
from benchmarks.planning.making import workload as made_up
from controlplane.planning.plan import plan, plan_together
from controlplane.planning.problem import (
    Call,
    Candidate,
    Demand,
    EngineVersion,
    Plan,
    PoolFacts,
    Problem,
)

LEVELS = (0.1, 0.5, 0.9)
DEAR, CHEAP = EngineVersion("dear", "1"), EngineVersion("cheap", "1")


def workload(name: str, rate: float, *, maximum: int | None = None, current: str = "dear") -> Problem:
    demand = Demand(300.0, LEVELS, ((rate,) * len(LEVELS),) * 6)
    candidates = tuple(
        Candidate(engine.engine, (Call(("configure",), engine, 500, 180),)) for engine in (DEAR, CHEAP)
    )
    pools = (
        PoolFacts(DEAR, price_per_hour=1.0, ready=4, target=4),
        PoolFacts(CHEAP, price_per_hour=0.1, ready=1, target=1, maximum=maximum),
    )
    return Problem(name, 1_790_000_000.0, demand, candidates, pools, current=current)


def chains(plans: list[Plan]) -> list[str]:
    return [found.chosen.chain for found in plans if found.chosen]


@pytest.mark.parametrize("seed", range(4))
def test_each_plan_is_the_answer_to_the_problem_that_it_names_by_itself(seed: int) -> None:
    # To the last digit: a replay tells differences.
    rng = Random(seed)
    pools = fleet(rng, 3 + seed)
    problems = [made_up(rng, at, pools, 1 + at % 5, 2 + at % 5) for at in range(12)]

    plans = plan_together(problems)

    assert any(found.switches for found in plans)
    assert [plan(found.problem) == found for found in plans] == [True] * len(plans)


def test_a_workload_alone_is_planned_as_by_itself() -> None:
    alone = workload("a", 60)

    together, single = plan_together([alone])[0], plan(alone)

    assert together.chosen == single.chosen


def test_a_shared_pool_has_one_target_that_carries_all_and_shares_that_sum_to_it() -> None:
    # 3 in flight of each of two: 6 / .9 = 6.7 places.
    plans = plan_together([workload("a", 60, current="cheap"), workload("b", 60, current="cheap")])

    targets = [found.chosen.pools[0] for found in plans if found.chosen]
    assert [pool.target for pool in targets] == [7, 7]
    assert sum(pool.share for pool in targets) == pytest.approx(7)


def test_room_is_given_once_to_the_one_that_saves_most() -> None:
    # 4 places carry 3.6 in flight: the one with 3 in flight, or the one with 2, but not both.
    plans = plan_together([workload("a", 40, maximum=4), workload("b", 60, maximum=4)])

    assert chains(plans) == ["dear", "cheap"]
    assert not plans[0].switches
    assert "POOL_AT_MAXIMUM" in [reason.code for reason in plans[0].rivals[0].reasons]


def test_who_finds_room_beside_those_that_moved_moves_too() -> None:
    plans = plan_together([workload("a", 40, maximum=6), workload("b", 60, maximum=6)])

    assert chains(plans) == ["cheap", "cheap"]


def test_the_answer_does_not_depend_on_the_order_of_workloads_with_different_demand() -> None:
    problems = [workload(f"w{i}", 20 + 7 * i, maximum=9) for i in range(6)]

    forward, backward = plan_together(problems), plan_together(problems[::-1])

    assert chains(forward) == chains(backward[::-1])


def test_work_of_workloads_outside_is_counted_besides() -> None:
    asked = workload("a", 60, current="cheap")
    outside = replace(asked, pools=(asked.pools[0], replace(asked.pools[1], other_load=(3.0,))))

    plans = plan_together([outside])

    assert plans[0].chosen is not None
    assert plans[0].chosen.pools[0].target == 7
