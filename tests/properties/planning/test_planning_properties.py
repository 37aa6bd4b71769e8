"""What holds for every plan, whatever the problem.

A failure prints the example and a blob that reproduces it; `pytest --hypothesis-seed` repeats a whole run.
`ENCHAIN_PLANNING_EXAMPLES=1000` tries so many problems for each sentence.
"""

import os
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.planning.arrays import arrays_of
from controlplane.planning.documents import inputs_of, problem_of, recommendation_of
from controlplane.planning.moments import moments_of
from controlplane.planning.plan import plan
from controlplane.planning.problem import Option, PoolFacts, Problem
from controlplane.planning.rows import bounds_of, rows_of
from controlplane.planning.search import Order
from controlplane.planning.sizing import sized
from controlplane.planning.views import View
from tests.harness.planning import by_brute_force, expected_excess, problems

# No deadline: how long an example takes says something of the machine, and nothing of the code.
EVERY = settings(
    print_blob=True, deadline=None, max_examples=int(os.environ.get("ENCHAIN_PLANNING_EXAMPLES", "40"))
)
REACH = 6


def _facts(problem: Problem) -> dict[object, PoolFacts]:
    return {pool.engine: pool for pool in problem.pools}


def _options(problem: Problem) -> dict[str, Option]:
    return dict(plan(problem).options())


@EVERY
@given(problems())
def test_sizes_are_those_that_trying_every_size_finds(problem: Problem) -> None:
    rows = arrays_of(rows_of([problem], View.CAUTIOUS))
    entries = moments_of(rows).entries
    found = sized(rows, entries)

    for e in range(len(entries.row)):
        row = int(entries.row[e])
        hopeless = rows.promised[row] > 0 and rows.service[-1, row] < 0.95
        if (found.sizes[e] - rows.least[row]).max() > REACH or hopeless or not found.kept[e]:
            continue
        assert tuple(found.sizes[e].tolist()) == by_brute_force(rows, entries, e, REACH)


@EVERY
@given(problems())
def test_where_no_size_is_found_trying_every_size_finds_none(problem: Problem) -> None:
    rows = arrays_of(rows_of([problem], View.CAUTIOUS))
    entries = moments_of(rows).entries
    found = sized(rows, entries)

    for e in np.flatnonzero(~found.kept & ~found.short.any(axis=1)).tolist():
        assert by_brute_force(rows, entries, e, REACH) is None


@EVERY
@given(problems())
def test_no_size_costs_much_more_than_the_best_in_expectation(problem: Problem) -> None:
    # The lower bounds look at each pool by itself: what pools do to each other is not in them.
    rows = arrays_of(rows_of([problem], View.CAUTIOUS))
    moments = moments_of(rows)
    found = sized(rows, moments.entries)

    for e in moments.every_part().tolist():
        if found.kept[e] and (found.sizes[e] - rows.least[moments.entries.row[e]]).max() <= REACH:
            excess = expected_excess(rows, moments.entries, e, found.sizes[e], 4)
            assert excess >= -1e-9
            assert excess < 0.1


@EVERY
@given(problems())
def test_no_bound_is_ever_violated(problem: Problem) -> None:
    facts = _facts(problem)

    for option in _options(problem).values():
        for pool in option.pools:
            least, _, most = bounds_of(facts[pool.engine], problem.policy.exceed_max_by)
            assert all(least <= size <= most for size in (*pool.targets, pool.target))


@EVERY
@given(problems())
def test_no_chain_flaps_inside_the_cool_down(problem: Problem) -> None:
    found = plan(problem)
    assert found.chosen is not None
    cooling = (
        problem.switch_time is not None
        and problem.time < problem.switch_time + problem.policy.cool_down_seconds
    )
    current = found.options().get(problem.current)

    if found.switches and cooling and current is not None:
        assert found.chosen.feasible
        assert not current.feasible


@EVERY
@given(problems(), st.floats(1, 4))
def test_more_demand_never_leads_to_sizes_that_carry_less(problem: Problem, factor: float) -> None:
    demand = problem.demand
    more = replace(
        demand,
        rates=tuple(tuple(rate * factor for rate in step) for step in demand.rates),
        reactive_rate=demand.reactive_rate * factor,
    )
    fewer_, more_ = _options(problem), _options(replace(problem, demand=more))
    facts = _facts(problem)

    for chain, option in fewer_.items():
        pools = [facts[pool.engine] for pool in option.pools]
        bounds = [bounds_of(pool, problem.policy.exceed_max_by) for pool in pools]
        order = Order([pool.price_per_hour for pool in pools], [honoured for _, honoured, _ in bounds])
        for before, after in zip(
            zip(*(pool.targets for pool in option.pools), strict=True),
            zip(*(pool.targets for pool in more_[chain].pools), strict=True),
            strict=True,
        ):
            assert order(after) >= order(before)


@EVERY
@given(problems(), st.randoms())
def test_the_same_inputs_have_the_same_answer(problem: Problem, shuffled: st.DataObject) -> None:
    inputs = inputs_of(problem)
    again = problem_of(inputs)
    first = recommendation_of(plan(again), inputs)

    assert problem_of(inputs_of(again)) == again
    assert recommendation_of(plan(problem_of(inputs)), inputs) == first

    candidates, pools = list(problem.candidates), list(problem.pools)
    shuffled.shuffle(candidates)  # type: ignore[attr-defined]  # hypothesis types its randoms as something else
    shuffled.shuffle(pools)  # type: ignore[attr-defined]  # likewise
    moved = plan(replace(again, candidates=tuple(candidates), pools=tuple(pools)))
    assert moved.chosen is not None
    assert moved.chosen.chain == first.chosen.chain


@EVERY
@given(problems())
def test_a_plan_tells_what_it_rests_on(problem: Problem) -> None:
    found = plan(problem)
    assert found.chosen is not None

    assert found.reasons
    assert found.chosen.reasons == ()
    assert all(rival.reasons for rival in found.rivals)
    for option in found.options().values():
        assert 0 <= option.miss_probability <= 1
        assert min(option.cost.instances, option.cost.requests, option.cost.misses) >= 0
        assert option.feasible or option.binding
        assert option.p95_seconds >= 0


@EVERY
@given(problems())
def test_no_more_is_explored_than_the_policy_allows(problem: Problem) -> None:
    found = plan(problem)
    explored = [option for option in found.options().values() if option.explore_share > 0]

    assert sum(option.explore_share for option in explored) <= problem.policy.exploration + 1e-12
    assert not (explored and problem.pinned)
    assert all(option.samples < 30 and option.chain not in problem.rejected for option in explored)


@EVERY
@given(problems())
def test_a_pinned_route_stays_and_a_rejected_chain_is_not_taken(problem: Problem) -> None:
    found = plan(problem)
    assert found.chosen is not None

    if problem.pinned:
        assert not found.switches
    every = {candidate.chain for candidate in problem.candidates}
    if found.switches and every - problem.rejected:
        assert found.chosen.chain not in problem.rejected
