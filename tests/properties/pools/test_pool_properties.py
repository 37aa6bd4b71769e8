"""Whatever happens to pools, in whatever order: nothing is launched that is not wanted, and all ends well.

Instances die, freeze and come back, leaders die between storing and doing, others are faster, the
launcher is silent, the command breaks or becomes another version, people scale, pin and hold.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.switching.launch_states import FINAL, READY
from controlplane.switching.pool_targets import Need, current_version, wanted, why_not_launchable
from enchain.chains.decision_names import PoolName
from tests.harness.pool_worlds import UNKNOWN, V1, V2, Sandbox, engine, pool

Move = Callable[[Sandbox, int], None]


def _scale(box: Sandbox, number: int) -> None:
    name = sorted(box.pools)[number % len(box.pools)] if box.pools else UNKNOWN
    box.pools.setdefault(name, pool(name, 0, current=None)).target = number % 6


def _pin(box: Sandbox, number: int) -> None:
    for each in box.pools.values():
        each.pinned = bool(number % 2)


def _hold(box: Sandbox, number: int) -> None:
    for each in box.pools.values():
        each.holds["switch"] = number % 4
        each.demands["workloads/site"] = number % 7 / 2


def _need(box: Sandbox, number: int) -> None:
    needs = {V1: Need(routes=("site",)), V2: Need(operations=1)}
    box.needs = {name: need for name, need in needs.items() if number % 3 == list(needs).index(name)}


def _die(box: Sandbox, number: int) -> None:
    if box.running:
        box.die(sorted(box.running)[number % len(box.running)])


def _vanish(box: Sandbox, number: int) -> None:
    if box.registered:
        del box.registered[sorted(box.registered)[number % len(box.registered)]]


def _upgrade(box: Sandbox, number: int) -> None:
    box.command = "2.0" if box.command == "1.0" else "1.0"
    if number % 2:
        box.document.update_time.FromDatetime(box.now)


def _bound(box: Sandbox, number: int) -> None:
    box.document.pool.min = number % 3
    box.document.pool.max = number % 3 + number % 4 + 1


MOVES: dict[str, Move] = {
    "round": lambda box, _: void(box.round()),
    "another round": lambda box, _: void(box.round()),
    "others are faster": lambda box, _: void(box.round(stored=False)),
    "the leader dies before it acts": lambda box, _: void(box.round(done=False)),
    "the leader forgets": lambda box, _: box.faults.clear(),
    "instances register": lambda box, _: box.register(),
    "one dies": _die,
    "one is registered no more": _vanish,
    "leases end": lambda box, _: box.lapse(),
    "the drained end": lambda box, _: box.end_what_was_told(),
    "time passes": lambda box, number: box.pass_by(number),
    "scale": _scale,
    "pin": _pin,
    "hold": _hold,
    "need": _need,
    "bound": _bound,
    "upgrade": _upgrade,
    "break": lambda box, number: setattr(box, "breaking", bool(number % 2)),
    "silence": lambda box, number: setattr(box, "silent", bool(number % 2)),
}


def void(_: object) -> None:
    """Answer nothing."""


moves = st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 200)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(moves)
def test_whatever_happens_nothing_is_launched_twice_and_all_ends_as_wanted(
    happenings: list[tuple[str, int]],
) -> None:
    box = Sandbox(engine(most=4))
    for what, number in happenings:
        MOVES[what](box, number)

    box.settle()

    assert len(box.begun) == len(set(box.begun)), "an instance was started twice"
    assert all(each.state == READY or each.state in FINAL for each in box.launches.values())
    ready = {key for key, each in box.launches.items() if each.state == READY}
    assert box.running == ready, "something runs that nobody knows, or is known that does not run"
    for name in box.pools:
        if not why_not_launchable(name, box.document, box.pools):
            need = box.needs.get(name, Need())
            assert box.alive(name) == wanted(name, box.pools, box.document, need).count, str(name)


@given(st.integers(1, 4))
def test_the_version_is_found_by_the_first_launch_and_by_that_alone(count: int) -> None:
    box = Sandbox(engine(least=count, most=4))

    begun = []
    for _ in range(4):
        box.round()
        begun.append(len(box.launches))
        if len(begun) == 2:
            box.register()

    assert begun[:2] == [0, 1], "first the pool, then one launch that tells"
    box.settle()
    assert current_version(box.pools, "tool") == "1.0"
    assert (set(box.pools), box.alive(V1)) == ({V1}, count)


@pytest.mark.parametrize("minutes", [1, 10])
def test_a_command_that_never_starts_is_tried_ever_more_rarely(minutes: int) -> None:
    box = Sandbox(engine(), breaking=True, pools={V1: pool(target=3)})
    start = box.now

    while box.now < start + timedelta(minutes=minutes):
        box.round()
        box.pass_by(1)

    # 1 s, 2 s, … 64 s between attempts, and 64 s from there on.
    assert len(box.launches) <= 3 + 7 + minutes * 60 / 64 + 1
    assert not box.running


def test_what_another_launcher_started_counts_and_is_not_started_again() -> None:
    box = Sandbox(engine(), pools={V1: pool(target=1)})
    box.round()
    box.register()
    box.round()
    for each in box.launches.values():
        each.launcher = "another place"
    box.running.clear()

    plan = box.round()

    assert (plan.launching, plan.acts) == ({}, ())
    assert PoolName("tool", "1.0") in box.pools
