"""What is written and done in single worlds. What holds in all of them stands in the properties."""

import pytest

from controlplane.switching.launch_states import DRAINING, ENDED, FAILED, READY, STARTING
from controlplane.switching.pool_learning import learned_pool
from controlplane.switching.pool_rules import KEPT_MAX, reconcile
from controlplane.switching.pool_targets import Need
from controlplane.switching.pool_world import Act, Deed, Learned, Plan, World
from enchain.v1.pool_pb2 import Launching
from tests.harness.pool_worlds import (
    HERE,
    PATIENCE,
    UNKNOWN,
    V1,
    V2,
    engine,
    identifier,
    instance,
    later,
    launch,
    pool,
    world,
)


def plan_of(seen: World) -> Plan:
    return reconcile(seen, PATIENCE)


def count(plan: Plan) -> int:
    """How many are launched."""
    return sum(len(each) for each in plan.launching.values())


def test_what_is_missing_is_launched_at_once() -> None:
    seen = world(
        pools=[pool(target=3)],
        document=engine(),
        launches=[launch(1)],
        instances=[instance(1)],
        found=[1],
    )

    plan = plan_of(seen)

    assert {name: len(each) for name, each in plan.launching.items()} == {V1: 2}
    begun = plan.launching[V1][0]
    assert (begun.state, begun.version, begun.launcher, begun.attempts) == (STARTING, "1.0", HERE, 1)


@pytest.mark.parametrize("state", [STARTING, READY])
def test_what_is_there_or_under_way_is_not_launched_again(state: int) -> None:
    started = launch(1, state, deadline=60)  # type: ignore[arg-type]  # a state
    registered = [instance(1)] if state == READY else []

    plan = plan_of(
        world(pools=[pool()], document=engine(), launches=[started], instances=registered, found=[1])
    )

    assert (count(plan), plan.acts) == (0, ())


def test_what_others_run_counts() -> None:
    plan = plan_of(world(pools=[pool(target=2)], document=engine(), instances=[instance(7), instance(8)]))

    assert count(plan) == 0


def test_surplus_drains_what_is_not_ready_first_and_then_the_youngest() -> None:
    seen = world(
        pools=[pool(target=1)],
        document=engine(),
        launches=[launch(1), launch(2), launch(3, STARTING, deadline=60)],
        instances=[instance(1), instance(2)],
        found=[1, 2],
    )

    plan = plan_of(seen)

    assert {each.name[-1]: each.state for each in plan.moved} == {"2": DRAINING, "3": DRAINING}
    assert plan.acts == (Act(Deed.DRAIN, identifier(2), "tool"),), "what has not begun never will"


def test_what_others_run_is_never_drained() -> None:
    plan = plan_of(world(pools=[pool(target=0)], document=engine(), instances=[instance(7)]))

    assert (plan.moved, plan.acts) == ((), ())


def test_a_launcher_that_says_nothing_stops_launching_and_nothing_else() -> None:
    seen = world(
        pools=[pool(target=2)],
        document=engine(),
        launches=[launch(1, STARTING, deadline=60)],
        instances=[instance(1)],
        found=None,
    )

    plan = plan_of(seen)

    assert (count(plan), plan.acts) == (0, ())
    assert [each.state for each in plan.moved] == [READY]


@pytest.mark.parametrize(
    ("attempts", "seconds", "launched"),
    [(1, 0.9, 0), (1, 1.0, 1), (3, 3.9, 0), (3, 4.0, 1), (60, 63.9, 0), (60, 64.0, 1)],
)
def test_failures_back_off_up_to_a_cap(attempts: int, seconds: float, launched: int) -> None:
    failed = launch(1, FAILED, ended=0, attempts=attempts, reason="NOT_READY_IN_TIME")

    plan = plan_of(world(pools=[pool(target=3)], document=engine(), launches=[failed], now=seconds))

    assert count(plan) == launched, "one tells as well as three"
    if launched:
        assert plan.launching[V1][0].attempts == attempts + 1
    else:
        assert plan.due is not None
        assert plan.due > later(seconds)


def test_who_dies_soon_after_it_was_ready_backs_off_too_and_later_it_does_not() -> None:
    early = launch(1, ENDED, ready=0, ended=59, reason="DIED")
    late = launch(1, ENDED, ready=0, ended=61, reason="DIED")

    for died, launched in ((early, 0), (late, 1)):
        plan = plan_of(world(pools=[pool()], document=engine(), launches=[died], now=59.5))
        assert count(plan) == launched


def test_a_failed_instance_that_still_runs_is_killed_before_another_one_is_launched() -> None:
    failed = launch(1, FAILED, ended=-500)

    plan = plan_of(world(pools=[pool()], document=engine(), launches=[failed], found=[1]))

    assert (count(plan), plan.acts) == (0, (Act(Deed.KILL, identifier(1), "tool"),))


