"""What moves a launch from state to state, and that nothing else does."""

import pytest

from controlplane.switching.launch_states import (
    DRAINING,
    ENDED,
    FAILED,
    FINAL,
    READY,
    STARTING,
    TRANSITIONS,
    Fault,
    Sight,
    State,
    advance,
    drained,
    judge,
)
from enchain.chains.errors import OurError
from enchain.v1.pool_pb2 import Launching
from tests.harness.pool_worlds import PATIENCE, instance, later, launch

REFUSED = Fault("COMMAND_NOT_FOUND", "there is no such program", final=True)
AWAY = Fault("STARTING", "it is being started", final=False)

STEPS: dict[str, tuple[Launching, Sight, float, State, str]] = {
    # Starting.
    "it has not begun": (launch(state=STARTING, deadline=60), Sight(running=False), 0, STARTING, ""),
    "it runs": (launch(state=STARTING, deadline=60), Sight(running=True), 59, STARTING, ""),
    "it registers": (launch(state=STARTING, deadline=60), Sight(instance(), running=True), 1, READY, ""),
    "it registers late": (
        launch(state=STARTING, deadline=60), Sight(instance(), running=True), 61, READY, "",
    ),
    "it runs and does not register": (
        launch(state=STARTING, deadline=60), Sight(running=True), 60, FAILED, "NOT_READY_IN_TIME",
    ),
    "it never ran": (
        launch(state=STARTING, deadline=60), Sight(running=False), 60, FAILED, "NOT_READY_IN_TIME",
    ),
    "nobody knows whether it runs": (
        launch(state=STARTING, deadline=60), Sight(elsewhere=True), 60, FAILED, "NOT_READY_IN_TIME",
    ),
    "it cannot be started": (
        launch(state=STARTING, deadline=60), Sight(running=False, fault=REFUSED), 1, FAILED, REFUSED.reason,
    ),
    "it cannot be started yet": (
        launch(state=STARTING, deadline=60), Sight(running=False, fault=AWAY), 1, STARTING, "",
    ),
    "it could not be started in time": (
        launch(state=STARTING, deadline=60), Sight(running=False, fault=AWAY), 60, FAILED, AWAY.reason,
    ),
    "it is another engine": (
        launch(state=STARTING, deadline=60), Sight(instance(of="other")), 1, FAILED, "WRONG_ENGINE",
    ),
    "its version is none": (
        launch(state=STARTING, deadline=60), Sight(instance(version="a/b")), 1, FAILED, "INVALID_VERSION",
    ),
    "it registers as it ends": (
        launch(state=STARTING, deadline=60), Sight(instance(draining=True)), 1, DRAINING, "DRAINED",
    ),
    # Ready.
    "it stands": (launch(), Sight(instance(), running=True), 9999, READY, ""),
    "it died": (launch(), Sight(instance(), running=False), 1, ENDED, "DIED"),
    "somebody drains it": (launch(), Sight(instance(draining=True), running=True), 1, DRAINING, "DRAINED"),
    "it is quiet": (launch(), Sight(running=True, silent_seconds=29), 1, READY, ""),
    "it is quiet for long": (launch(), Sight(running=True, silent_seconds=30), 1, DRAINING, "SILENT"),
    "it stands elsewhere": (launch(), Sight(instance(), elsewhere=True), 1, READY, ""),
    "it is quiet elsewhere": (launch(), Sight(elsewhere=True, silent_seconds=30), 1, ENDED, "LOST"),
    # Draining.
    "it drains": (launch(state=DRAINING, deadline=60), Sight(instance(), running=True), 999, DRAINING, ""),
    "it has drained": (launch(state=DRAINING, deadline=60), Sight(running=False), 1, ENDED, ""),
    "it drains elsewhere": (
        launch(state=DRAINING, deadline=60), Sight(instance(), elsewhere=True), 1, DRAINING, "",
    ),
    "it has drained elsewhere": (launch(state=DRAINING, deadline=60), Sight(elsewhere=True), 1, ENDED, ""),
    "nobody knows whether it drains": (launch(state=DRAINING, deadline=60), Sight(), 1, DRAINING, ""),
    # Over.
    "it has ended": (launch(state=ENDED, ended=0), Sight(instance(), running=True), 1, ENDED, ""),
    "it has failed": (launch(state=FAILED, ended=0), Sight(instance(), running=True), 1, FAILED, ""),
}  # fmt: skip


@pytest.mark.parametrize(("before", "sight", "seconds", "state", "reason"), STEPS.values(), ids=STEPS)
def test_a_launch_goes_where_what_is_seen_of_it_leads(
    before: Launching, sight: Sight, seconds: float, state: State, reason: str
) -> None:
    after = judge(before, sight, later(seconds), PATIENCE)

    assert (after.state, after.reason) == (state, reason)
    assert after.HasField("end_time") == (state in FINAL)
    assert bool(after.description) == bool(reason)


def test_what_registers_is_what_counts() -> None:
    before = launch(state=STARTING, version="1.0", deadline=60)

    after = judge(before, Sight(instance(version="2.0"), running=True, place="pid 7"), later(3), PATIENCE)

    assert (after.version, after.place) == ("2.0", "pid 7")
    assert after.ready_time.ToDatetime() == later(3).replace(tzinfo=None)
    assert not after.HasField("deadline")
    assert after.description == "version 1.0 was wanted, and the engine's command started 2.0"


def test_nothing_seen_changes_nothing() -> None:
    before = launch(state=STARTING, deadline=60)

    assert judge(before, Sight(running=True), later(1), PATIENCE) == before


def test_draining_has_a_deadline() -> None:
    after = drained(launch(), "SURPLUS", "it is not wanted any more", later(5), PATIENCE)

    assert after.deadline.ToDatetime() == later(5 + PATIENCE.drain).replace(tzinfo=None)


@pytest.mark.parametrize("state", TRANSITIONS)
@pytest.mark.parametrize("following", TRANSITIONS)
def test_only_the_tables_transitions_are_made(state: State, following: State) -> None:
    if following in TRANSITIONS[state]:
        assert advance(state, following) == following
    else:
        with pytest.raises(OurError):
            advance(state, following)


def test_every_state_has_a_way_to_an_end() -> None:
    reached = set(FINAL)
    for _ in TRANSITIONS:
        reached |= {state for state, following in TRANSITIONS.items() if following & reached}

    assert reached == set(TRANSITIONS)
