"""Engines that break half a rule: one of the methods, one of the parts. Each is the flawless engine, edited.

`VARIANTS` says which check has to find which. They change what comes in or goes out of the in-memory engine.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc

from enchain.chains.values import to_value
from enchain.engine.v1 import engine_pb2
from enchain.v1 import engine_pb2 as registry_pb2
from enchain.v1 import operation_pb2
from tests.conformance.engines.memory_calls import RefusedError, abort
from tests.conformance.engines.memory_engine import Context, MemoryEngine

Events = AsyncIterator[engine_pb2.StepEvent]


def forgive(engine: MemoryEngine, call: engine_pb2.StepCall) -> None:
    """Give a call that was overtaken the highest token."""
    highest = engine.memory.place(call).token
    call.token.epoch, call.token.revision = max((call.token.epoch, call.token.revision), highest)


class LowerTokenApplies(MemoryEngine):
    """Apply does not look at the token."""

    async def Apply(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ApplyRequest, context: Context
    ) -> Events:
        """Let everybody in."""
        forgive(self, request.call)
        async for event in super().Apply(request, context):
            yield event


class LowerTokenDestroys(MemoryEngine):
    """Destroy does not look at the token."""

    async def Destroy(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.DestroyRequest, context: Context
    ) -> Events:
        """Let everybody in."""
        forgive(self, request.call)
        async for event in super().Destroy(request, context):
            yield event


class LowerTokenAsks(MemoryEngine):
    """GetStep does not look at the token."""

    async def GetStep(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.GetStepRequest, context: Context
    ) -> engine_pb2.GetStepResponse:
        """Let everybody in."""
        forgive(self, request.call)
        return await super().GetStep(request, context)


class JoinsUntold(MemoryEngine):
    """It joins known work and does not say so."""

    async def Apply(self, request: engine_pb2.ApplyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Hide that the work was known."""
        async for event in super().Apply(request, context):
            if event.HasField("accepted"):
                event.accepted.reattached = False
            yield event


class EndsWithoutResult(MemoryEngine):
    """Its streams end without a result."""

    async def Apply(self, request: engine_pb2.ApplyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Keep the result back."""
        async for event in super().Apply(request, context):
            if not event.HasField("result"):
                yield event


class Renumbers(MemoryEngine):
    """A second stream numbers the same events otherwise."""

    async def Apply(self, request: engine_pb2.ApplyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Number a second stream from 2."""
        joined = bool(self.memory.place(request.call).entries)
        async for event in super().Apply(request, context):
            event.seq += joined
            yield event


class PlansWithHandle(MemoryEngine):
    """Plan tells a handle."""

    async def Plan(self, request: engine_pb2.PlanRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Tell a handle first."""
        handle = engine_pb2.StepEvent(seq=1)
        handle.handle.schema = "memory/1"
        yield handle
        async for event in super().Plan(request, context):
            event.seq += 1
            yield event


class AppliesWrongInputs(MemoryEngine):
    """Validate finds wrong inputs; Apply takes them."""

    async def Apply(self, request: engine_pb2.ApplyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Put something right in the place of what is wrong."""
        request.inputs["name"].CopyFrom(to_value("anybody"))
        request.inputs.pop("colour", None)
        async for event in super().Apply(request, context):
            yield event


class RefusesTooLate(MemoryEngine):
    """It refuses late and large calls after it has begun them."""

    async def Apply(self, request: engine_pb2.ApplyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Begin what is to be refused, then refuse it."""
        refused = None
        if request.call.deadline.ToDatetime(tzinfo=UTC) < datetime.now(UTC):
            refused = RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, "LATE", "too late")
            request.call.deadline.FromDatetime(datetime.now(UTC) + timedelta(seconds=9))
        if request.ByteSize() > 16 * 1024:
            refused = RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "LARGE", "too large")
            request.inputs["name"].CopyFrom(to_value("small"))
        async for event in super().Apply(request, context):
            if refused is not None:
                await abort(context, refused)
            yield event


class DrainsUntold(MemoryEngine):
    """It drains and goes on saying that it is ready."""

    async def Handshake(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.HandshakeRequest, context: Context
    ) -> engine_pb2.HandshakeResponse:
        """Say that it is ready."""
        answer = await super().Handshake(request, context)
        answer.instance.state = registry_pb2.EngineInstance.STATE_READY
        return answer


class DrainsAway(MemoryEngine):
    """Once drained it refuses what it knows, too."""

    async def Destroy(self, request: engine_pb2.DestroyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Refuse everything once drained."""
        if self.draining:
            await abort(context, RefusedError(grpc.StatusCode.UNAVAILABLE, "DRAINING", "it drains"))
        async for event in super().Destroy(request, context):
            yield event


class ObservesUnasked(MemoryEngine):
    """It lacks Observe and answers it all the same."""

    async def Observe(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ObserveRequest, context: Context
    ) -> engine_pb2.ObserveResponse:
        """Say that nothing is known."""
        del request, context
        return engine_pb2.ObserveResponse()


class UpdatesUnasked(MemoryEngine):
    """It lacks updates and takes one for a new provision."""

    async def Apply(self, request: engine_pb2.ApplyRequest, context: Context) -> Events:  # noqa: N802 - gRPC's name
        """Provision."""
        request.call.verb = operation_pb2.VERB_PROVISION
        async for event in super().Apply(request, context):
            yield event


VARIANTS: tuple[tuple[str, type[MemoryEngine]], ...] = (
    ("lower-token-is-refused", LowerTokenApplies),
    ("lower-token-is-refused", LowerTokenDestroys),
    ("lower-token-is-refused", LowerTokenAsks),
    ("known-key-is-joined", JoinsUntold),
    ("one-result-comes-last", EndsWithoutResult),
    ("seq-grows-strictly", Renumbers),
    ("plan-changes-nothing", PlansWithHandle),
    ("wrong-input-is-refused", AppliesWrongInputs),
    ("missing-input-is-refused", AppliesWrongInputs),
    ("deadline-past-is-refused", RefusesTooLate),
    ("oversize-inputs-are-refused", RefusesTooLate),
    ("drain-refuses-new-work-only", DrainsUntold),
    ("drain-refuses-new-work-only", DrainsAway),
    ("missing-capability-is-refused", ObservesUnasked),
    ("missing-capability-is-refused", UpdatesUnasked),
)
