"""Calls to the engine under test: streams that can be read bit by bit and cut, and refusals with their code.

Only `probe` makes a `Caller`. It reads what an engine sends as it is, mends nothing and retries nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.clock import Clock
from enchain.process.statuses import from_rpc_error
from enchain.v1 import diagnostic_pb2

EVENTS_MAX = 100_000
"""Events of one stream; an engine that never ends one does not fill the memory."""

M = TypeVar("M", bound=Message)
Metadata = tuple[tuple[str, str], ...]


class RefusedError(Exception):
    """A call ended with a status other than OK.

    Attributes:
        code: The status.
        told: What came with it: reason, violations, remedy.
    """

    def __init__(self, method: str, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.told = from_rpc_error(error)
        super().__init__(
            f"{method} was refused with {self.code.name} ({self.told.reason}): {self.told.message}"
        )


class Stream:
    """The events of one Apply, Destroy or Plan, as far as they were read.

    Attributes:
        method: Which of them.
        events: In the order in which they came.
        arrivals: When each of them came, in seconds.
        refusal: The status with which it ended, unless that was OK.
        over: It has ended, however it did.
    """

    def __init__(
        self,
        method: str,
        call: "grpc.aio.UnaryStreamCall[Any, engine_pb2.StepEvent]",
        heard: Callable[[Message], None],
        clock: Clock,
    ) -> None:
        self.method = method
        self.events: list[engine_pb2.StepEvent] = []
        self.arrivals: list[float] = []
        self.refusal: RefusedError | None = None
        self.over = False
        self._call = call
        self._heard = heard
        self._clock = clock

    async def until(self, *kinds: str) -> engine_pb2.StepEvent | None:
        """Read until an event of one of these kinds has come; None where the stream ended before."""
        while not self.over:
            event = await self._next()
            if event is not None and event.WhichOneof("event") in kinds:
                return event
        return None

    async def rest(self) -> Self:
        """Read to the end."""
        while not self.over:
            await self._next()
        return self

    def cut(self) -> None:
        """Close the stream, as a router that dies."""
        self._call.cancel()
        self.over = True

    def of(self, kind: str) -> list[engine_pb2.StepEvent]:
        """Answer the events of a kind."""
        return [event for event in self.events if event.WhichOneof("event") == kind]

    @property
    def result(self) -> engine_pb2.StepResult | None:
        """The first result."""
        results = self.of("result")
        return results[0].result if results else None

    @property
    def plan(self) -> engine_pb2.PlanResult | None:
        """The first plan."""
        plans = self.of("plan")
        return plans[0].plan if plans else None

    @property
    def handle(self) -> diagnostic_pb2.Handle | None:
        """The newest handle that was told."""
        handles = self.of("handle")
        if handles:
            return handles[-1].handle
        return self.result.handle if self.result is not None and self.result.HasField("handle") else None

    @property
    def begun(self) -> bool:
        """The engine took it up."""
        return bool(self.of("accepted") or self.of("handle") or self.of("result"))

    @property
    def reattached(self) -> bool:
        """The engine said that it knew the work."""
        return any(event.accepted.reattached for event in self.of("accepted"))

    async def _next(self) -> engine_pb2.StepEvent | None:
        try:
            event = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self.over, self.refusal = True, RefusedError(self.method, error)
            self._heard(_as_message(self.refusal))
            return None
        if not isinstance(event, engine_pb2.StepEvent) or len(self.events) >= EVENTS_MAX:
            self.over = True
            return None
        self.events.append(event)
        self.arrivals.append(self._clock.monotonic())
        self._heard(event)
        return event


class Caller:
    """Calls one engine server.

    Args:
        channel: A channel to it.
        timeout_seconds: No call takes longer.

    Attributes:
        heard: Where it is a list, the bytes of all that the engine says are added to it.
    """

    def __init__(self, channel: grpc.aio.Channel, *, timeout_seconds: float, clock: Clock) -> None:
        self._stub = engine_pb2_grpc.ProvisioningEngineStub(channel)
        self._timeout = timeout_seconds
        self._clock = clock
        self.heard: list[bytes] | None = None

    def apply(self, request: engine_pb2.ApplyRequest, metadata: Metadata = ()) -> Stream:
        """Begin or join an Apply."""
        return self._stream("Apply", self._stub.Apply, request, metadata)

    def destroy(self, request: engine_pb2.DestroyRequest) -> Stream:
        """Begin or join a Destroy."""
        return self._stream("Destroy", self._stub.Destroy, request, ())

    def plan(self, request: engine_pb2.PlanRequest) -> Stream:
        """Plan."""
        return self._stream("Plan", self._stub.Plan, request, ())

    async def handshake(
        self, request: engine_pb2.HandshakeRequest, *, wait: bool = False
    ) -> engine_pb2.HandshakeResponse:
        """Handshake; with `wait`, until the server can be reached."""
        return await self._unary("Handshake", self._stub.Handshake, request, wait=wait)

    async def get_schema(self, request: engine_pb2.GetSchemaRequest) -> engine_pb2.GetSchemaResponse:
        """Ask for the schema."""
        return await self._unary("GetSchema", self._stub.GetSchema, request)

    async def validate(self, request: engine_pb2.ValidateRequest) -> engine_pb2.ValidateResponse:
        """Validate."""
        return await self._unary("Validate", self._stub.Validate, request)

    async def observe(self, request: engine_pb2.ObserveRequest) -> engine_pb2.ObserveResponse:
        """Observe."""
        return await self._unary("Observe", self._stub.Observe, request)

    async def get_step(self, request: engine_pb2.GetStepRequest) -> engine_pb2.GetStepResponse:
        """Ask how a key stands."""
        return await self._unary("GetStep", self._stub.GetStep, request)

    async def cancel_step(self, request: engine_pb2.CancelStepRequest) -> engine_pb2.CancelStepResponse:
        """Ask work to stop."""
        return await self._unary("CancelStep", self._stub.CancelStep, request)

    async def drain(self, request: engine_pb2.DrainRequest) -> engine_pb2.DrainResponse:
        """Ask the instance to take no new work."""
        return await self._unary("Drain", self._stub.Drain, request)

    def _stream(self, method: str, call: Any, request: Message, metadata: Metadata) -> Stream:
        return Stream(
            method, call(request, timeout=self._timeout, metadata=metadata or None), self._hear, self._clock
        )

    async def _unary(
        self, method: str, call: Callable[..., Awaitable[M]], request: Message, *, wait: bool = False
    ) -> M:
        try:
            answer = await call(request, timeout=self._timeout, wait_for_ready=wait)
        except grpc.aio.AioRpcError as error:
            refusal = RefusedError(method, error)
            self._hear(_as_message(refusal))
            raise refusal from error
        self._hear(answer)
        return answer

    def _hear(self, message: Message) -> None:
        if self.heard is not None:
            self.heard.append(message.SerializeToString())


def _as_message(refusal: RefusedError) -> Message:
    """Put what a refusal says into a message, so that it is searched for secrets like all else."""
    told = refusal.told
    texts = [told.message, told.reason, told.remedy, *told.metadata.values()]
    texts += [f"{fault.field} {fault.description}" for fault in told.violations]
    return diagnostic_pb2.Diagnostic(detail="\n".join(texts))
