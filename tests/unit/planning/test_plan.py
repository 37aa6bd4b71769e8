"""Plans with known answers: which chain, how many instances, and why."""

from dataclasses import replace
from typing import Any

import pytest

from controlplane.planning.plan import plan
from controlplane.planning.problem import (
    Call,
    Candidate,
    Demand,
    EngineVersion,
    Plan,
    Policy,
    PoolFacts,
    Problem,
    Promise,
)
from enchain.chains.errors import InvalidArgumentError

NOW = 1_790_000_000.0
LEVELS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.99)
TERRAFORM, ANSIBLE, SCRIPT = (EngineVersion(name, "1.0.0") for name in ("terraform", "ansible", "script"))


def call(
    engine: EngineVersion, seconds: float, *, samples: float = 500, success: float = 1, cv: float = 1
) -> Call:
    return Call(("configure",), engine, samples, seconds, variation=cv, success=success)


def chain(name: str, *calls: Call) -> Candidate:
    return Candidate(f"workloads/site/chains/{name}@1", calls)


def flat(rate: float, steps: int = 12, reactive: float = 0) -> Demand:
    """As many provisions an hour in every case and for ever."""
    return Demand(300.0, LEVELS, ((rate,) * len(LEVELS),) * steps, reactive)


def pool(engine: EngineVersion, price: float = 1.0, **facts: Any) -> PoolFacts:
    return replace(PoolFacts(engine, price_per_hour=price, ready=1, target=1), **facts)


def problem(*candidates: Candidate, pools: tuple[PoolFacts, ...], demand: Demand, **more: Any) -> Problem:
    base = Problem("site", NOW, demand, candidates, pools, currency="EUR")
    return replace(base, **more)


def alone(seconds: float, rate: float, **facts: Any) -> Problem:
    """One chain of one step."""
    only = chain("a", call(TERRAFORM, seconds))
    return problem(only, pools=(pool(TERRAFORM, **facts),), demand=flat(rate))


def target(found: Plan, engine: EngineVersion) -> int:
    assert found.chosen is not None
    return next(one.target for one in found.chosen.pools if one.engine == engine)


def codes(found: Plan, name: str) -> list[str]:
    return [reason.code for reason in found.options()[f"workloads/site/chains/{name}@1"].reasons]


def test_without_a_promise_a_pool_is_busy_nine_tenths_at_most() -> None:
    # 60 an hour of 3 min each are 3 in flight; 3 / .9 = 3.3 places.
    found = plan(alone(180, 60))

    assert target(found, TERRAFORM) == 4
    assert found.binding == "demand"


def test_an_instance_that_runs_several_steps_at_once_is_so_many_places() -> None:
    found = plan(alone(180, 60, capacity=2))

    assert target(found, TERRAFORM) == 2


def test_a_promised_time_adds_what_queues_need() -> None:
    # M/M/c with 3 in flight of 180 s on average: P95 without a wait is 540 s. With 4 places half of all wait
    # 180 s on average, with 5 a quarter wait 90 s: only with 6 is P95 near enough to 540 s.
    promise = Promise(p95_seconds=600)
    call_ = replace(call(TERRAFORM, 180), p50_seconds=125, p95_seconds=540, p99_seconds=830)

    found = plan(problem(chain("a", call_), pools=(pool(TERRAFORM),), demand=flat(60), promise=promise))

    assert found.chosen is not None
    assert found.chosen.feasible
    assert target(found, TERRAFORM) in {5, 6}
    assert found.binding == "p95"
    assert 540 < found.chosen.p95_seconds <= 600


def test_the_cheaper_chain_is_taken_when_it_saves_enough() -> None:
    asked = problem(
        chain("dear", call(TERRAFORM, 60)), chain("cheap", call(ANSIBLE, 60)),
        pools=(pool(TERRAFORM, 10), pool(ANSIBLE, 1)), demand=flat(30),
        current="workloads/site/chains/dear@1",
    )  # fmt: skip

    found = plan(asked)

    assert found.switches
    assert found.chosen is not None
    assert found.chosen.chain == "workloads/site/chains/cheap@1"
    assert codes(found, "dear") == ["COSTS_MORE"]
    assert [reason.code for reason in found.reasons][:2] == ["CHEAPEST", "SIZED_FOR_FORECAST"]


