"""What comes next for an operation: the step at hand, or the end of it all.

The pipeline machine calls it with its own copy of the operation, which is changed in place. Undoing goes
through the same door as going forward: only the direction and the call differ.
"""

from dataclasses import replace
from datetime import datetime

from dataplane.routing import budgets, calling, deadlines, journaling
from dataplane.routing.effects import CallCancel, Checkpoint, Effect, Finish, Hold, Wait
from dataplane.routing.findings import finding, of_error
from dataplane.routing.runs import (
    Operation,
    Run,
    StepRun,
    current,
    deadline_of,
    is_touched,
    is_under_way,
    is_undoing,
    newest_generation,
    step_name,
)
from dataplane.routing.times import moment, stamp
from enchain.chains.errors import EnchainError
from enchain.v1 import diagnostic_pb2, operation_pb2, workload_pb2

Next = tuple[Run, tuple[Effect, ...]]

FAILED_CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
HOLD = workload_pb2.OnFailure.Name(workload_pb2.ON_FAILURE_HOLD)


def advance(run: Run, now: datetime) -> Next:
    """Do what the step at hand needs; where there is none left, end."""
    operation = run.operation
    index = current(operation)
    undoing = is_undoing(operation)
    if index is None:
        return finish_undone(run, now) if undoing else finish_succeeded(run, now)
    if operation.cancel_requested and not undoing:
        return stop(run, now)
    step = operation.steps[index]
    if undoing:
        _turn_round(operation, step)
    if step.HasField("retry_time") and moment(step.retry_time) > now:
        return commit(run, Wait(moment(step.retry_time), "backs off"))
    step.ClearField("retry_time")
    if now >= deadline_of(run, index):
        return give_up(run, index, now)
    return _turn_to(run, index, now)


def _turn_to(run: Run, index: int, now: datetime) -> Next:
    """Find out who does the step at hand; where it was called before, ask how it stands."""
    operation, step = run.operation, run.operation.steps[index]
    if is_under_way(operation, index):
        # A retry began further up, and nobody knew how this one had ended: ask, with the same key.
        sent, effects = send(run, index, now, again=True)
        return commit(sent, *effects) if operation.state != Operation.STATE_HELD else (sent, effects)
    try:
        calling.check_inputs(run, index)
    except EnchainError as error:
        return fail(run, index, now, of_error(error, step=step_name(step), engine=step.engine))
    return run, (calling.choose(run, index),)


def _turn_round(operation: Operation, step: StepRun) -> None:
    """Mark a step as one that is being undone, so that the record says so wherever it is stopped."""
    if step.state != StepRun.STATE_COMPENSATING:
        step.state = StepRun.STATE_COMPENSATING
        step.generation = newest_generation(operation) + 1
        step.intent.CopyFrom(
            operation_pb2.StepIntent(scope=step.intent.scope, verb=operation_pb2.VERB_DEPROVISION)
        )


def commit(run: Run, *then: Effect) -> Next:
    """Commit the record, then do the rest. What is committed counts as life: adoptions begin anew."""
    run.operation.adoptions = 0
    budgets.fit(run.operation)
    return run, (Checkpoint(), *then)


def send(run: Run, index: int, now: datetime, *, again: bool) -> Next:
    """Call the engine for the step at hand."""
    try:
        return run, (calling.call(run, index, again=again),)
    except EnchainError as error:
        step = run.operation.steps[index]
        found = of_error(error, step=step_name(step), engine=step.engine)
        if again:
            step.diagnostics.append(found)
            return hold(run, now, "its call cannot be made again")
        return fail(run, index, now, found)


def fail(run: Run, index: int, now: datetime, *found: diagnostic_pb2.Diagnostic) -> Next:
    """End a step before its engine was called: nothing was made."""
    step = run.operation.steps[index]
    step.diagnostics.extend(found)
    if is_undoing(run.operation):
        return hold(run, now, f"undoing {step_name(step)} failed")
    step.outcome = FAILED_CLEAN
    return failed(run, index, now)


def failed(run: Run, index: int, now: datetime) -> Next:
    """A step has ended for good, and badly: the chain's policy says what becomes of the others."""
    operation, step = run.operation, run.operation.steps[index]
    step.end_time.CopyFrom(stamp(now))
    journaling.step_ended(operation, step, now)
    if _waits_for_a_person(operation, step):
        return hold(run, now, f"step {step_name(step)} failed")
    step.state = StepRun.STATE_DONE
    operation.diagnostics.extend(step.diagnostics)
    return undo(run, now, f"step {step_name(step)} failed")


def _waits_for_a_person(operation: Operation, step: StepRun) -> bool:
    """Whether a failure is kept as it is. Only what a provision made may be undone without being asked."""
    if operation.verb == operation_pb2.VERB_PROVISION:
        return operation.on_failure == HOLD
    if operation.verb == operation_pb2.VERB_DEPROVISION:
        return True
    others = (other for other in operation.steps if other is not step)
    touched = any(other.state != StepRun.STATE_PENDING or other.unsettled for other in others)
    return touched or step.unsettled or step.outcome != FAILED_CLEAN


