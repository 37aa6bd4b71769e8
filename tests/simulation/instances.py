"""Engine instances of a simulation: the engine protocol over a shared scope.

The rules are the real ones (`enchain.sdk.ledger`), and so are event logs, calls and results; only files,
locks and processes are simulated. An instance is a process: it may freeze or die in the middle of anything.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from enchain.chains.errors import (
    ConflictError,
    EnchainError,
    ExhaustedError,
    InvalidArgumentError,
    UnavailableError,
)
from enchain.chains.values import to_python_map, to_value_map
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.sdk import ledger as rules
from enchain.sdk import results
from enchain.sdk.calls import Call, fingerprint, parse_call
from enchain.sdk.events import EventLog, Stream
from enchain.sdk.ledger import Ask, Decision, Entry, Method, Standing, Verdict
from enchain.sdk.port import CancelledStepError
from enchain.sdk.results import Speaker
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1 import engine_pb2 as registry_pb2
from tests.simulation.loop import Process, ProcessClock
from tests.simulation.scopes import Exit, Job, Run, Scope
from tests.simulation.witness import Thing

HEARTBEAT_SECONDS = 3.0
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 30.0

BAD = "bad"
"""An input that the engine refuses."""

_VERBS = frozenset({operation_pb2.VERB_PROVISION, operation_pb2.VERB_UPDATE, operation_pb2.VERB_DEPROVISION})
Request = engine_pb2.ApplyRequest | engine_pb2.DestroyRequest
Result = engine_pb2.StepResult


class Instance(engine_pb2_grpc.ProvisioningEngineServicer):
    """One instance, served by its process."""

    def __init__(
        self, process: Process, clock: ProcessClock, scope: Scope, message: registry_pb2.EngineInstance
    ) -> None:
        self.process = process
        self.clock = clock
        self.scope = scope
        self.message = message
        self.speaker = Speaker("step", message.engine, "simulated")
        self._living: dict[tuple[str, str], Work] = {}

    async def Handshake(self, request: Any, context: Any) -> engine_pb2.HandshakeResponse:  # noqa: N802 - gRPC's name
        """Say who this is."""
        del request, context
        response = engine_pb2.HandshakeResponse(instance=self.message)
        response.heartbeat_interval.FromMilliseconds(round(HEARTBEAT_SECONDS * 1000))
        return response

    async def Apply(self, request: Any, context: Any) -> AsyncIterator[engine_pb2.StepEvent]:  # noqa: N802 - gRPC's name
        """Begin or join."""
        del context
        async for event in self._admit(Method.APPLY, request).events():
            yield event

    async def Destroy(self, request: Any, context: Any) -> AsyncIterator[engine_pb2.StepEvent]:  # noqa: N802 - gRPC's name
        """Begin or join."""
        del context
        async for event in self._admit(Method.DESTROY, request).events():
            yield event

    async def GetStep(self, request: Any, context: Any) -> engine_pb2.GetStepResponse:  # noqa: N802 - gRPC's name
        """Say how a key stands, and record the token."""
        del context
        call = parse_call(request.call, _VERBS)
        entry = self._ask(call, Method.GET).entry
        response = engine_pb2.GetStepResponse(state=engine_pb2.GetStepResponse.STATE_ABSENT)
        if entry is None:
            return response
        response.state = self._state_of(call, entry)
        if entry.result is not None and entry.standing is Standing.FINISHED:
            response.result.CopyFrom(results.result_of(entry.result))
        if entry.handle is not None:
            response.handle.CopyFrom(results.handle_of(entry.handle))
        return response

    def _state_of(self, call: Call, entry: Entry) -> engine_pb2.GetStepResponse.State.ValueType:
        states = engine_pb2.GetStepResponse
        if entry.standing is Standing.FINISHED:
            return states.STATE_FINISHED
        alive = (call.work.text, call.key.text) in self._living or self.scope.is_busy(call.work.text)
        return states.STATE_RUNNING if alive else states.STATE_INTERRUPTED

    async def CancelStep(self, request: Any, context: Any) -> engine_pb2.CancelStepResponse:  # noqa: N802 - gRPC's name
        """Ask work to stop, and record the token."""
        del context
        call = parse_call(request.call, _VERBS)
        decision = self._ask(call, Method.CANCEL)
        if decision.verdict is not Verdict.SIGNAL:
            return engine_pb2.CancelStepResponse(signalled=False)
        living = self._living.get((call.work.text, call.key.text))
        if living is not None:
            living.cancelled = True
        stopped = self.scope.stop(call.work.text, (call.key.text,))
        return engine_pb2.CancelStepResponse(signalled=stopped or living is not None)

    async def Observe(self, request: Any, context: Any) -> engine_pb2.ObserveResponse:  # noqa: N802 - gRPC's name
        """Look."""
        del context
        call = parse_call(request.call, _VERBS)
        if self.scope.is_busy(call.work.text):
            raise ConflictError("it is being worked on", reason="WORK_RUNNING", retry_after=1.0)
        answers = engine_pb2.ObserveResponse
        stands = self.scope.stands(call.work.text)
        return engine_pb2.ObserveResponse(
            presence=answers.PRESENCE_PRESENT if stands else answers.PRESENCE_ABSENT
        )

    # --- admission

    def _admit(self, method: Method, request: Request) -> Stream:
        """Decide by the ledger; begin, join, take up or replay."""
        call = parse_call(request.call, _VERBS)
        known = self.scope.book(call.work.text).ledger.entries.get(call.key.text)
        if (known is None or known.standing is Standing.STARTED) and len(
            self._living
        ) >= self.message.capacity:
            raise ExhaustedError("it does enough at once", reason="INSTANCE_BUSY", retry_after=1.0)
        if known is None and isinstance(request, engine_pb2.ApplyRequest):
            _check(request)
        decision = self._ask(call, method, fingerprint(request))
        entry = decision.entry
        assert entry is not None
        here = (call.work.text, call.key.text)
        joined = decision.verdict is not Verdict.BEGIN
        living = self._living.get(here)
        if joined and living is not None:
            return living.events.stream(call.token, joined=True)
        if joined and entry.standing is Standing.FINISHED:
            return self._replay(entry).stream(call.token, joined=True)
        for key in decision.superseded:
            if (work := self._living.get((call.work.text, key))) is not None:
                work.cancelled = True
        work = Work(self, call, request, entry, resumed=joined, superseded=decision.superseded)
        self._living[here] = work
        task = self.process.start(f"{call.key.text} of {call.work.text}", work.perform())
        task.add_done_callback(lambda _: self._living.pop(here, None))
        return work.events.stream(call.token, joined=joined)

    def _replay(self, entry: Entry) -> EventLog:
        """Make the events of a finished key from the ledger."""
        events = EventLog(self.clock.now, entry.takeovers + 1)
        accepted = engine_pb2.StepAccepted(instance=self.process.name, reattached=True)
        events.publish(engine_pb2.StepEvent(accepted=accepted))
        if entry.handle is not None:
            events.publish(engine_pb2.StepEvent(handle=results.handle_of(entry.handle)))
        events.end(engine_pb2.StepEvent(result=results.result_of(entry.result or {})))
        return events

    def _ask(self, call: Call, method: Method, mark: str = "") -> Decision:
        ask = Ask(
            method=method,
            key=call.key,
            token=call.token,
            now=self.clock.now(),
            deadline=call.deadline,
            fingerprint=mark,
            instance=self.process.name,
            cancelled=results.to_record(results.cancelled(self.speaker, "cancelled before it was begun")),
        )
        decision = self.scope.ask(call.work.text, ask)
        if decision.ledger is not None:
            stale = rules.stale_token(decision.ledger, call.token)
            for (work_id, _), work in self._living.items():
                if work_id == call.work.text:
                    work.events.displace(call.token, stale)
        return decision


def _check(request: engine_pb2.ApplyRequest) -> None:
    if to_python_map(request.inputs).get("value") == BAD:
        raise InvalidArgumentError("that is no value", reason="BAD_VALUE")


class Work:
    """One key that an instance does: from the task lock to the recorded result, whatever the streams."""

    def __init__(
        self,
        instance: Instance,
        call: Call,
        request: Request,
        entry: Entry,
        *,
        resumed: bool,
        superseded: Sequence[str],
    ) -> None:
        self._instance = instance
        self._scope = instance.scope
        self._call = call
        self._request = request
        self._resumed = resumed
        self._superseded = tuple(superseded)
        self.cancelled = False
        self._handed = entry.handle is not None
        self.events = EventLog(instance.clock.now, entry.takeovers + 1 if resumed else 0)
        accepted = engine_pb2.StepAccepted(instance=instance.process.name, reattached=resumed)
        self.events.publish(engine_pb2.StepEvent(accepted=accepted))

    @property
    def _work_id(self) -> str:
        return self._call.work.text

    async def perform(self) -> None:
        """Do it, and end the streams with the result."""
        heart = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            result = await self._result()
        except asyncio.CancelledError:
            self.events.break_off(UnavailableError("the instance stops", reason="INSTANCE_STOPPING"))
            raise
        finally:
            heart.cancel()
        self.events.end(engine_pb2.StepEvent(result=result))

    async def _beat(self) -> None:
        while True:
            await self._instance.clock.sleep(HEARTBEAT_SECONDS)
            self.events.publish(engine_pb2.StepEvent(heartbeat=engine_pb2.Heartbeat()))

    async def _changed(self) -> None:
        """Wait until something happened to the work, or for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._scope.book(self._work_id).changed.wait()

    def _seconds_left(self) -> float:
        deadline: datetime | None = self._call.deadline
        assert deadline is not None
        return (deadline - self._instance.clock.now()).total_seconds()

    async def _result(self) -> Result:
        process = self._instance.process
        while not self._scope.take(self._work_id, process):
            if self._seconds_left() < -PATIENCE_SECONDS:
                return self._unknown("another instance holds the work", "WORK_RUNNING")
            await self._changed()
        try:
            entry = self._scope.book(self._work_id).ledger.entries.get(self._call.key.text)
            if entry is None:
                return self._unknown("the ledger does not know the work", "LEDGER_LOST")
            if entry.standing is Standing.FINISHED:
                return results.result_of(entry.result or {})
            return await self._do(entry)
        finally:
            self._scope.leave(self._work_id, process)

    @property
    def _destroys(self) -> bool:
        return isinstance(self._request, engine_pb2.DestroyRequest)

    async def _do(self, entry: Entry) -> Result:
        begun = self._scope.any_begun(self._work_id, self._call.key.text)
        if self._resumed:
            if not (self._destroys or entry.handle is None or begun):
                return self._unknown("nobody knows how far it came", "INTERRUPTED")
            self._change(lambda book: rules.taken_over(book, self._call.key, self._instance.process.name))
        elif not await self._quiet():
            return self._unknown("an earlier tool cannot be stopped", "TOOL_STUCK")
        if (entry.cancelled or self.cancelled) and not begun:
            return self._finish(results.cancelled(self._instance.speaker, ""))
        try:
            handle = None if self._destroys else self._recorded(entry)
            await self._instance.clock.sleep(0.002)
            run = await self._begin()
        except CancelledStepError:
            return self._finish(results.cancelled(self._instance.speaker, ""))
        except EnchainError as error:
            return self._refused(error, begun=self._handed)
        while run.exit is None:
            await self._changed()
        return self._ended(run, handle)

    async def _quiet(self) -> bool:
        """Stop the tools of keys that were superseded, and wait until none lives."""
        until = self._instance.clock.monotonic() + PATIENCE_SECONDS
        while self._scope.book(self._work_id).tool is not None:
            if self._instance.clock.monotonic() > until:
                return False
            self._scope.stop(self._work_id, self._superseded)
            await self._changed()
        return True

    def _recorded(self, entry: Entry) -> diagnostic_pb2.Handle:
        """Record and tell where what is made will be found."""
        handle = diagnostic_pb2.Handle(schema=f"{self._instance.message.engine}/1")
        handle.data["at"].string_value = self._scope.name
        if entry.handle is None:
            self._change(self._with_handle(results.to_record(handle)))
            self._handed = True
        self.events.publish(engine_pb2.StepEvent(handle=handle))
        return handle

    def _with_handle(self, record: Any) -> Callable[[rules.Ledger], rules.Ledger]:
        def transition(book: rules.Ledger) -> rules.Ledger:
            if fault := rules.fault_of_run(book, self._call.key, self._instance.clock.now()):
                raise fault
            return rules.with_handle(book, self._call.key, record)

        return transition

    async def _begin(self) -> Run:
        while True:
            run = self._scope.run(self._job(), self._fault)
            if run is not None:
                return run
            await self._changed()

    def _job(self) -> Job:
        value, over = "", False
        if isinstance(self._request, engine_pb2.ApplyRequest):
            value = str(to_python_map(self._request.inputs).get("value"))
            over = self._request.HasField("prior") or self._call.key.verb == operation_pb2.VERB_UPDATE
        return Job(self._work_id, self._call.key, Thing(self._call.key.generation, value), over)

    def _fault(self) -> Exception | None:
        """May this key still begin a tool?"""
        book = self._scope.book(self._work_id).ledger
        entry = book.entries.get(self._call.key.text)
        if self.cancelled or (entry is not None and entry.cancelled):
            return CancelledStepError()
        return rules.fault_of_run(book, self._call.key, self._instance.clock.now())

    def _ended(self, run: Run, handle: diagnostic_pb2.Handle | None) -> Result:
        match run.exit:
            case Exit.DONE:
                result = Result(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED)
                if not self._destroys:
                    for name, value in to_value_map({"out": self._job().thing.value}).items():
                        result.outputs[name].CopyFrom(value)
            case Exit.FAILED_CLEAN:
                result = Result(outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN, retryable=run.retryable)
            case Exit.FAILED_PARTIAL:
                result = Result(outcome=diagnostic_pb2.OUTCOME_FAILED_PARTIAL)
            case Exit.STOPPED:
                result = results.cancelled(self._instance.speaker, "it was stopped")
            case _:
                return self._unknown("the tool was lost", "TOOL_LOST")
        if handle is not None:
            result.handle.CopyFrom(handle)
        return self._finish(result)

    def _refused(self, error: EnchainError, *, begun: bool) -> Result:
        if error.reason == "STALE_TOKEN":
            return self._unknown(error.message, error.reason)
        return self._finish(results.refused(self._instance.speaker, error, begun=begun))

    def _unknown(self, told: str, code: str) -> Result:
        return results.unknown(self._instance.speaker, told, code)

    def _change(self, transition: Callable[[rules.Ledger], rules.Ledger]) -> rules.Ledger:
        return self._scope.change(self._work_id, transition)

    def _finish(self, result: Result) -> Result:
        """Record the result, unless another one is recorded already."""
        record = results.to_record(result)
        book = self._change(lambda ledger: rules.finished(ledger, self._call.key, record))
        return results.result_of(book.entries[self._call.key.text].result or {})