def test_a_chain_that_saves_too_little_is_not_switched_to() -> None:
    asked = problem(
        chain("dear", call(TERRAFORM, 60)), chain("cheap", call(ANSIBLE, 60)),
        pools=(pool(TERRAFORM, 1.0), pool(ANSIBLE, 0.95)), demand=flat(30),
        current="workloads/site/chains/dear@1",
    )  # fmt: skip

    found = plan(asked)

    assert not found.switches
    assert found.reasons[0].code == "SAVES_TOO_LITTLE"
    assert codes(found, "cheap") == ["SAVES_TOO_LITTLE"]


def test_a_fast_engine_at_a_higher_price_wins_where_misses_are_dear() -> None:
    # The slow one takes 60 s on average: some take longer than 120 s however many instances there are.
    slow, fast = chain("slow", call(ANSIBLE, 60, cv=0.5)), chain("fast", call(TERRAFORM, 20, cv=0.5))
    pools = (pool(ANSIBLE, 0.1), pool(TERRAFORM, 1))
    asked = problem(slow, fast, pools=pools, demand=flat(30), promise=Promise(p95_seconds=120))

    free, dear = plan(asked), plan(replace(asked, promise=Promise(p95_seconds=120, miss_price=5)))

    assert free.chosen is not None
    assert free.chosen.chain == slow.chain
    assert dear.chosen is not None
    assert dear.chosen.chain == fast.chain
    assert dear.chosen.cost.misses < dear.rivals[0].cost.misses


def test_the_price_of_a_miss_sets_the_quantile() -> None:
    # One provision an hour of 3 min takes .05 places: at 2 an hour for an instance capacity for it costs .1.
    asked = problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM, 2),), demand=flat(60))

    found = [plan(replace(asked, promise=Promise(miss_price=price))).chosen for price in (0.1, 0.9, 9.9)]

    assert [one.quantile for one in found if one] == pytest.approx([0.5, 0.9, 0.99])


def test_it_is_sized_for_the_most_within_the_time_that_instances_take_to_start() -> None:
    rising = Demand(300.0, LEVELS, tuple((20.0 * t,) * len(LEVELS) for t in range(12)))
    asked = problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM),), demand=rising)

    soon = plan(asked)
    late = plan(replace(asked, pools=(pool(TERRAFORM, cold_start_seconds=1500),)))

    # 20 an hour at 5 min are 1 place; 120 an hour at 30 min are 6 in flight, 6 / .9 = 6.7 places.
    assert (target(soon, TERRAFORM), target(late, TERRAFORM)) == (2, 7)
    assert late.chosen is not None
    assert late.chosen.lead_seconds == 1500


def test_it_is_never_sized_below_what_came_of_late() -> None:
    asked = problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM),), demand=flat(10, reactive=60))

    found = plan(asked)

    assert target(found, TERRAFORM) == 4
    assert found.binding == "reactive"
    assert "SIZED_FOR_RECENT_DEMAND" in [reason.code for reason in found.reasons]


def test_a_pool_does_not_shrink_for_a_dip_that_the_forecast_knows_to_be_short() -> None:
    dip = Demand(300.0, LEVELS, tuple((rate,) * len(LEVELS) for rate in (20.0, 20.0, 20.0, 60.0, 60.0, 60.0)))
    asked = problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM, target=4, ready=4),), demand=dip)

    assert target(plan(asked), TERRAFORM) == 4
    assert target(plan(replace(asked, pools=(pool(TERRAFORM, target=2, ready=2),))), TERRAFORM) == 2


def test_a_maximum_is_honoured_and_told() -> None:
    asked = problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM, maximum=2),), demand=flat(60))

    found = plan(asked)

    assert found.chosen is not None
    assert not found.chosen.feasible
    assert target(found, TERRAFORM) == 2
    assert found.binding == "pool.max"
    assert "POOL_AT_MAXIMUM" in [reason.code for reason in found.reasons]


