"""The machine of a chain switch: what each state waits for, what its deadline brings, what ends it early."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.switching import states
from controlplane.switching.machine import enter, step
from controlplane.switching.records import Seen, lost, origin
from controlplane.switching.rules import CONVERGE_SECONDS, DRAIN_SECONDS, RETIRE_SECONDS, RULES, WARM_SECONDS
from controlplane.switching.states import State
from enchain.chains.routes import whole
from enchain.v1 import chain_pb2

OLD = "workloads/site/chains/default@aaaaaaaaaaaa"
NEW = "workloads/site/chains/other@bbbbbbbbbbbb"
NAME = "workloads/site/switches/01JDEYZ0000000000000000000"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def route(chain: str = OLD, *, etag: str = "e1", by: str = "", pin: str = "") -> chain_pb2.Route:
    made = whole(chain)
    made.etag, made.chain_switch = etag, by
    if pin:
        made.pin.reason = pin
    return made


def moved(**fields: str) -> chain_pb2.Route:
    """The route once the switch has moved it."""
    return route(NEW, by=NAME, etag="e2", **fields)


def switch(state: State, **fields: object) -> chain_pb2.ChainSwitch:
    """A switch that came to a state the usual way, at `NOW`."""
    made = chain_pb2.ChainSwitch(
        name=NAME, state=states.VALIDATING, to=whole(NEW), drain_policy=chain_pb2.DRAIN_POLICY_FINISH
    )
    made.MergeFrom(chain_pb2.ChainSwitch(**fields))  # type: ignore[arg-type]  # any fields of the message
    origin(made).CopyFrom(route())
    made.deadline.FromDatetime(NOW + timedelta(seconds=30))
    made.phases.add(state=states.VALIDATING).start_time.FromDatetime(NOW)
    way = (states.WARMING, states.ACTIVATING, states.CONVERGING, states.DRAINING, states.RETIRING)
    for following in way[: way.index(state) + 1] if state in way else ():
        enter(made, following, "", NOW)
        if following == states.CONVERGING:
            made.to.CopyFrom(moved())
    return made


def after(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def routers(*converged: bool, refusal: str = "") -> chain_pb2.Convergence:
    return chain_pb2.Convergence(
        routers=[
            chain_pb2.RouterConvergence(router=f"routers/{number}", converged=each, refusal=refusal)
            for number, each in enumerate(converged)
        ]
    )


def evidence(verdict: str, operations: int = 50) -> chain_pb2.SwitchEvidence:
    made = chain_pb2.SwitchEvidence(verdict=verdict, description="9 of 10 failed")
    made.after.operations = operations
    made.time.FromDatetime(NOW)
    return made


BEFORE = Seen(route=route())
AFTER = Seen(route=moved())


def following(made: chain_pb2.ChainSwitch, seen: Seen, now: datetime = NOW) -> State:
    answered = step(made, seen, now).switch
    return made.state if answered is None else answered.state


def test_every_state_that_is_no_end_has_a_rule() -> None:
    assert set(RULES) == {state for state in states.TRANSITIONS if not states.is_end(state)}


@pytest.mark.parametrize(
    ("state", "seen", "expected"),
    [
        (states.VALIDATING, BEFORE, states.ACTIVATING),
        (states.VALIDATING, replace(BEFORE, short=["process 1: 0 of 1"]), states.WARMING),
        (states.WARMING, replace(BEFORE, short=["process 1: 0 of 1"]), states.WARMING),
        (states.WARMING, BEFORE, states.ACTIVATING),
        (states.ACTIVATING, BEFORE, states.CONVERGING),
        (states.ACTIVATING, replace(BEFORE, short=["process 1: 0 of 1"]), states.ACTIVATING),
        (states.CONVERGING, replace(AFTER, convergence=routers(True, False)), states.CONVERGING),
        (states.CONVERGING, replace(AFTER, convergence=routers(True, True)), states.DRAINING),
        (states.CONVERGING, replace(AFTER, convergence=routers()), states.DRAINING),
        (states.DRAINING, replace(AFTER, running=["op"]), states.DRAINING),
        (states.DRAINING, AFTER, states.RETIRING),
        (states.DRAINING, replace(AFTER, held=["op"]), states.RETIRING),
        (states.RETIRING, replace(AFTER, surplus=["process 1: 2"]), states.RETIRING),
        (states.RETIRING, AFTER, states.DONE),
    ],
)
def test_each_state_waits_for_what_it_is_for(state: State, seen: Seen, expected: State) -> None:
    assert following(switch(state), seen) == expected


@pytest.mark.parametrize(
    ("state", "seen", "time", "expected", "reason"),
    [
        (states.WARMING, replace(BEFORE, short=["process 1"]), WARM_SECONDS, states.ROLLED_BACK, "WARMING"),
        (states.ACTIVATING, replace(BEFORE, short=["process 1"]), 30, states.ROLLED_BACK, "ACTIVATING"),
        (
            states.CONVERGING,
            replace(AFTER, convergence=routers(True, False)),
            CONVERGE_SECONDS,
            states.DRAINING,
            "",
        ),
        (states.DRAINING, replace(AFTER, running=["op"]), DRAIN_SECONDS, states.RETIRING, ""),
        (states.RETIRING, replace(AFTER, surplus=["process 1"]), RETIRE_SECONDS, states.DONE, ""),
    ],
)
def test_every_deadline_is_an_exit(
    state: State, seen: Seen, time: float, expected: State, reason: str
) -> None:
    made = switch(state)

    assert following(made, seen, after(time - 0.001)) == state
    ended = step(made, seen, after(time)).switch
    assert ended is not None
    assert ended.state == expected
    assert ended.rollback_reason.startswith(reason)


@pytest.mark.parametrize("state", [states.VALIDATING, states.WARMING, states.ACTIVATING])
@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen(route=None), "ROUTE_GONE"),
        (Seen(route=route(etag="e7")), "ROUTE_MOVED"),
        (Seen(route=route(etag="e7", pin="audit week")), "ROUTE_PINNED"),
        (replace(BEFORE, elder="workloads/site/switches/1"), "SWITCH_RUNNING"),
        (replace(BEFORE, fault="there is no such chain"), "INVALID_CHAIN"),
    ],
)
def test_a_route_that_is_not_as_it_was_validated_is_not_moved(state: State, seen: Seen, reason: str) -> None:
    decided = step(switch(state), seen, NOW)

    assert decided.switch is not None
    assert decided.switch.state == states.ROLLED_BACK
    assert decided.switch.rollback_reason.startswith(reason)
    assert decided.route is None


@pytest.mark.parametrize("state", [states.VALIDATING, states.WARMING, states.ACTIVATING])
def test_a_switch_that_is_to_end_before_it_is_in_force_moves_nothing(state: State) -> None:
    decided = step(switch(state, abort_requested=True), BEFORE, NOW)

    assert decided.switch is not None
    assert (decided.switch.state, decided.route) == (states.ROLLED_BACK, None)


def test_activating_moves_the_route_and_keeps_its_seed() -> None:
    made, at = switch(states.ACTIVATING), route()
    at.seed = "older-seed"

    decided = step(made, replace(BEFORE, route=at), NOW, "controlplanes/a")

    assert decided.route is not None
    assert decided.switch is not None
    assert [share.chain for share in decided.route.shares] == [NEW]
    assert (decided.route.seed, decided.route.chain_switch) == ("older-seed", NAME)
    assert decided.switch.to == decided.route
    assert decided.switch.activate_time.ToDatetime(UTC) == NOW
    assert decided.switch.phases[-1].leader == "controlplanes/a"


@pytest.mark.parametrize("state", [states.CONVERGING, states.DRAINING])
def test_a_switch_that_is_in_force_goes_back_where_a_person_wants_its_end(state: State) -> None:
    decided = step(switch(state, abort_requested=True), AFTER, NOW)

    assert decided.switch is not None
    assert decided.route is not None
    assert decided.switch.state == states.ROLLED_BACK
    assert [share.chain for share in decided.route.shares] == [OLD]


@pytest.mark.parametrize("verdict", ["FAILS_MORE", "SLOWER"])
@pytest.mark.parametrize("state", [states.CONVERGING, states.DRAINING])
def test_a_chain_that_does_worse_while_it_is_watched_is_taken_back(state: State, verdict: str) -> None:
    made = switch(state)
    made.watch_timeout.FromSeconds(600)

    decided = step(made, replace(AFTER, evidence=evidence(verdict)), after(599))
    late = step(made, replace(AFTER, evidence=evidence(verdict)), after(600))

    assert decided.switch is not None
    assert decided.switch.state == states.ROLLED_BACK
    assert decided.switch.rollback_reason == f"{verdict}: 9 of 10 failed"
    assert decided.switch.evidence.verdict == verdict
    assert decided.route is not None
    assert late.route is None


@pytest.mark.parametrize(
    "seen",
    [
        Seen(route=moved(pin="audit week")),
        Seen(route=route(NEW, by="somebody else")),
        Seen(route=moved(), unserved=["serve: no instance of process 1"]),
        Seen(route=None),
    ],
    ids=["pinned", "moved by somebody else", "nobody could do the old chain's steps", "gone"],
)
def test_a_worse_chain_stays_where_going_back_would_be_wrong(seen: Seen) -> None:
    made = switch(states.DRAINING)
    made.watch_timeout.FromSeconds(600)

    decided = step(made, replace(seen, evidence=evidence("SLOWER")), after(1))

    assert decided.route is None
    assert decided.switch is not None
    assert (decided.switch.state, decided.switch.evidence.verdict) == (states.DRAINING, "SLOWER")


def test_what_a_router_refuses_is_taken_back() -> None:
    seen = replace(AFTER, convergence=routers(False, refusal="some/key: BAD"))

    decided = step(switch(states.CONVERGING), seen, NOW)

    assert decided.switch is not None
    assert decided.switch.rollback_reason.startswith("ROUTER_REFUSED")
    assert decided.route is not None


def test_while_it_is_watched_the_old_chain_is_kept() -> None:
    made = switch(states.CONVERGING)
    made.watch_timeout.FromSeconds(600)
    draining = step(made, replace(AFTER, convergence=routers(True)), NOW).switch
    assert draining is not None

    assert following(draining, AFTER, after(599)) == states.DRAINING
    assert following(draining, AFTER, after(600)) == states.RETIRING


@pytest.mark.parametrize(
    ("policy", "time", "expected", "cancelled"),
    [
        (chain_pb2.DRAIN_POLICY_FINISH, 3600, states.DRAINING, []),
        (chain_pb2.DRAIN_POLICY_HAND_OVER, 59, states.DRAINING, []),
        (chain_pb2.DRAIN_POLICY_HAND_OVER, 60, states.RETIRING, []),
        (chain_pb2.DRAIN_POLICY_ABORT, 59, states.DRAINING, []),
        (chain_pb2.DRAIN_POLICY_ABORT, 60, states.DRAINING, ["op"]),
        (chain_pb2.DRAIN_POLICY_ABORT, 660, states.RETIRING, []),
    ],
)
def test_the_policy_decides_what_becomes_of_operations_on_the_old_chain(
    policy: chain_pb2.DrainPolicy.ValueType, time: float, expected: State, cancelled: Sequence[str]
) -> None:
    made = switch(states.CONVERGING)
    made.drain_policy = policy
    if policy != chain_pb2.DRAIN_POLICY_FINISH:
        made.drain_timeout.FromSeconds(60)
    enter(made, states.DRAINING, "", NOW)

    decided = step(made, replace(AFTER, running=["op"]), after(time))

    assert list(decided.cancels) == list(cancelled)
    assert (decided.switch.state if decided.switch else made.state) == expected


def test_newer_evidence_is_written_now_and_again_and_not_at_every_look() -> None:
    made = switch(states.DRAINING)
    made.watch_timeout.FromSeconds(600)
    first = step(made, replace(AFTER, evidence=evidence("TOO_FEW", 1)), NOW).switch
    assert first is not None
    more = evidence("TOO_FEW", 2)
    more.time.FromDatetime(after(1))

    soon = step(first, replace(AFTER, evidence=more), after(1)).switch
    later = step(first, replace(AFTER, evidence=more), after(6)).switch
    same = step(first, replace(AFTER, evidence=evidence("TOO_FEW", 1)), after(6)).switch

    assert (soon, same) == (None, None)
    assert later is not None
    assert later.evidence.after.operations == 2


def test_only_chains_without_any_share_are_drained() -> None:
    made = switch(states.DRAINING)

    assert lost(made, moved()) == {OLD}
    assert lost(made, route(OLD)) == frozenset()
