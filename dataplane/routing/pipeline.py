"""The pipeline machine: what an operation does next, as a table.

`step(run, event, now, jitter)` answers the operation as it will be stored and the effects to
perform. Three rules:

1. It is pure: the run given is never changed, and time and dice are arguments.
2. What the table does not name is illegal and raises `IllegalEventError`; nothing has changed then.
3. Effects are performed in order. Where a commit is refused, this router is displaced and stops.

```
            result SUCCEEDED, more steps          RetryRequested
             ┌──────────┐                  ┌──────────────────────────────┐
  Admitted   ▼          │  policy HOLD,    ▼                              │
  ───────► RUNNING ─────┴─ UNKNOWN at the deadline, 3 adoptions ──────► HELD
             │  │                                                        ▲
             │  └─ failed or cancelled ──► COMPENSATING ── undoing failed ─┘
             │                                  │
             ▼ last step                        ▼ nothing is left
         SUCCEEDED                       FAILED or CANCELLED
```
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from dataplane.routing import advancing, budgets, events, journaling, results, resuming
from dataplane.routing.advancing import Next
from dataplane.routing.effects import CallCancel, Show, WriteIntent
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
    verb_at_hand,
)
from dataplane.routing.times import stamp
from enchain.chains.errors import OurError
from enchain.v1 import operation_pb2

OperationEvent = operation_pb2.OperationEvent

RUNNING = Operation.STATE_RUNNING
COMPENSATING = Operation.STATE_COMPENSATING
HELD = Operation.STATE_HELD

BUSY_ASKS_MAX = 1
"""An engine that is merely busy is asked again within two backoffs' time."""


class IllegalEventError(OurError):
    """The machine was told something that cannot happen now. The shell has a bug."""

    default_reason = "ILLEGAL_EVENT"


Handler = Callable[[Run, events.Event, datetime, float], Next]