def test_a_maximum_is_exceeded_by_as_much_as_the_policy_allows() -> None:
    asked = problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM, maximum=3),), demand=flat(60))

    found = plan(replace(asked, policy=Policy(exceed_max_by=0.4)))

    assert found.chosen is not None
    assert found.chosen.feasible
    assert target(found, TERRAFORM) == 4
    assert "EXCEEDS_MAXIMUM" in [reason.code for reason in found.reasons]


@pytest.mark.parametrize("facts", [{"pinned": True, "target": 1}, {"launchable": False, "ready": 1}])
def test_what_is_pinned_or_run_by_others_stays_as_it_is(facts: dict[str, Any]) -> None:
    found = plan(
        problem(chain("a", call(TERRAFORM, 180)), pools=(pool(TERRAFORM, **facts),), demand=flat(60))
    )

    assert target(found, TERRAFORM) == 1
    assert found.binding in {"pool.pinned", "pool.static"}


def test_work_of_other_workloads_takes_room() -> None:
    # 3 in flight of its own and 3 of others: 6 / .9 = 6.7 places, of which half are its own.
    asked = alone(180, 60, other_load=(3.0,))

    found = plan(asked)

    assert target(found, TERRAFORM) == 7
    assert found.chosen is not None
    assert found.chosen.pools[0].share == pytest.approx(3.5)
    # The others alone need 4 of the 7.
    assert found.chosen.cost.instances == pytest.approx(3)


def test_where_nothing_is_feasible_the_least_bad_is_taken_and_what_binds_is_told() -> None:
    asked = problem(
        chain("slow", call(ANSIBLE, 600, cv=0.2)), chain("slower", call(TERRAFORM, 900, cv=0.2)),
        pools=(pool(ANSIBLE), pool(TERRAFORM, 0.1)), demand=flat(6), promise=Promise(p95_seconds=600),
    )  # fmt: skip

    found = plan(asked)

    assert found.chosen is not None
    assert found.chosen.chain == "workloads/site/chains/slow@1"
    assert not found.chosen.feasible
    assert found.binding == "p95"
    assert found.reasons[0].code == "NOTHING_FEASIBLE"
    assert codes(found, "slower") == ["TOO_SLOW"]


def test_a_chain_that_fails_too_often_is_not_taken() -> None:
    asked = problem(
        chain("sure", call(TERRAFORM, 60)), chain("cheap", call(ANSIBLE, 60, success=0.9)),
        pools=(pool(TERRAFORM, 10), pool(ANSIBLE, 1)), demand=flat(30), promise=Promise(success=0.99),
    )  # fmt: skip

    found = plan(asked)

    assert found.chosen is not None
    assert found.chosen.chain == "workloads/site/chains/sure@1"
    assert codes(found, "cheap") == ["FAILS_TOO_OFTEN"]
    assert found.rivals[0].binding == "success"


def test_inside_the_cool_down_only_a_missed_service_level_moves_the_route() -> None:
    asked = problem(
        chain("dear", call(TERRAFORM, 60)), chain("cheap", call(ANSIBLE, 60)),
        pools=(pool(TERRAFORM, 10), pool(ANSIBLE, 1)), demand=flat(30),
        current="workloads/site/chains/dear@1", switch_time=NOW - 600, promise=Promise(p95_seconds=400),
    )  # fmt: skip

    cooling = plan(asked)
    failing = plan(replace(asked, pools=(pool(TERRAFORM, 10, launchable=False, ready=0), pool(ANSIBLE, 1))))

    assert not cooling.switches
    assert cooling.reasons[0].code == "COOL_DOWN"
    assert failing.switches
    assert failing.reasons[0].code == "KEEPS_SERVICE_LEVEL"


