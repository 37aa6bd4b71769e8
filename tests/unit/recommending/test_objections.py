"""What speaks against going back to a chain, by the records of switches, and for how long."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.objections import HELD, OURSELVES, objection, objections, reach
from controlplane.switching.exploring import ARM
from controlplane.switching.records import origin
from enchain.chains.cohort import BUCKETS
from enchain.v1 import chain_pb2

Switch = chain_pb2.ChainSwitch
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
COOL_DOWN = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
OLD, NEW, THIRD = (f"workloads/site/chains/{name}@0123456789ab" for name in ("default", "quick", "third"))


def switch(
    before: str,
    after: str,
    *,
    ago: timedelta = MINUTE,
    who: str = OURSELVES,
    state: Switch.State.ValueType = Switch.STATE_DONE,
    fault: str = "",
) -> Switch:
    made = Switch(name="workloads/site/switches/01", state=state, rollback_reason=fault)
    made.actor.subject = who
    origin(made).shares.add(chain=before, end=BUCKETS)
    made.to.shares.add(chain=after, end=BUCKETS)
    made.create_time.FromDatetime(NOW - ago)
    made.update_time.FromDatetime(NOW - ago)
    return made


def failed(fault: str, ago: timedelta = MINUTE) -> Switch:
    return switch(OLD, NEW, ago=ago, state=Switch.STATE_ROLLED_BACK, fault=fault)


def until(*newest_first: Switch, chain: str = NEW) -> datetime | None:
    found = objection(newest_first, chain, COOL_DOWN)
    return found.until if found is not None else None


def test_nothing_speaks_against_a_chain_that_was_never_left() -> None:
    assert until() is None
    assert until(switch(OLD, NEW)) is None
    assert until(switch(OLD, THIRD, who="alice")) is None


def test_a_chain_that_a_person_left_is_left_alone_for_a_day() -> None:
    moved = switch(NEW, OLD, who="alice")
    moved.reason = "pages look odd"

    said = objections([moved, switch(OLD, NEW)], [OLD, NEW, THIRD], COOL_DOWN, NOW)

    assert said == {
        NEW: "alice moved the route to default on 2026-11-02 08:59 UTC (pages look odd); "
        "no plan goes back to it before 2026-11-03 08:59 UTC"
    }
    assert objections([moved], [NEW], COOL_DOWN, NOW - MINUTE + HELD) == {}


def test_a_chain_that_a_plan_left_is_not() -> None:
    assert until(switch(NEW, OLD)) is None


def test_going_back_to_it_since_ends_the_objection() -> None:
    assert until(switch(OLD, NEW, who="bob"), switch(NEW, OLD, who="alice")) is None
    assert until(switch(OLD, NEW, state=Switch.STATE_WARMING), switch(NEW, OLD, who="alice")) is None


@pytest.mark.parametrize(
    ("fault", "lasts"),
    [
        ("ABORTED: a person asked for its end", HELD),
        ("FAILS_MORE: 3 % of it", HELD),
        ("SLOWER: 4 s", HELD),
        ("WARMING_TIMEOUT: instances were not ready in time", COOL_DOWN),
        ("GAVE_WAY: another one began", COOL_DOWN),
        ("", COOL_DOWN),
    ],
)
def test_a_switch_that_failed_speaks_against_its_chain(fault: str, lasts: timedelta) -> None:
    assert until(failed(fault)) == NOW - MINUTE + lasts


def test_of_several_the_one_that_holds_longest_counts() -> None:
    left, late = switch(NEW, OLD, who="alice", ago=5 * MINUTE), failed("WARMING_TIMEOUT: late")

    assert until(late, left) == NOW - 5 * MINUTE + HELD
    assert until(failed("SLOWER: 4 s"), left) == NOW - MINUTE + HELD


def test_a_move_of_a_person_that_was_rolled_back_says_nothing_of_what_it_left() -> None:
    assert until(switch(NEW, OLD, who="alice", state=Switch.STATE_ROLLED_BACK)) is None


def test_exploring_leaves_nothing() -> None:
    ending = switch(OLD, OLD, who="alice")
    del origin(ending).shares[:]
    origin(ending).shares.add(chain=OLD, end=9500)
    origin(ending).shares.add(chain=NEW, start=9500, end=BUCKETS, arm=ARM)

    assert until(ending) is None


MOVES = st.builds(
    switch,
    st.sampled_from([OLD, NEW, THIRD]),
    st.sampled_from([OLD, NEW, THIRD]),
    ago=st.timedeltas(timedelta(), timedelta(days=9)),
    who=st.sampled_from([OURSELVES, "alice", ""]),
    state=st.sampled_from([Switch.STATE_DONE, Switch.STATE_DRAINING, Switch.STATE_ROLLED_BACK]),
    fault=st.sampled_from(["", "ABORTED: a person", "WARMING_TIMEOUT: late"]),
)


@given(
    st.lists(MOVES, max_size=8), st.timedeltas(timedelta(), timedelta(days=3)), st.sampled_from([OLD, NEW])
)
def test_no_objection_is_for_ever_and_none_outlasts_what_is_read(
    past: Sequence[Switch], cool_down: timedelta, chain: str
) -> None:
    newest_first = sorted(past, key=lambda each: each.create_time.ToNanoseconds(), reverse=True)
    since = NOW - reach(cool_down)
    read = [each for each in newest_first if each.create_time.ToDatetime(UTC) >= since]

    assert objections(read, [chain], cool_down, NOW) == objections(newest_first, [chain], cool_down, NOW)
    assert objections(newest_first, [chain], cool_down, NOW + max(HELD, cool_down) + MINUTE) == {}
