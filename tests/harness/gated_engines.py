"""Engine instances in the test's own process, over real gRPC, that wait at a gate and count what they made.

`EngineScope` is what outlives an instance: the ledger, and what stands. `GatedInstance` serves the engine
protocol on it and registers itself. What it does wrong on purpose is a `Fault`. It is no SDK: it shows what
the protocol alone asks.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from enchain.chains.errors import ConflictError, ExhaustedError
from enchain.chains.values import to_python_map, to_value_map
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import diagnostic_pb2, operation_pb2, provisioning_pb2
from enchain.v1 import engine_pb2 as registry_pb2

SUCCEEDED = diagnostic_pb2.OUTCOME_SUCCEEDED
Result = engine_pb2.StepResult
Key = tuple[str, int, int]


class Fault(Enum):
    """What an engine may do wrong."""

    TWO_RESULTS = "sends two results"
    NO_RESULT = "ends its streams without a result"
    FLOOD = "logs without end"


@dataclass
class Work:
    """One piece of work: its events so far, and whether it has ended."""

    events: list[engine_pb2.StepEvent] = field(default_factory=list)
    result: Result | None = None
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)
    task: asyncio.Task[None] | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class EngineScope:
    """What the instances of one scope share: ledger, tokens, and what stands.

    Attributes:
        engine: The engine's id.
        name: The scope's name.
        gate: Work waits here before it ends; open at first.
        outcomes: Results of the next applies, oldest first; then all succeed.
        busy: How many calls find no place free.
        made: How often each work was really done.
        standing: Work ids of what stands.
    """

    engine: str
    name: str
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: list[Result] = field(default_factory=list)
    busy: int = 0
    made: Counter[Key] = field(default_factory=Counter)
    standing: set[str] = field(default_factory=set)
    works: dict[Key, Work] = field(default_factory=dict)
    tokens: dict[str, tuple[int, int]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    cancelled: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Open the gate."""
        self.gate.set()

    def admit(self, call: engine_pb2.StepCall) -> None:
        """Record the token, or refuse a lower one."""
        token = (call.token.epoch, call.token.revision)
        if token < self.tokens.get(call.work_id, (0, 0)):
            raise ConflictError("a newer owner was here", reason="STALE_TOKEN")
        self.tokens[call.work_id] = token

    def begin(self, key: Key, request: Any) -> Work:
        """Begin a piece of work, or answer the known one."""
        work = self.works.get(key)
        if work is None:
            work = self.works[key] = Work()
            name = f"work {key}"
            work.task = asyncio.create_task(self._do(key, work, request), name=name)
        return work

    async def _do(self, key: Key, work: Work, request: Any) -> None:
        self.made[key] += 1
        handle = diagnostic_pb2.Handle(schema=f"{self.engine}/1", data=to_value_map({"id": key[0]}))
        await self._tell(work, handle=handle)
        await self._tell(work, progress=engine_pb2.StepProgressed(message="working", fraction=0.5))
        await self._at_the_gate(work)
        work.result = self._result(key, request, handle)
        await self._tell(work)

    async def _at_the_gate(self, work: Work) -> None:
        """Wait until the gate is open or the work is cancelled."""
        waiting = [asyncio.create_task(event.wait()) for event in (self.gate, work.cancelled)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _result(self, key: Key, request: Any, handle: diagnostic_pb2.Handle) -> Result:
        if key in self.cancelled:
            return Result(outcome=diagnostic_pb2.OUTCOME_CANCELLED, handle=handle)
        if key[1] == operation_pb2.VERB_DEPROVISION:
            self.standing.discard(key[0])
            return Result(outcome=SUCCEEDED)
        result = self.outcomes.pop(0) if self.outcomes else Result(outcome=SUCCEEDED)
        if result.outcome in {SUCCEEDED, diagnostic_pb2.OUTCOME_FAILED_PARTIAL}:
            self.standing.add(key[0])
            result.handle.CopyFrom(handle)
        if result.outcome == SUCCEEDED and not result.outputs:
            name = to_python_map(request.inputs).get("name", "")
            for output, value in to_value_map({"files": f"files-{name}", "url": f"http://{name}"}).items():
                result.outputs[output].CopyFrom(value)
        return result

    async def _tell(self, work: Work, **event: Any) -> None:
        async with work.grown:
            if event:
                work.events.append(engine_pb2.StepEvent(seq=len(work.events) + 2, **event))
            work.grown.notify_all()

    async def say(self, message: str) -> None:
        """Have all work that runs tell of its progress."""
        for work in self.works.values():
            if work.result is None:
                await self._tell(work, progress=engine_pb2.StepProgressed(message=message))

    async def close(self) -> None:
        """Stop all work."""
        tasks = [work.task for work in self.works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class GatedInstance(engine_pb2_grpc.ProvisioningEngineServicer):
    """One instance of an engine.

    Args:
        scope: What it shares with others.
        instance: Its id.
        capacity: Steps at once.
        fault: What it does wrong.
        capabilities: What it says it can do.
    """

    def __init__(
        self,
        scope: EngineScope,
        instance: str,
        *,
        capacity: int = 8,
        fault: Fault | None = None,
        version: str = "1",
        capabilities: tuple[registry_pb2.Capability.ValueType, ...] = (
            registry_pb2.CAPABILITY_PLAN,
            registry_pb2.CAPABILITY_OBSERVE,
            registry_pb2.CAPABILITY_CANCEL,
            registry_pb2.CAPABILITY_UPDATE,
        ),
    ) -> None:
        self.scope = scope
        self.fault = fault
        self.message = registry_pb2.EngineInstance(
            name=f"engines/{scope.engine}/instances/{instance}",
            engine=scope.engine,
            version=version,
            scope=scope.name,
            capacity=capacity,
            state=registry_pb2.EngineInstance.STATE_READY,
            capabilities=capabilities,
            handle_schemas=[f"{scope.engine}/1"],
        )
        self._key = keys.instance(scope.engine, instance)
        self._server = Server("127.0.0.1:0")

    async def start(self, store: Store) -> None:
        """Serve, and register."""
        name = engine_pb2.DESCRIPTOR.services_by_name["ProvisioningEngine"].full_name
        self._server.add(engine_pb2_grpc.add_ProvisioningEngineServicer_to_server, self, name)
        self.message.address = await self._server.start()
        await put(store, [Put(self._key, encode(self.message))])

    async def kill(self, store: Store) -> None:
        """End at once, as a lost machine does; the scope's work goes on."""
        await self._server.stop(0)
        await store.commit(Txn(success=(Delete(self._key),)))

    async def Handshake(self, request: Any, context: Any) -> engine_pb2.HandshakeResponse:  # noqa: N802 - gRPC's name
        """Say who this is."""
        del request, context
        return engine_pb2.HandshakeResponse(instance=self.message)

    async def Apply(self, request: Any, context: Any) -> AsyncIterator[engine_pb2.StepEvent]:  # noqa: N802 - gRPC's name
        """Begin or join."""
        del context
        async for event in self._stream(request, "apply"):
            yield event

    async def Destroy(self, request: Any, context: Any) -> AsyncIterator[engine_pb2.StepEvent]:  # noqa: N802 - gRPC's name
        """Begin or join."""
        del context
        async for event in self._stream(request, "destroy"):
            yield event

    async def _stream(self, request: Any, verb: str) -> AsyncIterator[engine_pb2.StepEvent]:
        self.scope.calls.append(verb)
        self.scope.admit(request.call)
        key = key_of(request.call)
        if self.scope.busy and key not in self.scope.works:
            self.scope.busy -= 1
            raise ExhaustedError("no place is free", reason="INSTANCE_BUSY", retry_after=0.1)
        known = key in self.scope.works
        work = self.scope.begin(key, request)
        yield engine_pb2.StepEvent(seq=1, accepted=engine_pb2.StepAccepted(reattached=known))
        sent = 0
        while True:
            async with work.grown:
                await work.grown.wait_for(lambda at=sent: work.result or len(work.events) > at)  # type: ignore[misc]  # bound at once
            for event in work.events[sent:]:
                sent += 1
                yield event
            if work.result is not None:
                break
        seq = len(work.events) + 2
        if self.fault is Fault.FLOOD:
            for number in range(3000):
                yield engine_pb2.StepEvent(seq=seq, log=engine_pb2.LogLine(line=f"{number} " + "x" * 1000))
                seq += 1
        if self.fault is not Fault.NO_RESULT:
            yield engine_pb2.StepEvent(seq=seq, result=work.result)
        if self.fault is Fault.TWO_RESULTS:
            yield engine_pb2.StepEvent(seq=seq + 1, result=work.result)

    async def GetStep(self, request: Any, context: Any) -> engine_pb2.GetStepResponse:  # noqa: N802 - gRPC's name
        """Say how work stands."""
        del context
        self.scope.calls.append("get")
        self.scope.admit(request.call)
        work = self.scope.works.get(key_of(request.call))
        states = engine_pb2.GetStepResponse
        if work is None:
            return engine_pb2.GetStepResponse(state=states.STATE_ABSENT)
        if work.result is None:
            return engine_pb2.GetStepResponse(state=states.STATE_RUNNING)
        return engine_pb2.GetStepResponse(state=states.STATE_FINISHED, result=work.result)

    async def CancelStep(self, request: Any, context: Any) -> engine_pb2.CancelStepResponse:  # noqa: N802 - gRPC's name
        """Ask work to stop."""
        del context
        self.scope.admit(request.call)
        key = key_of(request.call)
        self.scope.cancelled.add(key)
        if key in self.scope.works:
            self.scope.works[key].cancelled.set()
        return engine_pb2.CancelStepResponse(signalled=True)

    async def Observe(self, request: Any, context: Any) -> engine_pb2.ObserveResponse:  # noqa: N802 - gRPC's name
        """Look."""
        del context
        answers = engine_pb2.ObserveResponse
        stands = request.call.work_id in self.scope.standing
        return engine_pb2.ObserveResponse(
            presence=answers.PRESENCE_PRESENT if stands else answers.PRESENCE_ABSENT
        )

    async def GetSchema(self, request: Any, context: Any) -> engine_pb2.GetSchemaResponse:  # noqa: N802 - gRPC's name
        """Answer nothing: routers have the schemas in the chain."""
        del request, context
        return engine_pb2.GetSchemaResponse()

    async def Validate(self, request: Any, context: Any) -> engine_pb2.ValidateResponse:  # noqa: N802 - gRPC's name
        """All is well."""
        del request, context
        return engine_pb2.ValidateResponse()

    async def Drain(self, request: Any, context: Any) -> engine_pb2.DrainResponse:  # noqa: N802 - gRPC's name
        """Nothing to do."""
        del request, context
        return engine_pb2.DrainResponse()

    async def Plan(self, request: Any, context: Any) -> AsyncIterator[engine_pb2.StepEvent]:  # noqa: N802 - gRPC's name
        """Plan: the outputs that do not depend on doing it are known."""
        del request, context
        self.scope.calls.append("plan")
        plan = provisioning_pb2.StepPlan(
            outcome=provisioning_pb2.StepPlan.OUTCOME_PLANNED,
            digest="sha256:plan",
            summary="1 to create",
            changes=[
                provisioning_pb2.PlannedChange(
                    action=provisioning_pb2.PlannedChange.ACTION_CREATE, address="thing"
                )
            ],
        )
        yield engine_pb2.StepEvent(seq=1, plan=engine_pb2.PlanResult(plan=plan))


def key_of(call: engine_pb2.StepCall) -> Key:
    """The key of a call."""
    return call.work_id, call.verb, call.generation
