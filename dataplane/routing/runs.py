"""One running operation as the pipeline machine sees it, and what can be read off it.

Nothing here changes anything. The operation is what the journal stores; chain and resource are what it was
admitted with and never change while it runs; the rest is this router's own and dies with it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dataplane.routing import deadlines
from dataplane.routing.events import DeadlinePassed, Event, WaitOver
from dataplane.routing.times import moment
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2

Operation = operation_pb2.Operation
StepRun = operation_pb2.StepRun

FINAL = frozenset({Operation.STATE_SUCCEEDED, Operation.STATE_FAILED, Operation.STATE_CANCELLED})
"""States that an operation never leaves."""


@dataclass(frozen=True, slots=True)
class Run:
    """An operation that this router runs.

    Attributes:
        operation: As it is or will be stored.
        chain: The chain it was admitted on; None where a deprovision's chain is no longer there.
        resource: The resource as the operation found it: what earlier operations made.
        asks: Times the call at hand was asked again since the engine was last heard of.
        stopping: The call at hand was told to stop.
    """

    operation: Operation
    chain: chain_pb2.Chain | None
    resource: operation_pb2.Resource
    asks: int = 0
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Alarm:
    """When the machine wants to hear again, and of what."""

    at: datetime
    event: Event


def step_name(step: StepRun) -> str:
    """The first of its steps names it."""
    return step.steps[0]


def is_called(step: StepRun) -> bool:
    """An instance was named for the call at hand, so that its engine may know of it."""
    return bool(step.intent.instance)


def is_undoing(operation: Operation) -> bool:
    """The operation made something and is undoing it. A held one remembers by its steps."""
    if operation.verb == operation_pb2.VERB_DEPROVISION:
        return False
    if operation.state == Operation.STATE_COMPENSATING:
        return True
    return any(
        step.state in {StepRun.STATE_COMPENSATED, StepRun.STATE_COMPENSATING}
        or step.intent.verb == operation_pb2.VERB_DEPROVISION
        for step in operation.steps
    )


def is_under_way(operation: Operation, index: int) -> bool:
    """The intent of the call that is wanted now stands, so that an engine may know of it."""
    step = operation.steps[index]
    calling = step.state in {StepRun.STATE_RUNNING, StepRun.STATE_COMPENSATING}
    return calling and is_called(step) and step.intent.verb == verb_at_hand(operation)


def verb_at_hand(operation: Operation) -> operation_pb2.Verb.ValueType:
    """What the engines are asked to do now."""
    return operation_pb2.VERB_DEPROVISION if is_destroying(operation) else operation.verb


def is_destroying(operation: Operation) -> bool:
    """The calls that the operation makes now are Destroy."""
    return operation.verb == operation_pb2.VERB_DEPROVISION or is_undoing(operation)


def leaves_something(step: StepRun) -> bool:
    """Something of the step may stand."""
    if step.state == StepRun.STATE_COMPENSATED:
        return False
    if step.unsettled or step.intent.verb == operation_pb2.VERB_DEPROVISION:
        return True
    if step.state in {StepRun.STATE_DONE, StepRun.STATE_HELD}:
        return is_called(step) and step.outcome != diagnostic_pb2.OUTCOME_FAILED_CLEAN
    return step.state != StepRun.STATE_PENDING


def is_touched(operation: Operation) -> bool:
    """Some step of it has or may have changed something."""
    return any(leaves_something(step) for step in operation.steps)


def current(operation: Operation) -> int | None:
    """Index of the step at hand; None where there is none left."""
    if is_undoing(operation):
        standing = [i for i, step in enumerate(operation.steps) if leaves_something(step)]
        return standing[-1] if standing else None
    return next((i for i, s in enumerate(operation.steps) if s.state != StepRun.STATE_DONE), None)


def newest_generation(operation: Operation) -> int:
    """The newest generation that any of its steps was given."""
    return max((step.generation for step in operation.steps), default=0)


def chain_step_of(run: Run, index: int) -> chain_pb2.ChainStep | None:
    """What the chain says of a step, or of its fallback; None for a destroying operation."""
    step = run.operation.steps[index]
    if run.chain is None:
        return None
    for candidate in run.chain.steps:
        if list(candidate.steps) == list(step.steps):
            return candidate.fallback if step.fallback else candidate
    return None


def prior_of(run: Run, index: int) -> operation_pb2.ResourceStep | None:
    """What an earlier operation made at a step."""
    steps = list(run.operation.steps[index].steps)
    return next((made for made in run.resource.steps if list(made.steps) == steps), None)


def deadline_of(run: Run, index: int) -> datetime:
    """When the call at hand must have ended."""
    chain_step = None if is_destroying(run.operation) else chain_step_of(run, index)
    return deadlines.step_deadline(run.operation, run.operation.steps[index], chain_step)


def alarm(run: Run) -> Alarm | None:
    """When the shell must wake the machine, if nothing happens before; None for an operation at rest."""
    operation = run.operation
    index = current(operation)
    if index is None or operation.state not in {Operation.STATE_RUNNING, Operation.STATE_COMPENSATING}:
        return None
    grace = deadlines.STOP_GRACE if run.stopping else timedelta()
    last = Alarm(deadline_of(run, index) + grace, DeadlinePassed())
    step = operation.steps[index]
    if step.HasField("retry_time") and moment(step.retry_time) < last.at:
        return Alarm(moment(step.retry_time), WaitOver())
    return last
