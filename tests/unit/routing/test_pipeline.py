"""What an operation does next, by example: the ways through the machine that people rely on.

Not here: performing effects (`tests/integration/router`), and all ways at once
(`tests/properties/routing`).
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from dataplane.routing import events, pipeline
from dataplane.routing.deadlines import STOP_GRACE
from dataplane.routing.effects import (
    CallApply,
    CallCancel,
    CallDestroy,
    Checkpoint,
    Choose,
    Finish,
    Hold,
    Show,
    Wait,
    WriteIntent,
)
from dataplane.routing.leaving import outbox_of, resource_of
from dataplane.routing.resuming import adopt
from dataplane.routing.runs import Operation, StepRun, alarm
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import to_python_map
from enchain.v1 import diagnostic_pb2, operation_pb2, workload_pb2
from tests.harness.pipelines import (
    NOW,
    answer,
    chain_of,
    chosen,
    deprovision_of,
    play,
    provision_of,
    update_of,
)

CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
PARTIAL = diagnostic_pb2.OUTCOME_FAILED_PARTIAL
UNKNOWN = diagnostic_pb2.OUTCOME_UNKNOWN
CANCELLED = diagnostic_pb2.OUTCOME_CANCELLED
HOLD = workload_pb2.ON_FAILURE_HOLD
LATE = NOW + timedelta(hours=2)


def kinds(effects: tuple[object, ...]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def test_a_chain_of_two_steps_takes_three_commits_after_admission() -> None:
    run = provision_of(chain_of())
    commits = 0
    for event in (events.Admitted(), chosen(0), answer(0), chosen(1), answer(1)):
        run, effects = pipeline.step(run, event, NOW, 0.5)
        commits += sum(isinstance(e, WriteIntent | Checkpoint | Finish | Hold) for e in effects)

    assert run.operation.state == Operation.STATE_SUCCEEDED
    assert commits == 3


def test_the_intent_stands_before_the_engine_is_called() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0))

    assert kinds(effects) == ["WriteIntent", "CallApply"]
    intent = run.operation.steps[0].intent
    assert (intent.scope, intent.instance, intent.generation) == ("scope-0", "i-1", 1)


def test_outputs_of_a_step_are_inputs_of_the_next() -> None:
    _, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, files="a"), chosen(1))

    call = effects[-1]
    assert isinstance(call, CallApply)
    assert to_python_map(call.request.inputs) == {"files": "a"}


def test_the_resource_says_what_was_made_by_whom() -> None:
    run, effects = play(
        provision_of(chain_of()),
        events.Admitted(),
        chosen(0),
        answer(0),
        chosen(1),
        answer(1, url="http://x"),
    )
    resource = resource_of(run, NOW)

    assert kinds(effects) == ["Finish"]
    assert resource is not None
    assert resource.state == operation_pb2.Resource.STATE_READY
    assert [(s.steps[0], s.engine, s.scope) for s in resource.steps] == [
        ("configure", "terraform", "scope-0"),
        ("serve", "process", "scope-1"),
    ]
    assert to_python_map(resource.outputs) == {"url": "http://x"}


def test_events_are_numbered_without_a_gap() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1))

    told = [(e.sequence, e.WhichOneof("kind")) for e in run.operation.events]
    assert told == [
        (1, "admitted"),
        (2, "step_started"),
        (3, "step_ended"),
        (4, "step_started"),
        (5, "step_ended"),
        (6, "ended"),
    ]


def test_only_a_clean_failure_is_tried_anew_with_the_next_generation() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, CLEAN, retryable=True)
    )
    step = run.operation.steps[0]

    assert kinds(effects) == ["Checkpoint", "Wait"]
    assert (step.state, step.generation, step.attempt) == (StepRun.STATE_PENDING, 2, 2)
    run, effects = play(run, events.WaitOver(), now=NOW + timedelta(seconds=1))
    assert kinds(effects) == ["Choose"]


def test_a_partial_failure_is_undone_and_never_tried_anew() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, PARTIAL, retryable=True)
    )

    assert run.operation.state == Operation.STATE_COMPENSATING
    assert isinstance(effects[-1], Choose)
    assert effects[-1].scope == "scope-0"


def test_completed_steps_are_undone_in_reverse_and_nothing_is_left() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, PARTIAL)
    )
    order = []
    while not isinstance(effects[-1], Finish):
        assert isinstance(effects[-1], Choose)
        index = effects[-1].step
        run, effects = play(run, chosen(index))
        assert isinstance(effects[-1], CallDestroy)
        order.append(index)
        run, effects = play(run, answer(index))

    assert order == [1, 0]
    assert run.operation.state == Operation.STATE_FAILED
    assert resource_of(run, NOW) is None
    assert [s.outcome for s in run.operation.steps] == [diagnostic_pb2.OUTCOME_SUCCEEDED, PARTIAL]


def test_a_failed_compensation_is_held_and_can_be_retried() -> None:
    run, effects = play(
        provision_of(chain_of()),
        events.Admitted(),
        chosen(0),
        answer(0, PARTIAL),
        chosen(0),
        answer(0, PARTIAL),
    )
    assert (run.operation.state, kinds(effects)) == (Operation.STATE_HELD, ["Hold"])
    generation = run.operation.steps[0].generation

    run, effects = play(run, events.RetryRequested(""), events.WaitOver())
    assert run.operation.state == Operation.STATE_COMPENSATING
    assert run.operation.steps[0].generation == generation + 1
    run, effects = play(run, chosen(0), answer(0))
    assert (run.operation.state, kinds(effects)) == (Operation.STATE_FAILED, ["Finish"])


def test_a_compensation_held_before_it_was_called_goes_on_undoing() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, PARTIAL))
    run, effects = play(run, events.DeadlinePassed(), now=LATE)
    assert (run.operation.state, kinds(effects)) == (Operation.STATE_HELD, ["Hold"])

    run, effects = play(run, events.RetryRequested(""), events.WaitOver(), now=LATE)
    assert run.operation.state == Operation.STATE_COMPENSATING


def test_with_the_policy_hold_everything_stays_for_a_person() -> None:
    run, effects = play(
        provision_of(chain_of(on_failure=HOLD)),
        events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, PARTIAL),
    )  # fmt: skip
    resource = resource_of(run, NOW)

    assert kinds(effects) == ["Hold"]
    assert resource is not None
    assert resource.state == operation_pb2.Resource.STATE_HELD
    assert len(resource.steps) == 2


def test_a_person_may_retry_from_an_earlier_step() -> None:
    run, _ = play(
        provision_of(chain_of(on_failure=HOLD)),
        events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, PARTIAL),
    )  # fmt: skip
    run, effects = play(run, events.RetryRequested("configure"), events.WaitOver())

    assert run.operation.state == Operation.STATE_RUNNING
    assert isinstance(effects[-1], Choose)
    assert effects[-1].step == 0
    run, effects = play(run, chosen(0))
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].request.prior.schema == "tool/1"
    run, effects = play(run, answer(0), chosen(1), answer(1))
    assert run.operation.state == Operation.STATE_SUCCEEDED


def test_a_retry_cannot_skip_steps() -> None:
    run, _ = play(provision_of(chain_of(on_failure=HOLD)), events.Admitted(), chosen(0), answer(0, PARTIAL))

    with pytest.raises(InvalidArgumentError) as refused:
        play(run, events.RetryRequested("serve"))
    assert refused.value.reason == "WRONG_STEP"


def test_the_fallback_runs_only_once_nothing_is_left() -> None:
    chain = chain_of(fallback="script", attempts=1)
    run, effects = play(provision_of(chain), events.Admitted(), chosen(0), answer(0, CLEAN, retryable=True))
    assert isinstance(effects[-1], Choose)
    assert (effects[-1].engine, run.operation.steps[0].generation) == ("script", 2)

    run, _ = play(provision_of(chain), events.Admitted(), chosen(0), answer(0, PARTIAL))
    assert not run.operation.steps[0].fallback


def test_an_unknown_outcome_is_asked_again_with_the_same_key() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    first = effects[-1]
    run, effects = play(run, answer(0, UNKNOWN))
    assert kinds(effects) == ["Wait"]

    run, effects = play(run, events.WaitOver(), now=NOW + timedelta(seconds=1))
    again = effects[-1]
    assert isinstance(first, CallApply)
    assert isinstance(again, CallApply)
    assert again.again
    assert again.request == first.request


def test_what_is_unknown_at_the_deadline_is_held() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), events.StepUnreachable(0, "gone"))
    run, effects = play(run, events.DeadlinePassed(), now=LATE)

    assert (run.operation.state, kinds(effects)) == (Operation.STATE_HELD, ["Hold"])
    assert run.operation.steps[0].outcome == UNKNOWN
    run, effects = play(run, events.RetryRequested(""), events.WaitOver(), now=LATE)
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].request.call.generation == 1


def test_proven_absence_allows_another_attempt() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), events.StepAbsent(0, "observed")
    )

    assert kinds(effects) == ["Checkpoint", "Wait"]
    assert run.operation.steps[0].generation == 2


def test_a_running_step_is_told_to_stop_at_its_deadline_and_then_held() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    late = NOW + timedelta(hours=1)
    run, effects = play(run, events.DeadlinePassed(), now=late)
    assert kinds(effects) == ["CallCancel"]
    at = alarm(run)
    assert at is not None
    assert at.at == late + STOP_GRACE

    run, effects = play(run, events.DeadlinePassed(), now=late + STOP_GRACE)
    assert kinds(effects) == ["Hold"]


def test_a_step_without_an_instance_by_the_deadline_fails_clean() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), events.CapacityAwaited(0))
    run, effects = play(run, events.DeadlinePassed(), now=LATE)

    assert (run.operation.state, kinds(effects)) == (Operation.STATE_FAILED, ["Finish"])
    assert run.operation.diagnostics[0].code == "DEADLINE_EXCEEDED"


def test_waiting_for_capacity_commits_what_the_step_before_left() -> None:
    _, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), events.CapacityAwaited(1)
    )

    assert kinds(effects) == ["Checkpoint"]


def test_a_cancelled_provision_leaves_nothing() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0), events.CancelRequested("no"))
    assert kinds(effects) == ["Checkpoint", "CallCancel"]

    run, effects = play(run, answer(0, CANCELLED), chosen(0), answer(0))
    assert (run.operation.state, kinds(effects)) == (Operation.STATE_CANCELLED, ["Finish"])


def test_a_step_that_succeeds_although_cancelled_is_undone() -> None:
    run, _ = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), events.CancelRequested("no"), answer(0)
    )

    assert run.operation.state == Operation.STATE_COMPENSATING


def test_a_failed_update_never_destroys_what_stood_before() -> None:
    run, _ = play(update_of(chain_of()), events.Admitted(), chosen(0), answer(0, CLEAN))
    resource = resource_of(run, NOW)
    assert run.operation.state == Operation.STATE_FAILED
    assert resource is not None
    assert resource.state == operation_pb2.Resource.STATE_READY

    run, _ = play(update_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, CLEAN))
    assert run.operation.state == Operation.STATE_HELD


def test_an_update_applies_on_top_of_what_stands_in_its_scope() -> None:
    _, effects = play(update_of(chain_of()), events.Admitted())
    assert isinstance(effects[-1], Choose)
    assert (effects[-1].scope, effects[-1].update) == ("terraform-scope", True)

    _, effects = play(update_of(chain_of()), events.Admitted(), chosen(0))
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].request.prior.schema == "terraform/1"
    assert effects[-1].request.call.generation == 2


def test_a_deprovision_walks_the_recorded_steps_in_reverse() -> None:
    run, effects = play(deprovision_of(chain_of()), events.Admitted())
    assert isinstance(effects[-1], Choose)
    assert (effects[-1].engine, effects[-1].handle_schema) == ("process", "process/1")
    assert effects[-1].version == ""

    run, effects = play(run, chosen(0), answer(0), chosen(1), answer(1))
    assert kinds(effects) == ["Finish"]
    assert resource_of(run, NOW) is None


def test_absence_that_cannot_be_proven_is_held() -> None:
    run, effects = play(deprovision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1))
    run, effects = play(run, answer(1, PARTIAL))
    resource = resource_of(run, NOW)

    assert kinds(effects) == ["Hold"]
    assert resource is not None
    assert [made.steps[0] for made in resource.steps] == ["configure"]


def test_a_destroy_that_may_succeed_later_is_tried_anew() -> None:
    run, effects = play(deprovision_of(chain_of()), events.Admitted(), chosen(0))
    run, effects = play(run, answer(0, PARTIAL, retryable=True))

    assert kinds(effects) == ["Checkpoint", "Wait"]
    assert run.operation.steps[0].generation == 3


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
    assert (kinds(effects), adopted.operation.adoptions) == (["Checkpoint"], 0)


def test_the_third_adoption_in_vain_holds_the_operation() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    for _ in range(3):
        run = replace(run, operation=adopt(run.operation, "routers/b", "its owner is gone", NOW))
    run, effects = play(run, events.Adopted("routers/b", "its owner is gone"))

    assert kinds(effects) == ["Hold"]
    run, effects = play(run, events.RetryRequested(""), events.WaitOver())
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].again


def test_an_expression_that_fails_ends_the_step_before_anything_is_called() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, other="o"))
    assert run.operation.state == Operation.STATE_COMPENSATING
    assert run.operation.diagnostics[0].path == "steps.serve.inputs.files"


def test_outputs_that_do_not_fit_make_the_step_fail_partly() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, files="x" * 60_000))

    assert run.operation.steps[0].outcome == PARTIAL
    assert run.operation.diagnostics[0].code == "OUTPUTS_TOO_LARGE"
    assert not run.operation.steps[0].outputs


def test_progress_is_shown_and_never_kept() -> None:
    before, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    after, effects = play(before, events.StepProgressed(0, "half", 0.5))

    assert after is before
    assert isinstance(effects[0], Show)
    assert effects[0].event.sequence == 0


def test_an_illegal_event_changes_nothing() -> None:
    run = provision_of(chain_of())
    before = run.operation.SerializeToString(deterministic=True)

    for event in (answer(0), chosen(1), events.RetryRequested("")):
        with pytest.raises(pipeline.IllegalEventError):
            pipeline.step(run, event, NOW, 0.5)
    assert run.operation.SerializeToString(deterministic=True) == before


def test_the_machine_never_changes_the_run_it_was_given() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    before = run.operation.SerializeToString(deterministic=True)
    play(run, answer(0))

    assert run.operation.SerializeToString(deterministic=True) == before


def test_an_ended_operation_leaves_a_line_for_statistics() -> None:
    run, _ = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, url=3)
    )
    entry = outbox_of(run.operation)

    assert entry.measures == {"url": 3.0}
    assert [(s.step, s.engine, s.attempts) for s in entry.steps] == [
        ("configure", "terraform", 1),
        ("serve", "process", 1),
    ]


def test_a_wait_is_until_the_time_that_the_record_says() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, CLEAN, retryable=True)
    )
    at = alarm(run)

    assert isinstance(effects[-1], Wait)
    assert at is not None
    assert (at.at, at.event) == (effects[-1].until, events.WaitOver())


def test_a_call_under_way_is_cancelled_once() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), events.CancelRequested("no"))
    _, effects = play(run, events.CancelRequested("again"))

    assert not any(isinstance(effect, CallCancel) for effect in effects)
