"""A retry whose attempt leaves nothing does not undo what the attempt before it left. Pure."""

from dataplane.routing import advancing, events, leaving, pipeline
from dataplane.routing.effects import CallApply, Checkpoint, Choose, Hold
from dataplane.routing.runs import Operation, Run, is_touched
from enchain.v1 import diagnostic_pb2, workload_pb2
from tests.harness.pipelines import NOW, answer, chain_of, chosen, play, provision_of, update_of

CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
PARTIAL = diagnostic_pb2.OUTCOME_FAILED_PARTIAL
UNKNOWN = diagnostic_pb2.OUTCOME_UNKNOWN


def retried(run: Run, from_step: str = "") -> Run:
    """Let a person retry it, and go on."""
    run, _ = pipeline.step(run, events.RetryRequested(from_step), NOW, 0.5)
    return run


def test_an_update_that_left_something_stays_held_when_its_retry_leaves_nothing() -> None:
    run, _ = play(update_of(chain_of()), events.Admitted(), chosen(0), answer(0, PARTIAL))
    assert run.operation.state == Operation.STATE_HELD

    run, effects = play(retried(run), events.WaitOver(), chosen(0), answer(0, CLEAN))

    assert run.operation.state == Operation.STATE_HELD
    assert isinstance(effects[-1], Hold)


def test_a_provision_destroys_what_the_attempt_before_the_retry_left() -> None:
    chain = chain_of()
    run, _ = play(provision_of(chain), events.Admitted(), chosen(0), answer(0), chosen(1))
    run, _ = advancing.hold(run, NOW, "nobody can say")
    run.operation.steps[1].outcome = UNKNOWN

    run = retried(run, "configure")
    run, effects = play(run, events.WaitOver(), chosen(0), answer(0, CLEAN))

    assert run.operation.state == Operation.STATE_COMPENSATING
    assert is_touched(run.operation)
    assert isinstance(effects[-1], Choose)
    assert run.operation.steps[0].unsettled


def test_a_success_settles_what_was_left() -> None:
    chain = chain_of(on_failure=workload_pb2.ON_FAILURE_HOLD)
    run, _ = play(provision_of(chain), events.Admitted(), chosen(0), answer(0, PARTIAL))
    assert run.operation.state == Operation.STATE_HELD

    run, _ = play(retried(run), events.WaitOver(), chosen(0), answer(0))

    assert not run.operation.steps[0].unsettled


def test_what_was_left_has_its_scope_while_it_is_held() -> None:
    chain = chain_of(on_failure=workload_pb2.ON_FAILURE_HOLD)
    run, _ = play(provision_of(chain), events.Admitted(), chosen(0), answer(0, PARTIAL))
    run, _ = play(retried(run), events.WaitOver(), chosen(0), answer(0, CLEAN))

    resource = leaving.resource_of(run, NOW)

    assert resource is not None
    assert [step.scope for step in resource.steps] == ["scope-0"]


def test_a_step_whose_end_is_unknown_is_asked_again_when_its_turn_comes() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1))
    run, _ = advancing.hold(run, NOW, "nobody can say")
    run.operation.steps[1].outcome = UNKNOWN

    run = retried(run, "configure")
    run, effects = play(run, events.WaitOver(), chosen(0), answer(0))

    assert [type(effect) for effect in effects] == [Checkpoint, CallApply]
    assert isinstance(effects[-1], CallApply)
    assert (effects[-1].step, effects[-1].again) == (1, True)
