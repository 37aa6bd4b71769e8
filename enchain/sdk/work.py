"""One piece of work in this instance: from the lock to the recorded result, detached from every stream.

`enchain.sdk.steps` makes a `Work` for each key that it begins or takes up again and owns its task. Only one
task in all instances of a scope does a piece of work at a time: it holds the task lock. Whatever the engine
does, a work ends in exactly one result, and what the ledger has recorded as the result is it.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from opentelemetry import metrics, trace

from enchain.chains.errors import EnchainError, UnavailableError
from enchain.engine.v1 import engine_pb2
from enchain.process.logs import get_logger
from enchain.sdk import ledger as rules
from enchain.sdk import results
from enchain.sdk.answers import result_of_error, result_of_outputs
from enchain.sdk.calls import Call
from enchain.sdk.context import Prepared, StepContext
from enchain.sdk.events import EventLog
from enchain.sdk.ledger import Entry, Ledger, Standing
from enchain.sdk.ledger_file import LedgerFile
from enchain.sdk.port import (
    CancelledStepError,
    Engine,
    Finding,
    StepFailedError,
    ToolExit,
)
from enchain.sdk.results import Speaker
from enchain.sdk.runs import Limits, Run, Runs, ToolLostError, any_begun, stop_all
from enchain.sdk.schemas import handle_schema_of
from enchain.sdk.scope import FileLock, WorkPaths, is_held
from enchain.sdk.workshop import Workshop
from enchain.v1 import diagnostic_pb2

LOCK_POLL_SECONDS = 0.05
LETTING_GO_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
"""How long after the deadline a work still waits: for another's lock, or for an engine to give up."""

_log = get_logger("enchain.sdk.work")
_lines_dropped = metrics.get_meter("enchain.sdk").create_counter(
    "enchain.steps.log_lines_dropped", description="Lines of tools left out because there were too many"
)
_tracer = trace.get_tracer("enchain.sdk")


@dataclass(frozen=True, slots=True)
class Task:
    """What a work has to do.

    Attributes:
        call: What was asked for.
        prepared: What the engine is given; None where it is still to be prepared.
        prepare: Prepares it.
        prior: The handle of what an earlier generation made.
        destroys: `Engine.destroy` instead of `Engine.apply`.
        takeovers: How often the key was taken up before this work.
        resumed: The key was begun before, by a task that is gone or lives elsewhere.
        superseded: Keys whose tools have to end first.
    """

    call: Call
    prepared: Prepared | None
    prepare: Callable[[], Awaitable[Prepared]]
    prior: diagnostic_pb2.Handle | None
    plan_digest: str
    destroys: bool
    takeovers: int = 0
    resumed: bool = False
    superseded: tuple[str, ...] = ()


