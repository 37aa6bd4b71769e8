"""Which part of a route a chain gets so that it is measured, for how long, and how often."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.switching.exploring import (
    ARM,
    LONGEST,
    PART_MAX,
    REST,
    explored,
    explores,
    moved,
    settled,
)
from controlplane.switching.records import Switch, origin
from enchain.chains.cohort import BUCKETS
from enchain.chains.routes import check, whole
from enchain.v1.chain_pb2 import Route

MAIN, NEW, OTHER = (f"workloads/site/chains/{name}@r1" for name in ("main", "new", "other"))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def exploring(**parts: float) -> Route:
    """The route of `main` with parts for others, by their ids."""
    asked = {f"workloads/site/chains/{name}@r1": part for name, part in parts.items()}
    route = whole(MAIN)
    shares = moved(route, asked, (), NOW)
    del route.shares[:]
    route.shares.extend(shares or whole(MAIN).shares)
    return route


def switch(before: Route, after: Route, ago: timedelta = HOUR) -> Switch:
    made = Switch(to=after)
    origin(made).CopyFrom(before)
    made.create_time.FromDatetime(NOW - ago)
    return made


def parts(route: Route) -> dict[str, int]:
    return {share.chain: share.end - share.start for share in route.shares}


def test_a_chain_that_is_to_be_measured_gets_its_part_and_the_rest_stays() -> None:
    route = exploring(new=0.04, other=0.01)

    assert parts(route) == {MAIN: 9500, NEW: 400, OTHER: 100}
    assert explored(route) == (NEW, OTHER) or explored(route) == (OTHER, NEW)
    assert [share.arm for share in route.shares] == ["default", ARM, ARM]
    assert list(settled(route)) == list(whole(MAIN).shares)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(0, 1), max_size=3))
def test_a_route_stays_whole_and_most_of_it_where_it_was(asked: dict[str, float]) -> None:
    route = exploring(**asked)

    check(route)
    wanted = sum(asked.values())
    assert BUCKETS - parts(route)[MAIN] <= min(wanted * BUCKETS + 3, PART_MAX + 3)
    assert set(explored(route)) == {f"workloads/site/chains/{n}@r1" for n, part in asked.items() if part}


def test_it_ends_when_the_plan_does_not_ask_any_more() -> None:
    route = exploring(new=0.05)
    begun = switch(whole(MAIN), route)

    assert moved(route, {NEW: 0.05}, [begun], NOW) is None, "it goes on"
    ended = moved(route, {}, [begun], NOW)
    assert ended is not None
    assert list(ended) == list(whole(MAIN).shares)


@pytest.mark.parametrize(("ago", "ends"), [(LONGEST - HOUR, False), (LONGEST, True), (LONGEST + HOUR, True)])
def test_it_ends_when_its_time_is_spent(ago: timedelta, ends: bool) -> None:
    route = exploring(new=0.05)

    assert (moved(route, {NEW: 0.05}, [switch(whole(MAIN), route, ago)], NOW) is not None) == ends


def test_what_was_explored_rests_and_what_was_not_does_not_wait() -> None:
    past = [switch(whole(MAIN), exploring(new=0.05), LONGEST), switch(exploring(new=0.05), whole(MAIN))]
    long_ago = [switch(whole(MAIN), exploring(new=0.05), REST)]

    assert moved(whole(MAIN), {NEW: 0.05}, past, NOW) is None
    assert moved(whole(MAIN), {NEW: 0.05}, long_ago, NOW) is not None
    other = moved(whole(MAIN), {NEW: 0.05, OTHER: 0.05}, past, NOW)
    assert other is not None
    assert [share.chain for share in other] == [MAIN, OTHER]


def test_when_one_of_two_ends_the_other_goes_on_within_its_own_time() -> None:
    both, one = exploring(new=0.02, other=0.02), exploring(new=0.02)
    records = [switch(whole(MAIN), one, LONGEST - HOUR), switch(one, both)]

    left = moved(both, {NEW: 0.05}, records, NOW)
    spent = moved(both, {NEW: 0.05, OTHER: 0.05}, [switch(whole(MAIN), one, LONGEST), *records], NOW)

    assert [[share.chain for share in shares or ()] for shares in (left, spent)] == [
        [MAIN, NEW],
        [MAIN, OTHER],
    ]


def test_a_route_that_somebody_has_split_by_hand_is_left_alone() -> None:
    route = whole(MAIN)
    route.shares[0].end = 5000
    route.shares.add(chain=OTHER, start=5000, end=BUCKETS, arm="default")

    assert moved(route, {NEW: 0.05}, (), NOW) is None
    assert list(settled(route)) == list(route.shares)


def test_only_what_leaves_the_chain_of_a_workload_as_it_is_explores() -> None:
    assert explores(switch(whole(MAIN), exploring(new=0.05)))
    assert explores(switch(exploring(new=0.05), whole(MAIN)))
    assert not explores(switch(whole(MAIN), whole(NEW)))
    assert not explores(switch(exploring(new=0.05), whole(NEW)))