def undo(run: Run, now: datetime, reason: str) -> Next:
    """Destroy what stands, the newest first; where nothing stands, end at once."""
    operation = run.operation
    if operation.verb != operation_pb2.VERB_PROVISION or not is_touched(operation):
        return finish_undone(run, now)
    operation.deadline.CopyFrom(stamp(deadlines.compensation_deadline(run.chain, now)))
    journaling.state_changed(operation, Operation.STATE_COMPENSATING, reason, now)
    for step in operation.steps:
        step.attempt = 1
        step.ClearField("retry_time")
    return advance(replace(run, asks=0, stopping=False), now)


def stop(run: Run, now: datetime) -> Next:
    """Stop as somebody asked, no call being under way."""
    operation = run.operation
    if not is_touched(operation) and operation.verb != operation_pb2.VERB_DEPROVISION:
        return finish_undone(run, now)
    if operation.verb == operation_pb2.VERB_PROVISION and operation.on_failure != HOLD:
        return undo(run, now, "it was cancelled")
    return hold(run, now, "it was cancelled")


def give_up(run: Run, index: int, now: datetime) -> Next:
    """The deadline of the step at hand has passed."""
    operation, step = run.operation, run.operation.steps[index]
    late = too_late(run, index)
    if not is_under_way(operation, index):
        return fail(run, index, now, late)
    if not run.stopping and not step.HasField("retry_time"):
        return replace(run, stopping=True), (CallCancel(index, "its deadline passed"),)
    step.outcome = diagnostic_pb2.OUTCOME_UNKNOWN
    step.diagnostics.append(late)
    step.end_time.CopyFrom(stamp(now))
    journaling.step_ended(operation, step, now)
    return hold(run, now, f"nobody can say what became of step {step_name(step)}")


def too_late(run: Run, index: int) -> diagnostic_pb2.Diagnostic:
    """Say that a step did not end in time."""
    step = run.operation.steps[index]
    return finding(
        "DEADLINE_EXCEEDED",
        f"step {step_name(step)} did not end by {deadline_of(run, index):%Y-%m-%dT%H:%M:%SZ}",
        step=step_name(step),
        engine=step.engine,
        remedy="Retry the operation, or deprovision the resource.",
    )


def hold(run: Run, now: datetime, reason: str) -> Next:
    """Keep everything as it is until a person decides."""
    operation = run.operation
    index = current(operation)
    if index is not None:
        operation.steps[index].state = StepRun.STATE_HELD
        operation.steps[index].ClearField("retry_time")
    journaling.state_changed(operation, Operation.STATE_HELD, reason, now)
    operation.adoptions = 0
    budgets.fit(operation)
    return replace(run, asks=0, stopping=False), (Hold(),)


def finish_succeeded(run: Run, now: datetime) -> Next:
    """Every step is done: answer the outputs."""
    operation = run.operation
    if operation.verb == operation_pb2.VERB_DEPROVISION:
        return _finish(run, Operation.STATE_SUCCEEDED, now)
    try:
        for name, value in calling.outputs_of(run).items():
            operation.outputs[name].CopyFrom(value)
    except EnchainError as error:
        return _outputs_failed(run, now, of_error(error))
    if not budgets.outputs_fit(operation):
        return _outputs_failed(run, now, too_large(""))
    return _finish(run, Operation.STATE_SUCCEEDED, now)


def _outputs_failed(run: Run, now: datetime, found: diagnostic_pb2.Diagnostic) -> Next:
    """Every step is done, yet there is no answer to give: the chain's policy decides."""
    operation = run.operation
    operation.outputs.clear()
    operation.diagnostics.append(found)
    if operation.verb == operation_pb2.VERB_PROVISION and operation.on_failure != HOLD:
        return undo(run, now, "its outputs failed")
    return hold(run, now, "its outputs failed")


def too_large(step: str) -> diagnostic_pb2.Diagnostic:
    """Say that outputs do not fit into the record."""
    return finding(
        "OUTPUTS_TOO_LARGE",
        f"the operation's record has no room for the outputs of {step or 'the chain'}",
        step=step,
        remedy="Answer a reference to the content instead of the content.",
    )


def finish_undone(run: Run, now: datetime) -> Next:
    """Nothing is left of it."""
    cancelled = run.operation.cancel_requested
    return _finish(run, Operation.STATE_CANCELLED if cancelled else Operation.STATE_FAILED, now)


def _finish(run: Run, state: Operation.State.ValueType, now: datetime) -> Next:
    journaling.ended(run.operation, state, now)
    run.operation.adoptions = 0
    budgets.fit(run.operation)
    return replace(run, asks=0, stopping=False), (Finish(),)
