"""What an operation does about a step that failed: try anew, undo, fall back, or hold it for a person."""

from datetime import timedelta

import pytest

from dataplane.routing import events
from dataplane.routing.effects import (
    CallApply,
    CallDestroy,
    Choose,
    Finish,
)
from dataplane.routing.leaving import resource_of
from dataplane.routing.runs import Operation, StepRun
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import diagnostic_pb2, operation_pb2, workload_pb2
from tests.harness.pipelines import (
    NOW,
    answer,
    chain_of,
    chosen,
    kinds_of,
    play,
    provision_of,
)

CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
PARTIAL = diagnostic_pb2.OUTCOME_FAILED_PARTIAL
HOLD = workload_pb2.ON_FAILURE_HOLD
LATE = NOW + timedelta(hours=2)


def test_only_a_clean_failure_is_tried_anew_with_the_next_generation() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, CLEAN, retryable=True)
    )
    step = run.operation.steps[0]

    assert kinds_of(effects) == ["Checkpoint", "Wait"]
    assert (step.state, step.generation, step.attempt) == (StepRun.STATE_PENDING, 2, 2)
    run, effects = play(run, events.WaitOver(), now=NOW + timedelta(seconds=1))
    assert kinds_of(effects) == ["Choose"]


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
    assert (run.operation.state, kinds_of(effects)) == (Operation.STATE_HELD, ["Hold"])
    generation = run.operation.steps[0].generation

    run, effects = play(run, events.RetryRequested(""), events.WaitOver())
    assert run.operation.state == Operation.STATE_COMPENSATING
    assert run.operation.steps[0].generation == generation + 1
    run, effects = play(run, chosen(0), answer(0))
    assert (run.operation.state, kinds_of(effects)) == (Operation.STATE_FAILED, ["Finish"])


def test_a_compensation_held_before_it_was_called_goes_on_undoing() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, PARTIAL))
    run, effects = play(run, events.DeadlinePassed(), now=LATE)
    assert (run.operation.state, kinds_of(effects)) == (Operation.STATE_HELD, ["Hold"])

    run, effects = play(run, events.RetryRequested(""), events.WaitOver(), now=LATE)
    assert run.operation.state == Operation.STATE_COMPENSATING


def test_with_the_policy_hold_everything_stays_for_a_person() -> None:
    run, effects = play(
        provision_of(chain_of(on_failure=HOLD)),
        events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, PARTIAL),
    )  # fmt: skip
    resource = resource_of(run, NOW)

    assert kinds_of(effects) == ["Hold"]
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


def test_an_expression_that_fails_ends_the_step_before_anything_is_called() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, other="o"))
    assert run.operation.state == Operation.STATE_COMPENSATING
    assert run.operation.diagnostics[0].path == "steps.serve.inputs.files"


def test_outputs_that_do_not_fit_make_the_step_fail_partly() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, files="x" * 60_000))

    assert run.operation.steps[0].outcome == PARTIAL
    assert run.operation.diagnostics[0].code == "OUTPUTS_TOO_LARGE"
    assert not run.operation.steps[0].outputs
