"""The step runner: the engine protocol over one engine, without a wire.

The gRPC servicer (`enchain.sdk.server`) and the harness for tests (`enchain.sdk.testing`) call it and nothing
else. It admits work by the ledger, owns the tasks that do it, and hands out streams of their events. It
speaks in messages and raises `EnchainError`s.
"""

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TypeVar

from opentelemetry import metrics

from enchain.artifacts.store import ArtifactCache, ArtifactStore
from enchain.chains.errors import (
    ExhaustedError,
    UnavailableError,
)
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock
from enchain.sdk import checking, looking, results
from enchain.sdk import ledger as rules
from enchain.sdk.calls import Call, Key, WorkId, check_sizes, fingerprint, parse_call
from enchain.sdk.context import Prepared
from enchain.sdk.events import EventLog, Stream
from enchain.sdk.ledger import Ask, Decision, Entry, Method, Standing, Verdict
from enchain.sdk.ledger_file import LedgerFile
from enchain.sdk.port import Engine, SecretStore
from enchain.sdk.preparing import Preparer
from enchain.sdk.results import Speaker
from enchain.sdk.runs import Reaper, stop_all
from enchain.sdk.scope import Scope, is_held
from enchain.sdk.secrets import default_secrets
from enchain.sdk.work import Task, Work
from enchain.sdk.workshop import Workshop
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2
from enchain.v1 import engine_pb2 as registry_pb2

RECENT_MAX = 32
"""Finished works whose events are still at hand; older ones answer with their result from the ledger."""

BUSY_RETRY_SECONDS = 1.0
REAP_SECONDS = 5.0

_APPLY = frozenset({operation_pb2.VERB_PROVISION, operation_pb2.VERB_UPDATE})
_DESTROY = frozenset({operation_pb2.VERB_DEPROVISION})
_ANY = _APPLY | _DESTROY

_meter = metrics.get_meter("enchain.sdk")
_begun = _meter.create_counter("enchain.steps.begun", description="Pieces of work begun, by verb")
_joined = _meter.create_counter("enchain.steps.joined", description="Calls that joined known work")
_refused = _meter.create_counter("enchain.steps.refused", description="Calls refused, by reason")

T = TypeVar("T")


