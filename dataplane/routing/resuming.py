"""Going on: after a wait, after an adoption, and when a person retries what is held.

The pipeline machine calls it with its own copy of the operation. A call that may be under way is sent
again with the same key to the same scope; only a person's retry gives a step that failed partly another
generation.
"""

from dataclasses import replace
from datetime import datetime

from dataplane.routing import advancing, budgets, deadlines, journaling, results
from dataplane.routing.advancing import Next
from dataplane.routing.runs import (
    Operation,
    Run,
    StepRun,
    current,
    is_called,
    is_destroying,
    is_under_way,
    is_undoing,
    step_name,
)
from dataplane.routing.times import stamp
from enchain.chains.errors import InvalidArgumentError, OurError, Violation
from enchain.v1 import diagnostic_pb2

ADOPTIONS_MAX = 3
"""Adoptions without a checkpoint after which an operation is held: it may be what kills its routers."""

UNKNOWN = frozenset({diagnostic_pb2.OUTCOME_UNKNOWN, diagnostic_pb2.OUTCOME_UNSPECIFIED})


def resume(run: Run, now: datetime) -> Next:
    """Go on with the step at hand: send its call again, or begin it."""
    index = current(run.operation)
    if index is not None and is_under_way(run.operation, index):
        run.operation.steps[index].ClearField("retry_time")
        return advancing.send(run, index, now, again=True)
    return advancing.advance(run, now)


def adopt(operation: Operation, router: str, reason: str, now: datetime) -> Operation:
    """Make the record that an adopter's claim commits. At the third adoption in vain it is held.

    Raises:
        OurError: The operation is at rest, so that there is nothing to adopt.
    """
    if operation.state not in {Operation.STATE_RUNNING, Operation.STATE_COMPENSATING}:
        raise OurError(f"{operation.name} is at rest", reason="ILLEGAL_EVENT")
    adopted = Operation()
    adopted.CopyFrom(operation)
    adopted.adoptions += 1
    journaling.adopted(adopted, router, reason, now)
    return adopted


def go_on_adopted(run: Run, now: datetime) -> Next:
    """Go on with what another router began, unless it was adopted too often without getting anywhere."""
    operation = run.operation
    if operation.adoptions < ADOPTIONS_MAX:
        return resume(run, now)
    index = current(operation)
    if index is not None and is_under_way(operation, index):
        operation.steps[index].outcome = diagnostic_pb2.OUTCOME_UNKNOWN
    return advancing.hold(run, now, f"{operation.adoptions} routers took it up in vain")


def retry(run: Run, from_step: str, now: datetime) -> Next:
    """Make a held operation ready to go on, from a step on. It goes on once the claim of it is committed.

    Raises:
        InvalidArgumentError: It cannot begin at that step.
    """
    operation = run.operation
    undoing = is_undoing(operation)
    index = current(operation)
    start = _start(operation, index, from_step, fixed=undoing or is_destroying(operation))
    operation.deadline.CopyFrom(stamp(now + deadlines.operation_timeout(None, run.chain)))
    operation.cancel_requested = False
    del operation.diagnostics[:]
    if undoing:
        journaling.state_changed(operation, Operation.STATE_COMPENSATING, "it was retried", now)
    else:
        journaling.state_changed(operation, Operation.STATE_RUNNING, "it was retried", now)
    for position in range(len(operation.steps) if index is None else index + 1):
        if start is not None and start <= position:
            _ready(run, position)
    budgets.fit(operation)
    return replace(run, asks=0, stopping=False), ()


def _start(operation: Operation, index: int | None, from_step: str, *, fixed: bool) -> int | None:
    """Index of the step to begin with."""
    if not from_step:
        return index
    names = [step_name(step) for step in operation.steps]
    last = len(names) - 1 if index is None else index
    if from_step not in names[: last + 1] or (fixed and from_step != names[last]):
        told = f"it stopped at {names[last]} and cannot go on from {from_step}"
        raise InvalidArgumentError(
            told,
            reason="WRONG_STEP",
            remedy=f"Retry from {names[last]}, or leave the step out.",
            violations=[Violation("from_step", told, "WRONG_STEP")],
        )
    return names.index(from_step)


def _ready(run: Run, index: int) -> None:
    """Make one step ready: the same key where its end is unknown, the next generation where it is known."""
    step = run.operation.steps[index]
    undoing = is_undoing(run.operation)
    step.ClearField("retry_time")
    if step.state == StepRun.STATE_HELD and is_called(step) and step.outcome in UNKNOWN:
        step.state = StepRun.STATE_COMPENSATING if undoing else StepRun.STATE_RUNNING
        step.start_time.CopyFrom(run.operation.update_time)
        return
    left = step.outcome in {
        diagnostic_pb2.OUTCOME_SUCCEEDED,
        diagnostic_pb2.OUTCOME_FAILED_PARTIAL,
        diagnostic_pb2.OUTCOME_CANCELLED,
    }
    if left and not is_destroying(run.operation):
        step.unsettled = True
        if step.HasField("handle"):
            step.prior.CopyFrom(step.handle)
    results.anew(run, index)
    step.attempt = 1
