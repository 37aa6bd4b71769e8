"""Who is not served waits too: more instances never cost waiting, and sizes do not end before they pay."""

from dataclasses import replace
from itertools import pairwise

import pytest

from controlplane.planning.plan import plan
from controlplane.planning.problem import (
    Call,
    Candidate,
    Cost,
    Demand,
    EngineVersion,
    PoolFacts,
    Problem,
    Promise,
)

TERRAFORM = EngineVersion("terraform", "1.0.0")
MOST = 24


def problem(seconds: float, promise: Promise, other: float = 0) -> Problem:
    """One chain of one call, whose demand is mostly low and sometimes high."""
    call = Call(steps=("serve",), engine=TERRAFORM, samples=1000, mean_seconds=seconds, variation=1)
    pool = PoolFacts(engine=TERRAFORM, price_per_hour=0.5, cold_start_seconds=60, other_seconds=30)
    return Problem(
        workload="site",
        time=1_790_000_000.0,
        demand=Demand(300.0, (0.1, 0.5, 0.9), ((1.0, 10.0, 60.0),) * 12, 1.0),
        candidates=(Candidate("workloads/site/chains/a@1", (call,)),),
        pools=(replace(pool, other_load=(other,)),),
        promise=promise,
    )


def with_so_many(asked: Problem, size: int) -> Cost:
    """Answer what a problem costs with a pool that a person pinned."""
    found = plan(replace(asked, pools=(replace(asked.pools[0], target=size, pinned=True),)))
    assert found.chosen is not None
    return found.chosen.cost


@pytest.mark.parametrize("seconds", [20.0, 600.0])
@pytest.mark.parametrize("other", [0.0, 6.0])
def test_no_instance_makes_provisions_wait_longer(seconds: float, other: float) -> None:
    asked = problem(seconds, Promise(wait_price_per_hour=2), other)

    waits = [with_so_many(asked, size).waiting for size in range(1, MOST)]

    assert waits[0] > waits[-1]
    assert all(fewer >= more - 1e-12 for fewer, more in pairwise(waits))


@pytest.mark.parametrize("miss", [0.01, 0.5])
@pytest.mark.parametrize("wait", [0.5, 5.0, 50.0])
def test_no_size_costs_less_than_the_one_that_is_planned(miss: float, wait: float) -> None:
    asked = problem(600, Promise(miss_price=miss, wait_price_per_hour=wait))
    found = plan(asked)
    assert found.chosen is not None

    every = [with_so_many(asked, size).total for size in range(found.chosen.pools[0].target, MOST)]

    assert found.chosen.cost.total <= min(every) + 1e-9