def step(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """Take in one event.

    Args:
        run: The operation as it stands; left as it is.
        event: What happened.
        now: The time.
        jitter: A random number in [0, 1).

    Raises:
        IllegalEventError: The event cannot happen in this state.
    """
    handler = TABLE.get((type(event), run.operation.state))
    if handler is None:
        raise IllegalEventError(
            f"{type(event).__name__} while {run.operation.name} is"
            f" {Operation.State.Name(run.operation.state)}"
        )
    index = getattr(event, "step", None)
    if index is not None:
        _check_step(run, event, index)
    if isinstance(event, events.StepProgressed | events.StepLogged):
        return handler(run, event, now, jitter)
    operation = Operation()
    operation.CopyFrom(run.operation)
    operation.update_time.CopyFrom(stamp(now))
    return handler(replace(run, operation=operation), event, now, jitter)


def _check_step(run: Run, event: events.Event, index: int) -> None:
    """An event of a step must be of the step at hand, and of a call only while it is called."""
    operation = run.operation
    if index != current(operation):
        raise IllegalEventError(f"{type(event).__name__} of step {index}, which is not at hand")
    at_hand = operation.steps[index]
    choosing = isinstance(event, events.InstanceChosen | events.CapacityAwaited | events.NoInstance)
    if choosing == is_under_way(operation, index):
        raise IllegalEventError(
            f"{type(event).__name__} while step {step_name(at_hand)} is {StepRun.State.Name(at_hand.state)}"
        )


def _admitted(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del event, jitter
    return advancing.advance(run, now)


def _instance_chosen(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """Write the intent and call. One commit holds this and what the step before left."""
    del jitter
    assert isinstance(event, events.InstanceChosen)
    operation = run.operation
    at_hand = operation.steps[event.step]
    if not is_undoing(operation):
        at_hand.state = StepRun.STATE_RUNNING
    at_hand.intent.CopyFrom(
        operation_pb2.StepIntent(
            scope=event.scope,
            instance=event.instance,
            instance_address=event.address,
            generation=at_hand.generation,
            verb=verb_at_hand(operation),
        )
    )
    at_hand.in_flight = event.in_flight
    at_hand.start_time.CopyFrom(stamp(now))
    at_hand.ClearField("retry_time")
    at_hand.ClearField("end_time")
    journaling.step_started(operation, at_hand, now)
    operation.adoptions = 0
    budgets.fit(operation)
    sent, effects = advancing.send(run, event.step, now, again=False)
    return sent, (WriteIntent(event.step), *effects)


def _capacity_awaited(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """What the step before left must not wait with us."""
    del event, now, jitter
    return advancing.commit(run)


def _no_instance(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    assert isinstance(event, events.NoInstance)
    waiting, effects = results.ask_again(run, event.step, now, jitter)
    if waiting.operation.state in {RUNNING, COMPENSATING}:
        return advancing.commit(waiting, *effects)
    return waiting, effects


def _accepted(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """The engine answers. After an adoption this is the first sign that the operation harms nobody.

    An instance that takes work up again must be told again that nobody wants it any more.
    """
    del now, jitter
    assert isinstance(event, events.StepAccepted)
    run = replace(run, asks=0)
    _, effects = advancing.commit(run) if run.operation.adoptions else (run, ())
    unwanted = run.stopping or (run.operation.cancel_requested and not is_undoing(run.operation))
    if event.reattached and unwanted:
        return replace(run, stopping=True), (*effects, CallCancel(event.step, "it was cancelled"))
    return run, effects


def _progressed(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del jitter
    assert isinstance(event, events.StepProgressed)
    name = step_name(run.operation.steps[event.step])
    told = operation_pb2.StepProgress(step=name, fraction=event.fraction, message=event.message)
    return run, (Show(_shown(run, now, OperationEvent(step_progress=told))),)


def _logged(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del jitter
    assert isinstance(event, events.StepLogged)
    name = step_name(run.operation.steps[event.step])
    told = operation_pb2.StepLog(step=name, line=event.line, dropped=event.dropped)
    return run, (Show(_shown(run, now, OperationEvent(step_log=told))),)


def _shown(run: Run, now: datetime, event: OperationEvent) -> OperationEvent:
    event.operation = run.operation.name
    event.time.CopyFrom(stamp(now))
    return event


def _found(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """A finding by the way is kept with the step until its result brings the final ones."""
    del jitter
    assert isinstance(event, events.StepFound)
    name = step_name(run.operation.steps[event.step])
    told = operation_pb2.StepProgress(step=name, message=event.diagnostic.summary)
    return run, (Show(_shown(run, now, OperationEvent(step_progress=told))),)


def _handle_made(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """Kept with the next commit; until then the engine's ledger has it."""
    del now, jitter
    assert isinstance(event, events.HandleMade)
    if not is_destroying(run.operation):
        run.operation.steps[event.step].handle.CopyFrom(event.handle)
    return run, ()


def _result(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    assert isinstance(event, events.StepResult)
    return results.result(run, event.step, event.result, now, jitter)


def _absent(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    assert isinstance(event, events.StepAbsent)
    return results.absent(run, event.step, event.reason, now, jitter)


def _unreachable(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    assert isinstance(event, events.StepUnreachable)
    if event.diagnostic is not None:
        at_hand = run.operation.steps[event.step]
        del at_hand.diagnostics[:]
        at_hand.diagnostics.append(event.diagnostic)
    if event.busy:
        run = replace(run, asks=min(run.asks, BUSY_ASKS_MAX))
    return results.ask_again(run, event.step, now, jitter)


def _wait_over(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del event, jitter
    return resuming.resume(run, now)


def _deadline_passed(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del event, jitter
    index = current(run.operation)
    if index is None:
        raise IllegalEventError("a deadline without a step at hand")
    return advancing.give_up(run, index, now)


def _cancel(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    """Advisory: a call under way is told and its result awaited."""
    del jitter
    assert isinstance(event, events.CancelRequested)
    operation = run.operation
    if operation.cancel_requested or is_undoing(operation):
        return run, ()
    operation.cancel_requested = True
    index = current(operation)
    if index is not None and is_called(operation.steps[index]):
        committed, effects = advancing.commit(replace(run, stopping=True))
        return committed, (*effects, CallCancel(index, event.reason or "it was cancelled"))
    return advancing.advance(run, now)


def _adopted(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del jitter
    assert isinstance(event, events.Adopted)
    return resuming.go_on_adopted(run, now)


def _retry(run: Run, event: events.Event, now: datetime, jitter: float) -> Next:
    del jitter
    assert isinstance(event, events.RetryRequested)
    return resuming.retry(run, event.from_step, now)


_ANYWHERE: Mapping[type[events.Event], Handler] = {
    events.Adopted: _adopted,
    events.InstanceChosen: _instance_chosen,
    events.CapacityAwaited: _capacity_awaited,
    events.NoInstance: _no_instance,
    events.StepAccepted: _accepted,
    events.StepProgressed: _progressed,
    events.StepLogged: _logged,
    events.StepFound: _found,
    events.HandleMade: _handle_made,
    events.StepResult: _result,
    events.StepAbsent: _absent,
    events.StepUnreachable: _unreachable,
    events.WaitOver: _wait_over,
    events.DeadlinePassed: _deadline_passed,
    events.CancelRequested: _cancel,
}

TABLE: Mapping[tuple[type[events.Event], int], Handler] = {
    (events.Admitted, RUNNING): _admitted,
    **{(event, RUNNING): handler for event, handler in _ANYWHERE.items()},
    **{(event, COMPENSATING): handler for event, handler in _ANYWHERE.items()},
    (events.RetryRequested, HELD): _retry,
}
"""Every event that may happen, by the state of the operation. A final state takes none."""
