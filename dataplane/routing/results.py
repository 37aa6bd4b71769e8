"""What an engine's answer means: go on, try anew, take the fallback, ask again, or fail.

The pipeline machine calls it with its own copy of the operation. Only what is proven to have left nothing
is tried anew, with the next generation; what nobody can say is asked again with the same key.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from dataplane.routing import advancing, budgets, deadlines, journaling
from dataplane.routing.advancing import Next
from dataplane.routing.effects import Wait
from dataplane.routing.findings import finding
from dataplane.routing.runs import (
    Run,
    StepRun,
    chain_step_of,
    deadline_of,
    is_destroying,
    is_undoing,
    newest_generation,
    step_name,
)
from dataplane.routing.times import length, stamp
from enchain.engine.v1 import engine_pb2
from enchain.v1 import diagnostic_pb2, operation_pb2, workload_pb2

KNOWN = frozenset(
    {
        diagnostic_pb2.OUTCOME_SUCCEEDED,
        diagnostic_pb2.OUTCOME_FAILED_CLEAN,
        diagnostic_pb2.OUTCOME_FAILED_PARTIAL,
        diagnostic_pb2.OUTCOME_CANCELLED,
    }
)


def result(run: Run, index: int, answer: engine_pb2.StepResult, now: datetime, jitter: float) -> Next:
    """Take in how a step ended."""
    step = run.operation.steps[index]
    if answer.outcome not in KNOWN:
        return ask_again(run, index, now, jitter)
    _take(run, step, answer)
    step.end_time.CopyFrom(stamp(now))
    run = replace(run, asks=0, stopping=False)
    if is_destroying(run.operation):
        return _destroyed(run, index, answer, now, jitter)
    if answer.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED and not budgets.outputs_fit(run.operation):
        step.outputs.clear()
        step.outcome = diagnostic_pb2.OUTCOME_FAILED_PARTIAL
        step.diagnostics.append(advancing.too_large(step_name(step)))
        return advancing.failed(run, index, now)
    if answer.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED:
        step.state = StepRun.STATE_DONE
        step.unsettled = False
        journaling.step_ended(run.operation, step, now)
        return advancing.advance(run, now)
    if answer.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN:
        return _failed_clean(run, index, answer, now, jitter)
    asked = run.operation.cancel_requested
    if answer.outcome == diagnostic_pb2.OUTCOME_CANCELLED and not asked and now >= deadline_of(run, index):
        # The engine says that it was cancelled; nobody but the deadline did that, and people are to know.
        step.diagnostics.insert(0, advancing.too_late(run, index))
    return advancing.failed(run, index, now)


def _take(run: Run, step: StepRun, answer: engine_pb2.StepResult) -> None:
    """Write down the answer. A step that was undone keeps the outcome of what made it."""
    undone = is_undoing(run.operation) and answer.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    if not undone:
        step.outcome = answer.outcome
    step.ClearField("retry_time")
    del step.diagnostics[:]
    step.diagnostics.extend(answer.diagnostics)
    _add(step.usage, answer.usage)
    if is_destroying(run.operation):
        return
    if answer.HasField("handle"):
        step.handle.CopyFrom(answer.handle)
    step.outputs.clear()
    for name, value in answer.outputs.items():
        step.outputs[name].CopyFrom(value)


def _add(total: diagnostic_pb2.Usage, used: diagnostic_pb2.Usage) -> None:
    """Add what one attempt used up."""
    total.cpu_seconds += used.cpu_seconds
    total.peak_memory_bytes = max(total.peak_memory_bytes, used.peak_memory_bytes)
    total.network_received_bytes += used.network_received_bytes
    total.network_sent_bytes += used.network_sent_bytes
    if used.HasField("tool_duration"):
        whole = length(total.tool_duration) + length(used.tool_duration)
        total.tool_duration.FromTimedelta(whole)
    if used.HasField("cost"):
        nanos = total.cost.nanos + used.cost.nanos
        total.cost.units += used.cost.units + nanos // 10**9
        total.cost.nanos = nanos % 10**9
        total.cost.currency_code = used.cost.currency_code


def _failed_clean(run: Run, index: int, answer: engine_pb2.StepResult, now: datetime, jitter: float) -> Next:
    """Nothing was made: try anew, else the fallback, else fail."""
    operation, step = run.operation, run.operation.steps[index]
    if operation.cancel_requested:
        return advancing.failed(run, index, now)
    at = _retry_time(run, index, answer, now, jitter)
    chain_step = chain_step_of(run, index)
    if at is None:
        has_fallback = chain_step is not None and chain_step.HasField("fallback") and not step.unsettled
        if chain_step is None or not _may_fall_back(run, has_fallback):
            return advancing.failed(run, index, now)
        step.fallback = True
        step.engine, step.version = chain_step.fallback.engine, chain_step.fallback.version
        journaling.step_ended(operation, step, now)
        anew(run, index)
        step.attempt = 1
        step.ClearField("intent")
        return advancing.advance(run, now)
    step.retry_time.CopyFrom(stamp(at))
    journaling.step_ended(operation, step, now)
    anew(run, index)
    return advancing.advance(run, now)


def _may_fall_back(run: Run, has_fallback: bool) -> bool:  # noqa: FBT001 - it is a fact, not an option
    """A fallback engine cannot change what another engine made, nor apply its plan."""
    provision = run.operation.verb == operation_pb2.VERB_PROVISION
    return has_fallback and provision and not run.operation.plan_digests


def _retry_time(
    run: Run, index: int, answer: engine_pb2.StepResult, now: datetime, jitter: float
) -> datetime | None:
    """When to try anew; None where it is no use, or the deadline does not leave the time."""
    step = run.operation.steps[index]
    retry = _retry_of(run, index)
    if not answer.retryable or step.attempt >= deadlines.attempts_max(retry):
        return None
    asked = length(answer.retry_after) if answer.HasField("retry_after") else timedelta()
    at: datetime = now + max(deadlines.retry_backoff(retry, step.attempt, jitter), asked)
    return at if at < run.operation.deadline.ToDatetime(tzinfo=now.tzinfo) else None


def _retry_of(run: Run, index: int) -> workload_pb2.Retry:
    chain_step = chain_step_of(run, index)
    return chain_step.retry if chain_step is not None else workload_pb2.Retry()


def anew(run: Run, index: int) -> None:
    """Make a step ready for an attempt with the next generation. The scope stays where it is bound."""
    step = run.operation.steps[index]
    bound = step.HasField("prior") or step.unsettled or step_name(step) in run.operation.plan_digests
    scope = step.intent.scope if bound or is_destroying(run.operation) else ""
    step.generation = newest_generation(run.operation) + 1
    step.attempt += 1
    step.ClearField("intent")
    step.intent.scope = scope
    if is_undoing(run.operation):
        step.intent.verb = operation_pb2.VERB_DEPROVISION
        step.state = StepRun.STATE_COMPENSATING
        return
    step.state = StepRun.STATE_PENDING
    if not is_destroying(run.operation):
        step.ClearField("handle")
        step.outputs.clear()


def _destroyed(run: Run, index: int, answer: engine_pb2.StepResult, now: datetime, jitter: float) -> Next:
    """Absent is success; nothing else is taken for it."""
    operation, step = run.operation, run.operation.steps[index]
    undoing = is_undoing(operation)
    if answer.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED:
        step.state = StepRun.STATE_COMPENSATED if undoing else StepRun.STATE_DONE
        journaling.step_ended(operation, step, now, outcome=answer.outcome)
        return advancing.advance(run, now)
    at = None
    # Destroying twice makes nothing twice, so that here a partial failure may be tried anew too.
    failed = {diagnostic_pb2.OUTCOME_FAILED_CLEAN, diagnostic_pb2.OUTCOME_FAILED_PARTIAL}
    if answer.outcome in failed and not operation.cancel_requested:
        at = _retry_time(run, index, answer, now, jitter)
    if at is not None:
        step.retry_time.CopyFrom(stamp(at))
        journaling.step_ended(operation, step, now)
        anew(run, index)
        return advancing.advance(run, now)
    if undoing:
        journaling.step_ended(operation, step, now)
        return advancing.hold(run, now, f"undoing {step_name(step)} failed")
    return advancing.failed(run, index, now)


def absent(run: Run, index: int, reason: str, now: datetime, jitter: float) -> Next:
    """It is proven that nothing of the step is there."""
    if is_destroying(run.operation):
        gone = engine_pb2.StepResult(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED)
        return result(run, index, gone, now, jitter)
    step = run.operation.steps[index]
    told = finding("PROVEN_ABSENT", reason, step=step_name(step), engine=step.engine)
    clean = engine_pb2.StepResult(
        outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN, retryable=True, diagnostics=[told]
    )
    return result(run, index, clean, now, jitter)


def ask_again(run: Run, index: int, now: datetime, jitter: float) -> Next:
    """Nobody can say how the step stands: ask again with the same key, until the deadline."""
    step = run.operation.steps[index]
    if run.stopping and now >= deadline_of(run, index):
        return advancing.give_up(run, index, now)
    asks = run.asks + 1
    until = now + deadlines.ask_backoff(asks, jitter)
    step.retry_time.CopyFrom(stamp(until))
    return replace(run, asks=asks), (Wait(until, "asks again"),)
