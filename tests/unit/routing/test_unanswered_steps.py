"""What an operation does about silence, deadlines, cancels and the death of its router."""

from dataclasses import replace
from datetime import timedelta

from dataplane.routing import events
from dataplane.routing.deadlines import STOP_GRACE
from dataplane.routing.effects import (
    CallApply,
    CallCancel,
    Wait,
)
from dataplane.routing.resuming import adopt
from dataplane.routing.runs import Operation, alarm
from enchain.v1 import diagnostic_pb2
from tests.harness.pipelines import (
    NOW,
    answer,
    chain_of,
    chosen,
    kinds_of,
    play,
    provision_of,
)

UNKNOWN = diagnostic_pb2.OUTCOME_UNKNOWN
CANCELLED = diagnostic_pb2.OUTCOME_CANCELLED
LATE = NOW + timedelta(hours=2)


def test_an_unknown_outcome_is_asked_again_with_the_same_key() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    first = effects[-1]
    run, effects = play(run, answer(0, UNKNOWN))
    assert kinds_of(effects) == ["Wait"]

    run, effects = play(run, events.WaitOver(), now=NOW + timedelta(seconds=1))
    again = effects[-1]
    assert isinstance(first, CallApply)
    assert isinstance(again, CallApply)
    assert again.again
    assert again.request == first.request


def test_what_is_unknown_at_the_deadline_is_held() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), events.StepUnreachable(0, "gone"))
    run, effects = play(run, events.DeadlinePassed(), now=LATE)

    assert (run.operation.state, kinds_of(effects)) == (Operation.STATE_HELD, ["Hold"])
    assert run.operation.steps[0].outcome == UNKNOWN
    run, effects = play(run, events.RetryRequested(""), events.WaitOver(), now=LATE)
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].request.call.generation == 1


def test_proven_absence_allows_another_attempt() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), events.StepAbsent(0, "observed")
    )

    assert kinds_of(effects) == ["Checkpoint", "Wait"]
    assert run.operation.steps[0].generation == 2


def test_a_running_step_is_told_to_stop_at_its_deadline_and_then_held() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    late = NOW + timedelta(hours=1)
    run, effects = play(run, events.DeadlinePassed(), now=late)
    assert kinds_of(effects) == ["CallCancel"]
    at = alarm(run)
    assert at is not None
    assert at.at == late + STOP_GRACE

    run, effects = play(run, events.DeadlinePassed(), now=late + STOP_GRACE)
    assert kinds_of(effects) == ["Hold"]


def test_a_step_that_its_deadline_stopped_says_that_it_was_late() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    run, _ = play(run, events.DeadlinePassed(), now=LATE)
    run, _ = play(run, answer(0, CANCELLED), now=LATE)

    assert [found.code for found in run.operation.diagnostics] == ["DEADLINE_EXCEEDED"]


def test_a_step_without_an_instance_by_the_deadline_fails_clean() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), events.CapacityAwaited(0))
    run, effects = play(run, events.DeadlinePassed(), now=LATE)

    assert (run.operation.state, kinds_of(effects)) == (Operation.STATE_FAILED, ["Finish"])
    assert run.operation.diagnostics[0].code == "DEADLINE_EXCEEDED"


def test_waiting_for_capacity_commits_what_the_step_before_left() -> None:
    _, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), events.CapacityAwaited(1)
    )

    assert kinds_of(effects) == ["Checkpoint"]


def test_a_cancelled_provision_leaves_nothing() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0), events.CancelRequested("no"))
    assert kinds_of(effects) == ["Checkpoint", "CallCancel"]

    run, effects = play(run, answer(0, CANCELLED), chosen(0), answer(0))
    assert (run.operation.state, kinds_of(effects)) == (Operation.STATE_CANCELLED, ["Finish"])


def test_a_step_that_succeeds_although_cancelled_is_undone() -> None:
    run, _ = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), events.CancelRequested("no"), answer(0)
    )

    assert run.operation.state == Operation.STATE_COMPENSATING


def test_an_adopter_sends_the_same_call_again() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    first = effects[-1]
    adopted = replace(run, operation=adopt(run.operation, "routers/b", "its owner is gone", NOW))
    adopted, effects = play(adopted, events.Adopted("routers/b", "its owner is gone"))

    assert isinstance(first, CallApply)
    assert isinstance(effects[0], CallApply)
    assert effects[0].request == first.request
    assert adopted.operation.events[-1].adopted.router == "routers/b"
    adopted, effects = play(adopted, events.StepAccepted(0, reattached=True))
    assert (kinds_of(effects), adopted.operation.adoptions) == (["Checkpoint"], 0)


def test_the_third_adoption_in_vain_holds_the_operation() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    for _ in range(3):
        run = replace(run, operation=adopt(run.operation, "routers/b", "its owner is gone", NOW))
    run, effects = play(run, events.Adopted("routers/b", "its owner is gone"))

    assert kinds_of(effects) == ["Hold"]
    run, effects = play(run, events.RetryRequested(""), events.WaitOver())
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].again


def test_a_call_under_way_is_cancelled_once() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), events.CancelRequested("no"))
    _, effects = play(run, events.CancelRequested("again"))

    assert not any(isinstance(effect, CallCancel) for effect in effects)


def test_a_busy_engine_is_asked_again_soon_however_often_it_was_asked() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    now = NOW
    for _ in range(20):
        run, effects = play(run, events.StepUnreachable(0, "it is busy", busy=True), now=now)
        assert isinstance(effects[-1], Wait)
        assert effects[-1].until - now <= timedelta(seconds=1)
        now = effects[-1].until
        run, _ = play(run, events.WaitOver(), now=now)
