"""Plan and Observe: an engine looks, nothing is recorded, and nothing outlives the caller.

The step runner calls it. A look holds the task lock, so that it never meets work; tools that it starts are
stopped when the caller goes away.
"""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from enchain.chains.errors import ConflictError, EnchainError, OurError
from enchain.chains.values import to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock
from enchain.sdk import budgets
from enchain.sdk.calls import Call, Token
from enchain.sdk.context import Prepared, StepContext
from enchain.sdk.events import EventLog
from enchain.sdk.port import CancelledStepError, Finding, Observation, PlannedStep, StepFailedError, ToolExit
from enchain.sdk.results import Speaker
from enchain.sdk.runs import Limits, Run, Runs, ToolLostError
from enchain.sdk.schemas import handle_schema_of
from enchain.sdk.scope import FileLock, is_held
from enchain.sdk.workshop import Workshop
from enchain.v1 import diagnostic_pb2, provisioning_pb2

TIME_MAX = timedelta(minutes=10)
"""For a look without a deadline."""

BUSY_RETRY_SECONDS = 1.0
CHANGES_MAX = 200

T = TypeVar("T")


async def plan(
    workshop: Workshop, call: Call, prepared: Prepared, prior: diagnostic_pb2.Handle | None
) -> AsyncIterator[engine_pb2.StepEvent]:
    """Let the engine plan; the last event is the plan."""
    events = EventLog(workshop.clock.now)
    accepted = engine_pb2.StepAccepted(instance=workshop.instance)
    events.publish(engine_pb2.StepEvent(accepted=accepted))
    task = asyncio.create_task(
        _planned(workshop, call, prepared, prior, events), name=f"plan of {call.work.text}"
    )
    heart = asyncio.create_task(_beat(workshop, events), name=f"heartbeat of the plan of {call.work.text}")
    task.add_done_callback(lambda done: _end(events, done))
    try:
        async for event in events.stream(Token()).events():
            yield event
    finally:
        heart.cancel()
        task.cancel()
        await asyncio.gather(task, heart, return_exceptions=True)


def _end(events: EventLog, done: "asyncio.Task[engine_pb2.PlanResult]") -> None:
    if done.cancelled():
        events.end(None)
    elif isinstance(error := done.exception(), EnchainError):
        events.break_off(error)
    elif error is not None:
        events.break_off(OurError(f"planning failed with {type(error).__name__}", reason="ENGINE_CRASHED"))
    else:
        events.end(engine_pb2.StepEvent(plan=done.result()))


async def _beat(workshop: Workshop, events: EventLog) -> None:
    while True:
        await workshop.clock.sleep(workshop.heartbeat_seconds)
        events.publish(engine_pb2.StepEvent(heartbeat=engine_pb2.Heartbeat()))


async def _planned(
    workshop: Workshop,
    call: Call,
    prepared: Prepared,
    prior: diagnostic_pb2.Handle | None,
    events: EventLog,
) -> engine_pb2.PlanResult:
    async with _context(workshop, call, prepared, prior, events) as context:
        result = engine_pb2.PlanResult()
        try:
            planned = await _in_time(workshop, context, workshop.engine.plan(context))
            result.plan.CopyFrom(_plan_message(workshop, call, planned, context))
        except (StepFailedError, CancelledStepError, ToolLostError) as error:
            result.diagnostics.extend(_diagnostics(context, error))
        result.diagnostics.extend(context.reported)
        kept = budgets.fitting(list(result.diagnostics))
        del result.diagnostics[:]
        result.diagnostics.extend(kept)
        return result


async def _in_time(workshop: Workshop, context: StepContext, look: Awaitable[T]) -> T:
    """Await an engine until the deadline of its look."""
    left = (context.deadline - workshop.clock.now()).total_seconds()
    try:
        async with asyncio.timeout(left + workshop.grace_seconds):
            return await look
    except TimeoutError as error:
        finding = Finding("the deadline passed", code="DEADLINE_EXCEEDED")
        raise StepFailedError(finding, left_behind=False) from error