DEEDS = {
    "it is to begin": (launch(1, STARTING, deadline=60), [], Deed.START),
    "it drains": (launch(1, DRAINING, deadline=60), [1], Deed.DRAIN),
    "it has drained for too long": (launch(1, DRAINING, deadline=-1), [1], Deed.KILL),
    "it drains elsewhere": (launch(1, DRAINING, deadline=60, launcher="there"), [], Deed.ASK),
    "it was given up and runs after all": (launch(1, ENDED, ended=-1), [1], Deed.DRAIN),
    "it was given up long ago and runs": (launch(1, ENDED, ended=-121), [1], Deed.KILL),
}


@pytest.mark.parametrize(("started", "found", "deed"), DEEDS.values(), ids=DEEDS)
def test_what_is_done_to_an_instance(started: Launching, found: list[int], deed: Deed) -> None:
    registered = [instance(1)] if deed is Deed.ASK else []

    plan = plan_of(
        world(
            pools=[pool(target=1)], document=engine(), launches=[started], instances=registered, found=found
        )
    )

    assert plan.acts[0] == Act(deed, identifier(1), "tool")


@pytest.mark.parametrize(("seconds", "deed"), [(0, Deed.DRAIN), (119, Deed.DRAIN), (120, Deed.KILL)])
def test_what_runs_without_a_record_is_ended(seconds: float, deed: Deed) -> None:
    plan = plan_of(world(found=[4], strays={4: seconds}))

    assert plan.acts == (Act(deed, identifier(4), ""),)


def test_an_engine_that_keeps_some_gets_a_pool_before_its_version_is_known() -> None:
    plan = plan_of(world(document=engine(2)))

    assert [each.name for each in plan.pools] == [str(UNKNOWN)]
    assert plan_of(world(document=engine(2, command=False))).pools == ()
    assert plan_of(world(document=engine(0))).pools == ()


def test_a_version_that_a_route_needs_gets_a_pool() -> None:
    needs = {V1: Need(routes=("site",)), V2: Need(resources=3)}

    assert [each.name for each in plan_of(world(document=engine(), needs=needs)).pools] == [str(V1)]
    assert plan_of(world(document=engine(command=False), needs=needs)).pools == ()


def test_while_no_version_is_known_one_launch_is_to_tell() -> None:
    unknown = pool(UNKNOWN, 3, current=None)

    plan = plan_of(world(pools=[unknown], document=engine()))
    assert (count(plan), plan.launching[UNKNOWN][0].version) == (1, "-")

    told = plan_of(
        world(
            pools=[unknown],
            document=engine(),
            launches=[launch(1, STARTING, version="-", deadline=60)],
            instances=[instance(1)],
            found=[1],
        )
    )
    assert told.learned == (Learned(V1, told.moved[0].name),)
    assert (told.moved[0].state, told.moved[0].version) == (READY, "1.0")


def test_a_command_that_became_another_version_is_believed_and_the_old_one_launched_no_more() -> None:
    seen = world(
        pools=[pool(V1, 2)],
        document=engine(),
        launches=[launch(1, STARTING, deadline=60)],
        instances=[instance(1, version="2.0")],
        found=[1],
    )

    plan = plan_of(seen)
    assert plan.learned == (Learned(V2, plan.moved[0].name),)

    after = world(pools=[pool(V1, 2), pool(V2, 0, current=0)], document=engine())
    assert count(plan_of(after)) == 0


def test_a_pool_that_was_asked_for_by_no_version_takes_the_known_ones_name() -> None:
    plan = plan_of(world(pools=[pool(V1, 1), pool(UNKNOWN, 3, current=None)], document=engine()))

    assert plan.learned == (Learned(V1),)
    assert set(plan.launching) == {V1}


def test_what_was_asked_of_the_unknown_version_is_asked_of_the_known_one() -> None:
    unknown = pool(UNKNOWN, 3, current=None, reason="fair", set_by="ann", holds={"s": 2})

    alone = learned_pool(V1, {UNKNOWN: unknown}, engine(), later(0))
    merged = learned_pool(V1, {UNKNOWN: unknown, V1: pool(V1, 1, holds={"s": 1})}, engine(), later(0))
    pinned = learned_pool(V1, {UNKNOWN: unknown, V1: pool(V1, 1, pinned=True)}, engine(updated=9), later(0))

    assert (alone.name, alone.target, alone.reason, alone.set_by) == (str(V1), 3, "fair", "ann")
    assert (merged.target, dict(merged.holds)) == (3, {"s": 2})
    assert (pinned.target, pinned.current_since.ToDatetime()) == (1, later(9).replace(tzinfo=None))


def test_of_launches_that_are_over_the_newest_are_kept() -> None:
    over = [launch(number, ENDED, ended=-999) for number in range(1, KEPT_MAX + 6)]

    plan = plan_of(world(pools=[pool(target=0)], document=engine(), launches=over, found=[2]))

    assert {each.name[-2:] for each in plan.forgotten} == {"01", "03", "04", "05"}
