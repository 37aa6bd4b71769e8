"""The durable events of an operation: numbered, kept in its record, shown after they are committed.

The pipeline machine calls it on its own copy of the record, which is changed in place.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dataplane.routing.times import moment, span, stamp
from enchain.v1 import diagnostic_pb2, operation_pb2

Operation = operation_pb2.Operation
OperationEvent = operation_pb2.OperationEvent


def append(operation: Operation, event: OperationEvent, now: datetime) -> None:
    """Give an event the next number and put it into the record."""
    operation.last_sequence += 1
    event.operation = operation.name
    event.sequence = operation.last_sequence
    event.time.CopyFrom(stamp(now))
    operation.events.append(event)
    operation.update_time.CopyFrom(event.time)


def admitted(operation: Operation, now: datetime) -> None:
    """Always first."""
    told = operation_pb2.OperationAdmitted(
        verb=operation.verb,
        workload=operation.workload,
        resource=operation.resource,
        chain=operation.chain,
        arm=operation.arm,
        bucket=operation.bucket,
        steps=[step.steps[0] for step in operation.steps],
    )
    append(operation, OperationEvent(admitted=told), now)


def step_started(operation: Operation, step: operation_pb2.StepRun, now: datetime) -> None:
    """An engine instance is about to be called."""
    told = operation_pb2.StepStarted(
        step=step.steps[0],
        engine=step.engine,
        version=step.version,
        instance=step.intent.instance,
        attempt=step.attempt,
        verb=step.intent.verb,
    )
    append(operation, OperationEvent(step_started=told), now)


def step_ended(
    operation: Operation,
    step: operation_pb2.StepRun,
    now: datetime,
    *,
    outcome: diagnostic_pb2.Outcome.ValueType | None = None,
) -> None:
    """An attempt ended, with the outcome given or the step's."""
    began = moment(step.start_time) if step.HasField("start_time") else now
    told = operation_pb2.StepEnded(
        step=step.steps[0],
        outcome=outcome or step.outcome,
        duration=span(max(now - began, timedelta())),
        diagnostics=step.diagnostics,
        retry_time=step.retry_time if step.HasField("retry_time") else None,
    )
    append(operation, OperationEvent(step_ended=told), now)


def adopted(operation: Operation, router: str, reason: str, now: datetime) -> None:
    """Another router goes on with it."""
    told = operation_pb2.OperationAdopted(router=router, reason=reason)
    append(operation, OperationEvent(adopted=told), now)


def state_changed(operation: Operation, state: Operation.State.ValueType, reason: str, now: datetime) -> None:
    """Enter a state that is no end."""
    operation.state = state
    told = operation_pb2.OperationStateChanged(state=state, reason=reason)
    append(operation, OperationEvent(state_changed=told), now)


def ended(operation: Operation, state: Operation.State.ValueType, now: datetime) -> None:
    """Enter a final state."""
    operation.state = state
    operation.end_time.CopyFrom(stamp(now))
    told = operation_pb2.OperationEnded(
        state=state, outputs=operation.outputs, diagnostics=operation.diagnostics
    )
    append(operation, OperationEvent(ended=told), now)


def after(operation: Operation, sequence: int) -> Sequence[OperationEvent]:
    """The durable events that the record still has after a sequence, in order."""
    return [event for event in operation.events if event.sequence > sequence]