class StepRunner:
    """Does the steps of one engine in one state scope.

    Args:
        engine: The engine.
        scope: Root of the state scope.
        artifacts: Where artifacts come from.
        instance: This instance's id.
        capacity: Works at once; one more is refused.
        secrets: Where secrets lie; by default the environment and files of the scope.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        scope: Path,
        artifacts: ArtifactStore,
        instance: str,
        clock: Clock,
        capacity: int = 4,
        secrets: SecretStore | None = None,
        heartbeat_seconds: float = 5.0,
        grace_seconds: float = 10.0,
    ) -> None:
        place = Scope(scope)
        self._workshop = Workshop(
            engine=engine,
            scope=place,
            instance=instance,
            clock=clock,
            artifacts=ArtifactCache(artifacts, place.artifacts),
            secrets=secrets or default_secrets(place.secrets),
            reaper=Reaper(),
            heartbeat_seconds=heartbeat_seconds,
            grace_seconds=grace_seconds,
        )
        self._engine = engine
        self._preparer = Preparer(self._workshop)
        self._capacity = capacity
        self._admitting = 0
        self._looking = 0
        self._draining = False
        self._living: dict[tuple[WorkId, Key], tuple[Work, asyncio.Task[None]]] = {}
        self._recent: OrderedDict[tuple[WorkId, Key], Work] = OrderedDict()
        self._doors: weakref.WeakValueDictionary[WorkId, asyncio.Lock] = weakref.WeakValueDictionary()

    @property
    def secrets(self) -> SecretStore:
        """Where secrets lie, for what the engine does outside of steps."""
        return self._workshop.secrets

    @property
    def running(self) -> int:
        """Pieces of work that run here."""
        return len(self._living)

    @property
    def heartbeat_seconds(self) -> float:
        """How often running work says at least that it runs."""
        return self._workshop.heartbeat_seconds

    async def apply(self, request: engine_pb2.ApplyRequest) -> Stream:
        """Begin or join an Apply; answer its stream."""
        call = checking.mutation(request.call, _APPLY)
        check_sizes(request)
        checking.check_verb(self._engine, call, request.plan_digest)
        checking.check_handle(self._engine, request.prior)
        return await _unbroken(self._admit(call, Method.APPLY, request))

    async def destroy(self, request: engine_pb2.DestroyRequest) -> Stream:
        """Begin or join a Destroy; answer its stream."""
        call = checking.mutation(request.call, _DESTROY)
        checking.check_handle(self._engine, request.handle)
        return await _unbroken(self._admit(call, Method.DESTROY, request))

    async def get_step(self, request: engine_pb2.GetStepRequest) -> engine_pb2.GetStepResponse:
        """Say how a key stands, and record the token."""
        call = parse_call(request.call, _ANY)
        decision = await self._ask(call, Method.GET)
        entry = decision.entry
        response = engine_pb2.GetStepResponse(state=engine_pb2.GetStepResponse.STATE_ABSENT)
        if entry is None:
            return response
        response.state = await asyncio.to_thread(self._state_of, call, entry)
        if entry.result is not None and entry.standing is Standing.FINISHED:
            response.result.CopyFrom(results.result_of(entry.result))
        if entry.handle is not None:
            response.handle.CopyFrom(results.handle_of(entry.handle))
        return response

    async def cancel_step(self, request: engine_pb2.CancelStepRequest) -> engine_pb2.CancelStepResponse:
        """Ask a key's work to stop, and record the token."""
        call = parse_call(request.call, _ANY)
        decision = await self._ask(call, Method.CANCEL)
        if decision.verdict is not Verdict.SIGNAL:
            return engine_pb2.CancelStepResponse(signalled=False)
        if living := self._living.get((call.work, call.key)):
            living[0].cancel(request.reason)
            return engine_pb2.CancelStepResponse(signalled=True)
        paths = self._workshop.scope.work(call.work)
        stopped = await asyncio.to_thread(stop_all, paths.runs, [call.key.text])
        return engine_pb2.CancelStepResponse(signalled=stopped > 0 or is_held(paths.task_lock))

    async def plan(self, request: engine_pb2.PlanRequest) -> AsyncIterator[engine_pb2.StepEvent]:
        """Plan; the events end in one plan. Closing the stream ends the planning."""
        checking.require(self._engine, registry_pb2.CAPABILITY_PLAN)
        call = parse_call(request.call, _ANY)
        check_sizes(request)
        checking.check_handle(self._engine, request.prior)
        self._check_capacity()
        self._looking += 1
        try:
            prepared = await self._preparer.prepare(request, destroys=call.key.verb in _DESTROY)
            prior = request.prior if request.HasField("prior") else None
            async for event in looking.plan(self._workshop, call, prepared, prior):
                yield event
        finally:
            self._looking -= 1

    async def observe(self, request: engine_pb2.ObserveRequest) -> engine_pb2.ObserveResponse:
        """Look at what stands."""
        checking.require(self._engine, registry_pb2.CAPABILITY_OBSERVE)
        call = parse_call(request.call, _ANY)
        checking.check_handle(self._engine, request.handle)
        self._check_capacity()
        self._looking += 1
        try:
            handle = request.handle if request.HasField("handle") else None
            if handle is not None and rules.is_gone(await asyncio.to_thread(self._book(call).read)):
                handle = None
            return await looking.observe(self._workshop, call, handle)
        finally:
            self._looking -= 1

    async def validate(self, request: engine_pb2.ValidateRequest) -> engine_pb2.ValidateResponse:
        """Check inputs; touches nothing."""
        check_sizes(request)
        return engine_pb2.ValidateResponse(diagnostics=await self._preparer.validate(request))

    async def schema(self, request: engine_pb2.GetSchemaRequest) -> chain_pb2.EngineSchema:
        """Say what a step with some artifacts takes and gives."""
        return await self._preparer.schema(request.artifacts, tuple(request.steps))

    async def reap_for_ever(self) -> None:
        """Collect the runners that have ended, so that none stays a zombie. Never ends."""
        while True:
            await self._workshop.clock.sleep(REAP_SECONDS)
            self._workshop.reaper.reap()

    def drain(self) -> int:
        """Refuse new work from now on; answer how many pieces of work still run."""
        self._draining = True
        return self.running

    async def finish(self) -> None:
        """Wait until nothing runs here."""
        while self._living:
            await asyncio.wait({task for _, task in self._living.values()})

    async def close(self) -> None:
        """Let go of all that runs: streams break, tools go on, and another instance can take the work up."""
        self.drain()
        tasks = [task for _, task in self._living.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._workshop.reaper.reap()

    async def _admit(
        self, call: Call, method: Method, request: engine_pb2.ApplyRequest | engine_pb2.DestroyRequest
    ) -> Stream:
        """Decide by the ledger; begin, join, take up or replay."""
        entry = (await asyncio.to_thread(self._book(call).read)).entries.get(call.key.text)
        does = self._needs_room(call, entry)
        if does:
            self._check_capacity(new=entry is None)
        self._admitting += does
        try:
            prepared = None
            if entry is None:
                prepared = await self._preparer.prepare(request, destroys=method is Method.DESTROY)
            async with self._doors.setdefault(call.work, asyncio.Lock()):
                decision = await self._ask(call, method, fingerprint(request))
                return await self._follow(call, decision, request, prepared)
        finally:
            self._admitting -= does

    def _needs_room(self, call: Call, entry: Entry | None) -> bool:
        """Say whether a call adds to what runs here. What takes the place of running work does not."""
        if any(work == call.work for work, _ in self._living):
            return False
        return entry is None or entry.standing is Standing.STARTED

    async def _follow(
        self,
        call: Call,
        decision: Decision,
        request: engine_pb2.ApplyRequest | engine_pb2.DestroyRequest,
        prepared: Prepared | None,
    ) -> Stream:
        entry = decision.entry
        assert entry is not None
        here = (call.work, call.key)
        if decision.verdict is Verdict.BEGIN:
            for (work_id, key), (work, _) in self._living.items():
                if work_id == call.work and key.text in decision.superseded:
                    work.cancel(f"superseded by {call.key.text}")
            _begun.add(1, {"verb": operation_pb2.Verb.Name(call.key.verb)})
            task = await self._task_for(call, request, prepared, decision)
            return self._start(task).events.stream(call.token)
        _joined.add(1)
        if living := self._living.get(here):
            return living[0].events.stream(call.token, joined=True)
        if entry.standing is Standing.FINISHED:
            recent = self._recent.get(here)
            return (recent.events if recent else self._replay(entry)).stream(call.token, joined=True)
        task = await self._task_for(call, request, prepared, decision)
        return self._start(task).events.stream(call.token, joined=True)

    async def _task_for(
        self,
        call: Call,
        request: engine_pb2.ApplyRequest | engine_pb2.DestroyRequest,
        prepared: Prepared | None,
        decision: Decision,
    ) -> Task:
        entry = decision.entry
        assert entry is not None
        assert decision.ledger is not None
        destroys = isinstance(request, engine_pb2.DestroyRequest)
        given = request.handle if isinstance(request, engine_pb2.DestroyRequest) else request.prior
        prior: diagnostic_pb2.Handle | None = given if given.ByteSize() else None
        if prior is None and (record := rules.newest_handle(decision.ledger, call.key)):
            prior = results.handle_of(record)
        if destroys and rules.is_gone(decision.ledger, call.key):
            prior = None
        resumed = decision.verdict is not Verdict.BEGIN
        return Task(
            call=call,
            prepared=prepared,
            prepare=lambda: self._preparer.prepare(request, destroys=destroys),
            prior=prior,
            plan_digest=request.plan_digest,
            destroys=destroys,
            takeovers=entry.takeovers + 1 if resumed else 0,
            resumed=resumed,
            superseded=decision.superseded,
        )

    def _start(self, task: Task) -> Work:
        work = Work(self._workshop, task)
        here = (task.call.work, task.call.key)
        name = f"{task.call.key.text} of {task.call.work.text}"
        running = asyncio.create_task(work.perform(), name=name)
        self._living[here] = (work, running)
        running.add_done_callback(lambda _: self._ended(here, work))
        return work

    def _ended(self, here: tuple[WorkId, Key], work: Work) -> None:
        self._living.pop(here, None)
        if not work.settled:
            return  # it may be taken up again, and then it has new events
        self._recent[here] = work
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def _replay(self, entry: Entry) -> EventLog:
        """Make the events of a finished key from the ledger."""
        events = EventLog(self._workshop.clock.now, entry.takeovers + 1)
        accepted = engine_pb2.StepAccepted(instance=self._workshop.instance, reattached=True)
        events.publish(engine_pb2.StepEvent(accepted=accepted))
        if entry.handle is not None:
            events.publish(engine_pb2.StepEvent(handle=results.handle_of(entry.handle)))
        events.end(engine_pb2.StepEvent(result=results.result_of(entry.result or {})))
        return events

    async def _ask(self, call: Call, method: Method, mark: str = "") -> Decision:
        """Put a call to the ledger, and end the streams of older callers where the token grew."""
        speaker = Speaker(call.work.step, self._engine.name, self._engine.tool)
        ask = Ask(
            method=method,
            key=call.key,
            token=call.token,
            now=self._workshop.clock.now(),
            deadline=call.deadline,
            fingerprint=mark,
            instance=self._workshop.instance,
            cancelled=results.to_record(results.cancelled(speaker, "it was cancelled before it was begun")),
        )
        decision = await asyncio.to_thread(self._book(call).ask, ask)
        if decision.error is not None:
            _refused.add(1, {"reason": decision.error.reason})
            raise decision.error
        if decision.ledger is not None:
            for (work_id, _), (work, _task) in self._living.items():
                if work_id == call.work:
                    work.events.displace(call.token, rules.stale_token(decision.ledger, call.token))
        return decision

    def _book(self, call: Call) -> LedgerFile:
        return LedgerFile(self._workshop.scope.work(call.work), call.work.text)

    def _state_of(self, call: Call, entry: Entry) -> engine_pb2.GetStepResponse.State.ValueType:
        if entry.standing is Standing.FINISHED:
            return engine_pb2.GetStepResponse.STATE_FINISHED
        paths = self._workshop.scope.work(call.work)
        alive = (call.work, call.key) in self._living or is_held(paths.task_lock) or is_held(paths.tool_lock)
        return (
            engine_pb2.GetStepResponse.STATE_RUNNING
            if alive
            else engine_pb2.GetStepResponse.STATE_INTERRUPTED
        )

    def _check_capacity(self, *, new: bool = True) -> None:
        if new and self._draining:
            raise UnavailableError(
                "the instance takes no new work",
                reason="DRAINING",
                remedy="Ask another instance.",
                retry_after=BUSY_RETRY_SECONDS,
            )
        if len(self._living) + self._admitting + self._looking >= self._capacity:
            raise ExhaustedError(
                f"the instance already does {self._capacity} things at once",
                reason="INSTANCE_BUSY",
                metadata={"capacity": str(self._capacity)},
                retry_after=BUSY_RETRY_SECONDS,
            )


async def _unbroken(admission: Coroutine[None, None, T]) -> T:
    """Admit in a task of its own: a caller that goes away in the middle leaves no half-admitted work."""
    return await asyncio.shield(asyncio.create_task(admission, name="admission"))