def _plan_message(
    workshop: Workshop, call: Call, planned: PlannedStep, context: StepContext
) -> provisioning_pb2.StepPlan:
    if context.seen.tells(dict(planned.outputs)):
        raise OurError("the plan's outputs hold a secret in plain sight", reason="SECRET_IN_OUTPUTS")
    for change in planned.changes:
        change.detail = context.seen.scrub(change.detail)
    return provisioning_pb2.StepPlan(
        step=call.steps[0],
        engine=workshop.engine.name,
        outcome=provisioning_pb2.StepPlan.OUTCOME_PLANNED,
        changes=list(planned.changes)[:CHANGES_MAX],
        outputs=to_value_map(planned.outputs, field="outputs"),
        digest=planned.digest,
        summary=budgets.cut(context.seen.scrub(planned.summary), budgets.LINE_CHARS_MAX),
    )


async def observe(
    workshop: Workshop, call: Call, handle: diagnostic_pb2.Handle | None
) -> engine_pb2.ObserveResponse:
    """Let the engine look at what stands. What it cannot find out is unknown, with a diagnostic."""
    events = EventLog(workshop.clock.now)  # nobody reads them; the diagnostics are in the answer
    async with _context(workshop, call, Prepared(), handle, events) as context:
        try:
            return _observed(await _in_time(workshop, context, workshop.engine.observe(context)), context)
        except (StepFailedError, CancelledStepError, ToolLostError) as error:
            return engine_pb2.ObserveResponse(
                presence=engine_pb2.ObserveResponse.PRESENCE_UNKNOWN,
                diagnostics=budgets.fitting([*_diagnostics(context, error), *context.reported]),
            )


def _observed(seen: Observation, context: StepContext) -> engine_pb2.ObserveResponse:
    presence = {
        True: engine_pb2.ObserveResponse.PRESENCE_PRESENT,
        False: engine_pb2.ObserveResponse.PRESENCE_ABSENT,
        None: engine_pb2.ObserveResponse.PRESENCE_UNKNOWN,
    }[seen.present]
    if context.seen.tells(dict(seen.outputs)):
        raise OurError("the outputs hold a secret in plain sight", reason="SECRET_IN_OUTPUTS")
    return engine_pb2.ObserveResponse(
        presence=presence,
        drift=list(seen.drift)[:CHANGES_MAX],
        outputs=to_value_map(seen.outputs, field="outputs"),
        diagnostics=context.reported,
    )


def _diagnostics(context: StepContext, error: Exception) -> list[diagnostic_pb2.Diagnostic]:
    if isinstance(error, StepFailedError):
        return [context.speak(finding) for finding in error.findings]
    code = "CANCELLED" if isinstance(error, CancelledStepError) else "TOOL_LOST"
    return [context.speak(Finding("the look was broken off", code=code))]


@contextlib.asynccontextmanager
async def _context(
    workshop: Workshop,
    call: Call,
    prepared: Prepared,
    prior: diagnostic_pb2.Handle | None,
    events: EventLog,
) -> AsyncIterator[StepContext]:
    """Hold the task lock and hand out a context whose tools end with it."""
    paths = workshop.scope.work(call.work)
    lock = FileLock(paths.task_lock)
    if is_held(paths.tool_lock) or not lock.try_acquire():
        raise ConflictError(
            f"{call.work.text} is being worked on",
            reason="WORK_RUNNING",
            metadata={"work_id": call.work.text},
            retry_after=BUSY_RETRY_SECONDS,
        )
    directory = paths.runs / f"look-{secrets.token_hex(8)}"
    deadline = _deadline(call, workshop.clock)

    def make_runs(ended: Callable[[Run, ToolExit], None]) -> Runs:
        return Runs(
            directory,
            paths.tool_lock,
            clock=workshop.clock,
            limits=Limits(deadline, workshop.grace_seconds),
            reaper=workshop.reaper,
            fault=lambda: None,
            ended=ended,
            repeatable=True,
        )

    context = StepContext(
        call,
        prepared=prepared,
        prior=prior,
        plan_digest="",
        deadline=deadline,
        paths=paths,
        secrets=workshop.secrets,
        events=events,
        speaker=Speaker(call.work.step, workshop.engine.name, workshop.engine.tool),
        handle_schema=handle_schema_of(workshop.engine),
        clock=workshop.clock,
        make_runs=make_runs,
        record=None,
    )
    try:
        yield context
    finally:
        context.cancel()
        with contextlib.suppress(ToolLostError):
            await context.settle(stop=True)
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        lock.release()


def _deadline(call: Call, clock: Clock) -> datetime:
    return call.deadline or clock.now() + TIME_MAX