def test_a_pinned_route_stays_though_another_chain_is_better() -> None:
    asked = problem(
        chain("dear", call(TERRAFORM, 60)), chain("cheap", call(ANSIBLE, 60)),
        pools=(pool(TERRAFORM, 10), pool(ANSIBLE, 1)), demand=flat(30),
        current="workloads/site/chains/dear@1", pinned=True,
    )  # fmt: skip

    found = plan(asked)

    assert not found.switches
    assert found.reasons[0].code == "ROUTE_PINNED"
    assert codes(found, "cheap") == ["ROUTE_PINNED"]


def test_what_a_person_rejected_is_not_proposed_again() -> None:
    cheap = chain("cheap", call(ANSIBLE, 60))
    asked = problem(
        chain("dear", call(TERRAFORM, 60)), cheap,
        pools=(pool(TERRAFORM, 10), pool(ANSIBLE, 1)), demand=flat(30),
        current="workloads/site/chains/dear@1", rejected=frozenset({cheap.chain}),
    )  # fmt: skip

    found = plan(asked)

    assert not found.switches
    assert codes(found, "cheap") == ["REJECTED"]


def test_an_engine_that_nobody_measured_is_explored_and_not_switched_to() -> None:
    asked = problem(
        chain("known", call(TERRAFORM, 60)), chain("new", call(SCRIPT, 1, samples=0)),
        pools=(pool(TERRAFORM, 10), pool(SCRIPT, 0.1)), demand=flat(30),
        current="workloads/site/chains/known@1", promise=Promise(p95_seconds=400, success=0.9, miss_price=1),
    )  # fmt: skip

    idle, explored = plan(asked), plan(replace(asked, policy=Policy(exploration=0.02)))

    assert not explored.switches
    assert explored.rivals[0].explore_share == 0.02
    assert {"UNMEASURED", "EXPLORE"} <= set(codes(explored, "new"))
    assert idle.rivals[0].explore_share == 0
    assert "COULD_BE_BETTER" in codes(idle, "new")


def test_a_few_lucky_measurements_do_not_move_the_route() -> None:
    asked = problem(
        chain("known", call(TERRAFORM, 60)), chain("lucky", call(ANSIBLE, 60, samples=3)),
        pools=(pool(TERRAFORM, 1), pool(ANSIBLE, 0.5)), demand=flat(30),
        current="workloads/site/chains/known@1", promise=Promise(success=0.9),
    )  # fmt: skip

    few, many = plan(asked), plan(replace(asked, candidates=(
        asked.candidates[0], chain("lucky", call(ANSIBLE, 60, samples=300)),
    )))  # fmt: skip

    assert not few.switches
    assert many.switches


def test_an_implementation_that_covers_several_steps_is_a_chain_with_fewer_calls() -> None:
    both = Call(("configure", "serve"), ANSIBLE, 500, 30, variation=0.5)
    single = [Call((step,), TERRAFORM, 500, 30, variation=0.5) for step in ("configure", "serve")]
    asked = problem(
        chain("single", *single),
        chain("both", both),
        pools=(pool(TERRAFORM), pool(ANSIBLE)),
        demand=flat(200),
    )

    found = plan(asked)

    assert found.chosen is not None
    assert found.chosen.chain == "workloads/site/chains/both@1"
    assert found.chosen.cost.instances < found.rivals[0].cost.instances


def test_without_a_chain_the_answer_says_so() -> None:
    found = plan(problem(pools=(), demand=flat(1)))

    assert found.chosen is None
    assert found.reasons[0].code == "NO_CANDIDATE"


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (Demand(300.0, (0.9, 0.1), ((1.0, 2.0),)), "levels"),
        (Demand(0.0, (0.5,), ((1.0,),)), "step"),
        (Demand(300.0, (0.5,), ()), "demand"),
        (Demand(300.0, (0.5,), ((-1.0,),)), "demand"),
        (Demand(300.0, (0.5,), ((float("nan"),),)), "demand"),
    ],
)
def test_a_problem_without_meaning_is_refused(broken: Demand, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        plan(problem(chain("a", call(TERRAFORM, 60)), pools=(pool(TERRAFORM),), demand=broken))

    assert caught.value.violations[0].field == field
