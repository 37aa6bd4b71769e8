"""What a change of chain costs: the old instances are paid while new ones start, where any must."""

from dataclasses import replace

import pytest

from controlplane.planning.plan import plan
from controlplane.planning.problem import Call, Candidate, Demand, EngineVersion, PoolFacts, Problem

OLD, NEW = EngineVersion("old", "1"), EngineVersion("new", "1")
STEPS, STEP_SECONDS, START_SECONDS, WORK_SECONDS = 12, 300.0, 600.0, 60.0
HORIZON_SECONDS = STEPS * STEP_SECONDS

GRID = 0.01
"""How exact a P95 is that is read off a grid."""


def asked(new_ready: int) -> Problem:
    """A chain in force, and one like it on another engine, of which some instances are ready."""
    calls = {each: Call(("make",), each, 500.0, WORK_SECONDS, variation=0.0) for each in (OLD, NEW)}
    return Problem(
        workload="site",
        time=1_790_000_000.0,
        demand=Demand(STEP_SECONDS, (0.5,), ((30.0,),) * STEPS),
        candidates=tuple(Candidate(f"{each.engine}@1", (calls[each],)) for each in (OLD, NEW)),
        pools=(
            PoolFacts(OLD, price_per_hour=2.0, ready=1, target=1, cold_start_seconds=START_SECONDS),
            PoolFacts(NEW, price_per_hour=3.0, ready=new_ready, cold_start_seconds=START_SECONDS),
        ),
        current="old@1",
    )


def cost(problem: Problem) -> float:
    return plan(problem).options()["new@1"].cost.switching


def test_a_change_to_instances_that_are_ready_pays_for_draining_alone() -> None:
    assert cost(asked(1)) == pytest.approx(2.0 * WORK_SECONDS / HORIZON_SECONDS, rel=GRID)


def test_a_change_to_instances_that_must_start_pays_for_both_while_they_do() -> None:
    starting = (3.0 + 2.0) * START_SECONDS + 2.0 * WORK_SECONDS

    assert cost(asked(0)) == pytest.approx(starting / HORIZON_SECONDS, rel=GRID)


def test_only_the_start_of_what_lacks_is_waited_for() -> None:
    problem = asked(0)
    slow = Candidate("new@1", (*problem.candidates[1].calls, Call(("more",), OLD, 500.0, 1.0)))
    problem = replace(
        problem,
        candidates=(problem.candidates[0], slow),
        pools=(replace(problem.pools[0], cold_start_seconds=9 * START_SECONDS), problem.pools[1]),
    )

    assert cost(problem) == pytest.approx(3.0 * START_SECONDS / HORIZON_SECONDS)