class Work:
    """A key that is being done. `perform` is run once, as a task.

    Attributes:
        settled: It has ended in a result that the ledger has recorded.
    """

    def __init__(self, workshop: Workshop, task: Task) -> None:
        self._workshop = workshop
        self._task = task
        self.call = task.call
        self._paths: WorkPaths = workshop.scope.work(task.call.work)
        self._ledger = LedgerFile(self._paths, task.call.work.text)
        self._context: StepContext | None = None
        self._engine_task: asyncio.Task[object] | None = None
        self._cancel_reason: str | None = None
        self.settled = False
        self.speaker = Speaker(task.call.work.step, workshop.engine.name, workshop.engine.tool)
        self.events = EventLog(workshop.clock.now, task.takeovers)
        accepted = engine_pb2.StepAccepted(instance=workshop.instance, reattached=task.resumed)
        self.events.publish(engine_pb2.StepEvent(accepted=accepted))

    def cancel(self, reason: str) -> None:
        """Stop the tools, or the engine where no tool runs. The result says what came of it."""
        self._cancel_reason = reason
        told = self._context is not None and self._context.cancel()
        if not told and self._engine_task is not None:
            self._engine_task.cancel()

    async def perform(self) -> None:
        """Do the work, record its result, and end the streams with it."""
        name = f"heartbeat of {self.call.work.text}"
        heart = asyncio.create_task(self._beat(), name=name)
        try:
            with _tracer.start_as_current_span("step", attributes=self._attributes()) as span:
                result = await self._result()
                span.set_attribute("enchain.outcome", diagnostic_pb2.Outcome.Name(result.outcome))
        except asyncio.CancelledError:
            self.events.break_off(
                UnavailableError(
                    "the instance stops; the work can be joined again", reason="INSTANCE_STOPPING"
                )
            )
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the streams must end in a result
            _log.error("work failed", error_type=type(error).__name__, work_id=self.call.work.text)
            result = results.unknown(self.speaker, f"the instance failed: {_said(error)}", "INSTANCE_FAILED")
        finally:
            heart.cancel()
        self.settled = result.outcome != diagnostic_pb2.OUTCOME_UNKNOWN
        self.events.end(engine_pb2.StepEvent(result=result))

    def _attributes(self) -> dict[str, str]:
        return {
            "enchain.work_id": self.call.work.text,
            "enchain.key": self.call.key.text,
            "enchain.operation": self.call.operation,
            "enchain.engine": self._workshop.engine.name,
            "enchain.instance": self._workshop.instance,
        }

    async def _beat(self) -> None:
        while True:
            await self._workshop.clock.sleep(self._workshop.heartbeat_seconds)
            self.events.publish(engine_pb2.StepEvent(heartbeat=engine_pb2.Heartbeat()))
            self._workshop.reaper.reap()

    async def _result(self) -> engine_pb2.StepResult:
        lock = FileLock(self._paths.task_lock)
        if not await self._take(lock):
            return results.unknown(self.speaker, "another instance holds the work", "WORK_RUNNING")
        try:
            ledger = await asyncio.to_thread(self._ledger.read)
            entry = ledger.entries.get(self.call.key.text)
            if entry is None:
                return results.unknown(self.speaker, "the ledger does not know the work", "LEDGER_LOST")
            if entry.standing is Standing.FINISHED:
                return results.result_of(entry.result or {})
            return await self._do(entry)
        finally:
            lock.release()

    async def _take(self, lock: FileLock) -> bool:
        """Take the task lock; while another instance holds it, it does the work and we follow."""
        while not lock.try_acquire():
            if self._seconds_left() < -PATIENCE_SECONDS:
                return False
            await self._workshop.clock.sleep(LOCK_POLL_SECONDS)
        return True

    def _seconds_left(self) -> float:
        assert self.call.deadline is not None
        return (self.call.deadline - self._workshop.clock.now()).total_seconds()

    async def _do(self, entry: Entry) -> engine_pb2.StepResult:
        if self._task.resumed:
            if not self._resumable(entry):
                return results.unknown(
                    self.speaker, "it was interrupted, and nobody knows how far it came", "INTERRUPTED"
                )
            await self._change(lambda book: rules.taken_over(book, self.call.key, self._workshop.instance))
        elif await self._quiet(self._task.superseded):
            await self._clear()
        else:
            return results.unknown(self.speaker, "an earlier tool cannot be stopped", "TOOL_STUCK")
        if entry.cancelled and not any_begun(self._paths.runs, self.call.key.text):
            return await self._finish(results.cancelled(self.speaker, ""), None)
        try:
            prepared = self._task.prepared or await self._task.prepare()
        except EnchainError as error:
            return results.unknown(self.speaker, error.message, error.reason)
        context = self._context = self._make_context(prepared, entry)
        if self._cancel_reason is not None or entry.cancelled:
            context.cancel()
        return await self._finish(await self._ask_engine(context, prepared), context)

    def _resumable(self, entry: Entry) -> bool:
        """Say whether calling the engine again can do no harm.

        Destroying twice is harmless by contract. Runs are joined. And without a handle nothing was made, nor
        without a run where the engine makes nothing by itself.
        """
        engine = self._workshop.engine
        return (
            self._task.destroys
            or engine.repeatable
            or engine.only_runs
            or entry.handle is None
            or any_begun(self._paths.runs, self.call.key.text)
        )

    async def _quiet(self, keys: Sequence[str]) -> bool:
        """Stop the tools of some keys, and wait until no tool lives; False where one cannot be stopped."""
        patience = self._workshop.grace_seconds + PATIENCE_SECONDS
        until = self._workshop.clock.monotonic() + patience
        while is_held(self._paths.tool_lock):
            if self._workshop.clock.monotonic() > until:
                return False
            stop_all(self._paths.runs, keys)
            await self._workshop.clock.sleep(LOCK_POLL_SECONDS)
        return True

    async def _clear(self) -> None:
        """Delete what earlier keys left of their runs."""
        for old in list(self._paths.runs.glob("*")):
            if old.name != self.call.key.text:
                await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)

    def _make_context(self, prepared: Prepared, entry: Entry) -> StepContext:
        assert self.call.deadline is not None
        context = StepContext(
            self.call,
            prepared=prepared,
            prior=self._task.prior,
            plan_digest=self._task.plan_digest,
            deadline=self.call.deadline,
            paths=self._paths,
            secrets=self._workshop.secrets,
            events=self.events,
            speaker=self.speaker,
            handle_schema=handle_schema_of(self._workshop.engine),
            clock=self._workshop.clock,
            make_runs=self._make_runs,
            record=self._record,
        )
        if entry.handle is not None:
            context.recorded, context.begun = results.handle_of(entry.handle), True
            self.events.publish(engine_pb2.StepEvent(handle=context.recorded))
        return context

    def _make_runs(self, ended: Callable[[Run, ToolExit], None]) -> Runs:
        return Runs(
            self._paths.runs / self.call.key.text,
            self._paths.tool_lock,
            clock=self._workshop.clock,
            limits=Limits(self.call.deadline, self._workshop.grace_seconds),
            reaper=self._workshop.reaper,
            fault=self._fault_of_run,
            ended=ended,
            repeatable=self._task.destroys or self._workshop.engine.repeatable,
        )

    def _fault_of_run(self) -> Exception | None:
        """Read the ledger, under the tool lock: may this key still begin a tool?"""
        ledger = self._ledger.read()
        entry = ledger.entries.get(self.call.key.text)
        if entry is not None and entry.cancelled:
            return CancelledStepError()
        return rules.fault_of_run(ledger, self.call.key, self._workshop.clock.now())

    async def _record(self, handle: diagnostic_pb2.Handle) -> None:
        record = results.to_record(handle)

        def transition(book: Ledger) -> Ledger:
            if fault := rules.fault_of_run(book, self.call.key, self._workshop.clock.now()):
                raise fault
            return rules.with_handle(book, self.call.key, record)

        await self._change(transition)

    async def _change(self, transition: Callable[[Ledger], Ledger]) -> Ledger:
        return await asyncio.to_thread(self._ledger.change, transition)

    async def _ask_engine(self, context: StepContext, prepared: Prepared) -> engine_pb2.StepResult:
        """Call the engine and turn whatever it answers or raises into a result."""
        try:
            outputs = await self._call_engine(context)
            await context.settle(stop=False)
            if context.was_stopped:
                return results.cancelled(self.speaker, self._cancel_reason or "")
            return await result_of_outputs(
                outputs, prepared.schema, context, self.speaker, destroys=self._task.destroys
            )
        except asyncio.CancelledError:
            if self._cancel_reason is None:
                raise
            result = results.cancelled(self.speaker, self._cancel_reason)
        except Exception as error:  # noqa: BLE001 - an engine is a stranger's code
            result = result_of_error(
                error,
                context,
                self.speaker,
                destroys=self._task.destroys,
                cancel_reason=self._cancel_reason or "",
            )
        with contextlib.suppress(ToolLostError):
            await context.settle(stop=True)
        if not await self._quiet([self.call.key.text]):
            return results.unknown(self.speaker, "a tool cannot be stopped", "TOOL_STUCK")
        return result

    async def _call_engine(self, context: StepContext) -> object:
        engine = self._workshop.engine
        name = f"engine at {self.call.work.text}"
        self._engine_task = task = asyncio.create_task(
            _called(engine, context, self._task.destroys), name=name
        )
        patience = max(self._seconds_left(), 0) + self._workshop.grace_seconds + PATIENCE_SECONDS
        try:
            done, _ = await asyncio.wait({task}, timeout=patience)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=LETTING_GO_SECONDS)
            raise
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
            raise StepFailedError(Finding("the deadline passed", code="DEADLINE_EXCEEDED"))
        return task.result()

    async def _finish(
        self, result: engine_pb2.StepResult, context: StepContext | None
    ) -> engine_pb2.StepResult:
        """Record the result, unless nobody knows it or another one is recorded already."""
        if context is not None:
            _lines_dropped.add(context.flush())
            results.complete(result, handle=context.recorded, usage=context.usage, reported=context.reported)
        if result.outcome == diagnostic_pb2.OUTCOME_UNKNOWN:
            return result
        record = results.to_record(result)
        ledger = await self._change(lambda book: rules.finished(book, self.call.key, record))
        recorded = ledger.entries[self.call.key.text].result or {}
        if recorded != record:
            return results.result_of(recorded)
        if self._task.destroys and result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED:
            await self._sweep()
        return result

    async def _sweep(self) -> None:
        """Delete what is of no use once everything is destroyed. The ledger stays, as a tombstone."""
        for directory in (self._paths.files, self._paths.runs):
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        await self._workshop.secrets.forget(f"{self.call.work.text}/", tenant=self.call.work.tenant)


async def _called(engine: Engine, context: StepContext, destroys: bool) -> object:  # noqa: FBT001 - private
    if destroys:
        await engine.destroy(context)
        return {}
    return await engine.apply(context)


def _said(error: Exception) -> str:
    return error.message if isinstance(error, EnchainError) else type(error).__name__
