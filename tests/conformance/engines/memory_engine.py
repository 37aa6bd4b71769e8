"""An engine in memory: the protocol by the letter, without the SDK, and with one fault on demand.

A fault bears the name of the check that has to find it; `wrong_engines` serves them. Without a fault it
passes every check. It is what an author in another language would write, and no example of how to keep state.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

from enchain.chains.values import to_struct
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2, provisioning_pb2, value_pb2
from enchain.v1 import engine_pb2 as registry_pb2
from tests.conformance.engines import memory_calls as calls
from tests.conformance.engines.memory_calls import RefusedError, abort
from tests.conformance.engines.memory_scope import Entry, Memory, Place, Plan, Token, mark_of
from tests.conformance.engines.memory_work import MemoryWork

Context = grpc.aio.ServicerContext[Any, Any]
States = engine_pb2.GetStepResponse
Presences = engine_pb2.ObserveResponse

PROVISION, UPDATE, DEPROVISION = (
    operation_pb2.VERB_PROVISION,
    operation_pb2.VERB_UPDATE,
    operation_pb2.VERB_DEPROVISION,
)
ALL = tuple(registry_pb2.Capability.values()[1:])
HEARTBEAT_SECONDS = 0.05


class MemoryEngine(engine_pb2_grpc.ProvisioningEngineServicer):
    """Serves the protocol from a memory.

    Args:
        memory: What it remembers; an engine that is "restarted" gets the old one.
        fault: Name of the check that has to find what is wrong with it; empty for an engine without fault.
    """

    def __init__(
        self,
        memory: Memory,
        fault: str = "",
        capabilities: tuple[registry_pb2.Capability.ValueType, ...] = ALL,
    ) -> None:
        self.memory = memory
        self.address = ""
        self._fault = fault
        self._capabilities = capabilities
        self.draining = False
        self._work = MemoryWork(memory, self.wrong, HEARTBEAT_SECONDS)

    def wrong(self, check: str) -> bool:
        """Say whether it has the fault that a check has to find."""
        return self._fault == check

    def kill(self) -> None:
        """Stop all tasks where they stand, as a crash does, and forget what a faulty engine forgets."""
        for place in self.memory.places.values():
            for entry in place.entries.values():
                if entry.task is not None:
                    entry.task.cancel()
                    entry.task = None
            if self.wrong("crash-loses-no-work"):
                place.entries = {key: entry for key, entry in place.entries.items() if entry.result}
            if self.wrong("crash-loses-no-result"):
                place.entries = {key: entry for key, entry in place.entries.items() if not entry.result}
            if self.wrong("crash-loses-no-token"):
                place.token = (0, 0)

    async def Handshake(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.HandshakeRequest, context: Context
    ) -> engine_pb2.HandshakeResponse:
        """Say who this is."""
        del request, context
        states = registry_pb2.EngineInstance
        answer = engine_pb2.HandshakeResponse(
            instance=registry_pb2.EngineInstance(
                name="engines/memory/instances/one",
                engine="memory",
                version="" if self.wrong("handshake-is-complete") else "1.0",
                address=self.address,
                scope="memory",
                capacity=4,
                state=states.STATE_DRAINING if self.draining else states.STATE_READY,
                capabilities=self._capabilities,
                artifact_inputs=["file"],
                handle_schemas=["memory/1"],
            )
        )
        answer.heartbeat_interval.FromMilliseconds(round(HEARTBEAT_SECONDS * 1000))
        return answer

    async def GetSchema(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.GetSchemaRequest, context: Context
    ) -> engine_pb2.GetSchemaResponse:
        """Say what it takes and gives."""
        del request, context
        inputs: dict[str, Any] = {**calls.INPUTS}
        if self.wrong("schema-is-json-schema"):
            inputs["required"] = "name"
        schema = chain_pb2.EngineSchema(
            inputs=to_struct(inputs), outputs=to_struct(calls.OUTPUTS), handle_schemas=["memory/1"]
        )
        return engine_pb2.GetSchemaResponse(schema=schema)

    async def Validate(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ValidateRequest, context: Context
    ) -> engine_pb2.ValidateResponse:
        """Check inputs."""
        del context
        found = self._input_fault(dict(request.inputs))
        self.memory.validations += 1
        if self.wrong("validate-is-pure") and self.memory.validations > 1:
            found = "inputs.name", "it exists already"
        if found is None:
            return engine_pb2.ValidateResponse()
        told = diagnostic_pb2.Diagnostic(
            severity=diagnostic_pb2.SEVERITY_ERROR,
            code="INVALID",
            domain="memory",
            path=found[0],
            summary=found[1],
        )
        return engine_pb2.ValidateResponse(diagnostics=[told])

    def _input_fault(self, inputs: dict[str, value_pb2.Value]) -> tuple[str, str] | None:
        found = calls.input_fault(inputs)
        if found and "missing" in found[1] and self.wrong("missing-input-is-refused"):
            return None
        return ("", found[1]) if found and self.wrong("wrong-input-is-refused") else found

    async def Plan(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.PlanRequest, context: Context
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Say what would be done."""
        try:
            self._require(registry_pb2.CAPABILITY_PLAN)
        except RefusedError as refused:
            await abort(context, refused)
        place = self.memory.place(request.call)
        digest = f"plan-{len(self.memory.plans)}"
        inputs = dict(request.inputs)
        self.memory.plans[digest] = Plan(mark_of(inputs), mark_of(place.standing))
        if self.wrong("plan-changes-nothing"):
            place.standing = inputs
        plan = provisioning_pb2.StepPlan(
            step=request.call.steps[0],
            engine="memory",
            outcome=provisioning_pb2.StepPlan.OUTCOME_PLANNED,
            changes=[provisioning_pb2.PlannedChange(action=provisioning_pb2.PlannedChange.ACTION_CREATE)],
            digest=digest,
            summary=digest if self.wrong("plan-is-deterministic") else "one to create",
        )
        yield engine_pb2.StepEvent(seq=1, accepted=engine_pb2.StepAccepted(instance="one"))
        yield engine_pb2.StepEvent(seq=2, plan=engine_pb2.PlanResult(plan=plan))

    async def Apply(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ApplyRequest, context: Context
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Make or change."""
        try:
            place, entry, joined = self._admit(request)
            async for event in self._follow(place, entry, _token(request.call), joined=joined):
                yield event
        except RefusedError as refused:
            await abort(context, refused)

    async def Destroy(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.DestroyRequest, context: Context
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Destroy."""
        try:
            place, entry, joined = self._admit_destroy(request)
            async for event in self._follow(place, entry, _token(request.call), joined=joined):
                yield event
        except RefusedError as refused:
            await abort(context, refused)

    async def Observe(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ObserveRequest, context: Context
    ) -> engine_pb2.ObserveResponse:
        """Look at what stands."""
        try:
            self._require(registry_pb2.CAPABILITY_OBSERVE)
        except RefusedError as refused:
            await abort(context, refused)
        if self.memory.place(request.call).standing is None:
            unsure = self.wrong("observe-sees-absence")
            return Presences(presence=Presences.PRESENCE_UNKNOWN if unsure else Presences.PRESENCE_ABSENT)
        drift = [provisioning_pb2.PlannedChange(address="name", detail="differs")]
        seen = drift if self.wrong("observe-sees-what-stands") else []
        return Presences(presence=Presences.PRESENCE_PRESENT, drift=seen)

    async def GetStep(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.GetStepRequest, context: Context
    ) -> engine_pb2.GetStepResponse:
        """Say how a key stands."""
        place = self.memory.place(request.call)
        try:
            self._fence(place, request.call, record=not self.wrong("get-step-closes-what-is-absent"))
        except RefusedError as refused:
            await abort(context, refused)
        entry = place.entries.get((request.call.verb, request.call.generation))
        if entry is None:
            return States(state=States.STATE_ABSENT)
        if entry.result is None:
            state = States.STATE_RUNNING if entry.running else States.STATE_INTERRUPTED
            return States(state=state, handle=entry.handle)
        answer = States(state=States.STATE_FINISHED, result=entry.result, handle=entry.handle)
        if self.wrong("result-is-kept"):
            answer.result.ClearField("outputs")
        return answer

    async def CancelStep(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.CancelStepRequest, context: Context
    ) -> engine_pb2.CancelStepResponse:
        """Ask work to stop."""
        place = self.memory.place(request.call)
        try:
            if not self.wrong("lower-token-is-refused"):
                self._fence(place, request.call, record=not self.wrong("cancel-closes-what-is-absent"))
        except RefusedError as refused:
            await abort(context, refused)
        entry = place.entries.get((request.call.verb, request.call.generation))
        if (
            entry is not None
            and entry.result is not None
            and self.wrong("cancel-after-the-end-changes-nothing")
        ):
            entry.result.outcome = diagnostic_pb2.OUTCOME_CANCELLED
        if entry is None or not entry.running:
            return engine_pb2.CancelStepResponse(signalled=False)
        if not self.wrong("cancel-stops-work"):
            entry.cancelled.set()
        return engine_pb2.CancelStepResponse(signalled=True)

    async def Drain(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.DrainRequest, context: Context
    ) -> engine_pb2.DrainResponse:
        """Take no new work from now on."""
        del request, context
        self.draining = True
        places = self.memory.places.values()
        running = sum(entry.running for place in places for entry in place.entries.values())
        return engine_pb2.DrainResponse(running=running)

    def _require(self, capability: registry_pb2.Capability.ValueType) -> None:
        if capability not in self._capabilities and not self.wrong("missing-capability-is-refused"):
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, "NO_CAPABILITY", "it cannot do that")

    def _fence(self, place: Place, call: engine_pb2.StepCall, *, record: bool = True) -> None:
        """Refuse a token that was overtaken, and take note of the highest."""
        token = _token(call)
        if self.wrong("epoch-outranks-revision"):
            stale = token[::-1] < place.token[::-1]
        elif self.wrong("tombstones-are-per-work"):
            stale = token < max(other.token for other in self.memory.places.values())
        else:
            stale = token < place.token
        if stale:
            raise _stale()
        if record:
            place.token = token
            place.wake()

    def _admit(self, request: engine_pb2.ApplyRequest) -> tuple[Place, Entry, bool]:
        """Answer the key's entry, begun or joined."""
        call, inputs = request.call, dict(request.inputs)
        self._check_apply(request)
        place = self.memory.place(call)
        self._fence(place, call)
        key = (call.verb, call.generation)
        mark = mark_of(inputs) + request.plan_digest.encode()
        entry = place.entries.get(key)
        if entry is not None and not (self.wrong("two-callers-make-one") and entry.running):
            if entry.mark != mark and not self.wrong("other-parameters-are-refused"):
                raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, "OTHER_PARAMETERS", "other parameters")
            self._work.take_up(place, entry)
            return place, entry, True
        self._check_new(place, request)
        before = place.standing if call.verb == UPDATE and self.wrong("update-changes-what-stands") else None
        entry = Entry(mark, before or inputs, call.deadline.ToDatetime(tzinfo=UTC), destroys=False)
        place.entries[key] = entry
        self._work.begin(place, entry)
        return place, entry, False

    def _check_apply(self, request: engine_pb2.ApplyRequest) -> None:
        """Refuse what is wrong with an Apply whatever the memory holds."""
        if self.wrong("unknown-fields-are-tolerated") and len(UnknownFieldSet(request)):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELD", "what is that?")
        malformed = request.call.traceparent not in (
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        if self.wrong("origin-and-trace-are-accepted") and malformed:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "TRACE", "what trace is that?")
        if not self.wrong("malformed-call-is-refused"):
            calls.check_call(request.call, PROVISION, UPDATE)
        if not (self.wrong("oversize-inputs-are-refused") or self.wrong("oversize-request-is-refused")):
            calls.check_size(dict(request.inputs))
        if request.call.verb == UPDATE:
            self._require(registry_pb2.CAPABILITY_UPDATE)
        if request.plan_digest:
            self._require(registry_pb2.CAPABILITY_PLAN)
        if not self.wrong("missing-artifact-is-refused"):
            calls.check_artifacts(dict(request.artifacts))

    def _check_new(self, place: Place, request: engine_pb2.ApplyRequest) -> None:
        """Refuse what may not be begun."""
        late = request.call.deadline.ToDatetime(tzinfo=UTC) <= datetime.now(UTC)
        if late and not self.wrong("deadline-past-is-refused"):
            raise RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, "LATE", "the deadline is past")
        self._check_room()
        if found := self._input_fault(dict(request.inputs)):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "INVALID", found[1], found[0])
        busy = any(entry.running for entry in place.entries.values())
        if busy and not (self.wrong("one-key-at-a-time") or self.wrong("two-callers-make-one")):
            raise RefusedError(grpc.StatusCode.ABORTED, "RUNNING", "another key runs")
        if request.plan_digest and not self._is_fresh(place, request):
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "PLAN_STALE", "plan again")

    def _check_room(self) -> None:
        if self.draining and not self.wrong("drain-refuses-new-work-only"):
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "DRAINING", "it drains")

    def _is_fresh(self, place: Place, request: engine_pb2.ApplyRequest) -> bool:
        plan = self.memory.plans.get(request.plan_digest)
        if plan is None:
            return self.wrong("unknown-plan-is-refused") or self.wrong("missing-capability-is-refused")
        fresh = plan == Plan(mark_of(dict(request.inputs)), mark_of(place.standing))
        return (fresh or self.wrong("stale-plan-is-refused")) and not self.wrong("plan-is-applied")

    def _admit_destroy(self, request: engine_pb2.DestroyRequest) -> tuple[Place, Entry, bool]:
        calls.check_call(request.call, DEPROVISION)
        call = request.call
        place = self.memory.place(call)
        if self.wrong("destroy-of-unknown-work-succeeds") and not place.entries:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "UNKNOWN", "it was never seen")
        self._fence(place, call, record=not self.wrong("destroy-closes-what-is-absent"))
        key = (call.verb, call.generation)
        if entry := place.entries.get(key):
            self._work.take_up(place, entry)
            return place, entry, True
        self._check_room()
        blind = self.wrong("destroy-needs-no-handle") and not request.HasField("handle")
        entry = Entry(b"", {}, call.deadline.ToDatetime(tzinfo=UTC), destroys=True)
        place.entries[key] = entry
        self._work.begin(place, entry, blind=blind)
        return place, entry, False

    async def _follow(
        self, place: Place, entry: Entry, token: Token, *, joined: bool
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Deliver a key's events, until the result or until a newer caller comes."""
        position = 0
        try:
            while True:
                if token < place.token and not self.wrong("newest-token-takes-the-stream"):
                    raise _stale()
                more = entry.more
                while position < len(entry.log):
                    event = engine_pb2.StepEvent()
                    event.CopyFrom(entry.log[position])
                    position += 1
                    if joined and event.HasField("accepted"):
                        event.accepted.reattached = True
                    yield event
                if entry.result is not None:
                    self._fail_wrongly(entry)
                    return
                await more.wait()
        finally:
            task = entry.task
            if self.wrong("work-goes-on-without-listeners") and task is not None and entry.result is None:
                task.cancel()

    def _fail_wrongly(self, entry: Entry) -> None:
        failed = entry.result is not None and entry.result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
        if failed and self.wrong("failure-is-told"):
            raise RefusedError(grpc.StatusCode.INTERNAL, "FAILED", "it failed")


def _token(call: engine_pb2.StepCall) -> Token:
    return (call.token.epoch, call.token.revision)


def _stale() -> RefusedError:
    return RefusedError(grpc.StatusCode.ABORTED, "STALE_TOKEN", "a newer caller has it")
