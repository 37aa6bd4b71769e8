"""Calling engine instances: what the pipeline wants sent, and what comes back as its events.

Executions call it with a place they hold. It never decides: whatever cannot be understood or reached
becomes an event that says so. Fencing is the caller's: it says when a call may go out, and a token that an
engine refuses ends the call with `DisplacedError`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from dataplane.dispatch.channels import Channels
from dataplane.dispatch.circuits import Circuits
from dataplane.dispatch.floods import Flood, cut
from dataplane.dispatch.protocol import Reader, ViolationError, violation
from dataplane.journal.ownership import DisplacedError
from dataplane.routing import events
from dataplane.routing.effects import CallApply, CallDestroy
from dataplane.routing.findings import of_error
from enchain.chains.errors import (
    CallerError,
    ConflictError,
    EnchainError,
    ExhaustedError,
    MalformedError,
    UnavailableError,
    UnimplementedError,
)
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.statuses import from_rpc_error
from enchain.process.telemetry import current_traceparent, meter
from enchain.v1 import diagnostic_pb2
from enchain.v1 import engine_pb2 as registry_pb2

if TYPE_CHECKING:
    from dataplane.dispatch.channels import Stub

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # its stub has none

UNARY_SECONDS = 10.0
"""How long a question to an engine may take."""

HEARTBEAT_SECONDS = 10.0
"""How often an engine that does not say so is expected to be heard of."""

HEARTBEATS_MISSED = 3

RESULT_GRACE_SECONDS = 5.0
"""How long a stream may stay open after its result."""

_log = get_logger(__name__)
_meter = meter(__name__)
_dropped = _meter.create_counter(
    "enchain.step.lines_dropped", "{line}", "Lines and progress of engines that were too many to show."
)
_violations = _meter.create_counter(
    "enchain.engine.violations", "{stream}", "Streams in which an engine did not keep the protocol."
)


@dataclass(frozen=True, slots=True)
class Token:
    """What fences a call: the store's epoch and the owner's create revision."""

    epoch: int
    revision: int


class Engines:
    """Calls engine instances.

    Args:
        channels: Connections.
        circuits: Who did not answer lately; told of every call.
        clock: Time.
    """

    def __init__(self, channels: Channels, circuits: Circuits, *, clock: Clock) -> None:
        self._channels = channels
        self._circuits = circuits
        self._clock = clock
        self._heartbeats: dict[str, float] = {}

    async def run(
        self,
        effect: CallApply | CallDestroy,
        instance: registry_pb2.EngineInstance,
        token: Token,
        *,
        fence: Callable[[], Awaitable[None]],
    ) -> AsyncGenerator[events.Event, None]:
        """Send a step's call and yield what happens, until it has ended or cannot be followed.

        The last event is a result, an absence, or `StepUnreachable`.

        Args:
            effect: What to send.
            instance: Whom to.
            token: Fences it at the engine.
            fence: Awaited at the last moment: what was asked before may have taken longer than the lease.

        Raises:
            DisplacedError: The engine knows a newer token.
        """
        effect.request.call.token.CopyFrom(_wire(token))
        effect.request.call.traceparent = current_traceparent()
        try:
            with self._channels.lend(instance.address) as stub:
                await self._greet(stub, instance)
                if effect.again:
                    told = await self._ask(stub, effect, instance)
                    if told is not None:
                        yield told
                        return
                await fence()
                async with aclosing(self._stream(stub, effect, instance)) as happened:
                    async for event in happened:
                        yield event
            self._circuits.answered(instance.name)
        except grpc.aio.AioRpcError as error:
            yield await self._failed(from_rpc_error(error), effect, instance)
        except MalformedError as error:
            self._circuits.failed(instance.name, self._clock.monotonic())
            yield self._unreachable(effect, instance, error)

    async def _stream(
        self, stub: "Stub", effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance
    ) -> AsyncGenerator[events.Event, None]:
        """Read one stream to its end."""
        reader, flood = Reader(effect.step), Flood()
        call: Any = (
            stub.Apply(effect.request) if isinstance(effect, CallApply) else stub.Destroy(effect.request)
        )
        try:
            while True:
                limit = RESULT_GRACE_SECONDS if reader.result else self._silence(instance.name)
                try:
                    async with asyncio.timeout(limit):
                        event = await call.read()
                except TimeoutError:
                    if reader.result is not None:
                        raise ViolationError("it left its stream open after the result") from None
                    yield self._silent(effect, instance, limit)
                    return
                if event is EOF:
                    yield reader.ended()
                    return
                for told in reader.read(event):
                    shown = self._shown(told, flood)
                    if shown is not None:
                        yield shown
        except ViolationError as error:
            _violations.add(1, {"engine": instance.engine})
            _log.error("engine does not keep the protocol", instance=instance.name, told=error.told)
            step = effect.request.call.steps[0]
            found = violation(error.told, step=step, engine=instance.engine, instance=instance.name)
            yield events.StepUnreachable(effect.step, found.summary, found)
        finally:
            call.cancel()
            if flood.total:
                _dropped.add(flood.total, {"engine": instance.engine})

    def _shown(self, event: events.Event, flood: Flood) -> events.Event | None:
        """Let through what may be shown; drop and count the rest."""
        now = self._clock.monotonic()
        if isinstance(event, events.StepLogged):
            if not flood.passes(len(event.line), now):
                return None
            return events.StepLogged(event.step, cut(event.line), event.dropped + flood.take_dropped())
        if isinstance(event, events.StepProgressed):
            if not flood.passes(len(event.message), now):
                return None
            return events.StepProgressed(event.step, cut(event.message), event.fraction)
        return event

    async def _ask(
        self, stub: "Stub", effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance
    ) -> events.Event | None:
        """Ask how a piece of work stands; None where its call must be sent to find out."""
        request = engine_pb2.GetStepRequest(call=effect.request.call)
        answer = await stub.GetStep(request, timeout=UNARY_SECONDS)
        if answer.state != engine_pb2.GetStepResponse.STATE_FINISHED:
            return None
        if answer.result.outcome != diagnostic_pb2.OUTCOME_UNKNOWN:
            return events.StepResult(effect.step, answer.result)
        return await self._observe(stub, effect, instance)

    async def _observe(
        self, stub: "Stub", effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance
    ) -> events.Event:
        """Nobody recorded how it ended: look whether anything is there."""
        if registry_pb2.CAPABILITY_OBSERVE in instance.capabilities:
            handle = effect.request.handle if isinstance(effect, CallDestroy) else effect.request.prior
            request = engine_pb2.ObserveRequest(call=effect.request.call, handle=handle)
            seen = await stub.Observe(request, timeout=UNARY_SECONDS)
            if seen.presence == engine_pb2.ObserveResponse.PRESENCE_ABSENT:
                return events.StepAbsent(effect.step, f"{instance.engine} has looked and found nothing")
        return events.StepUnreachable(effect.step, f"{instance.engine} cannot say how the step ended")

    async def _failed(
        self, error: EnchainError, effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance
    ) -> events.Event:
        """Say what a call that could not be carried out means for the step."""
        if error.reason == "STALE_TOKEN":
            raise DisplacedError(f"{instance.name} knows a newer owner of {effect.request.call.work_id}")
        if isinstance(error, UnavailableError):
            self._circuits.failed(instance.name, self._clock.monotonic())
        if isinstance(error, ExhaustedError) and error.retry_after is not None:
            # Without that it is the request that is too large, and will be next time.
            self._circuits.busy(instance.name, self._clock.monotonic())
            reason = f"{instance.name} has no place free"
            return events.StepUnreachable(effect.step, reason, busy=True)
        refused = isinstance(error, CallerError) and not isinstance(error, ConflictError)
        if refused:
            return await self._refused(error, effect, instance)
        return self._unreachable(effect, instance, error)

    async def _refused(
        self, error: EnchainError, effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance
    ) -> events.Event:
        """The engine refused the call. Where it has never seen the key, nothing was made."""
        request = engine_pb2.GetStepRequest(call=effect.request.call)
        try:
            with self._channels.lend(instance.address) as stub:
                answer = await stub.GetStep(request, timeout=UNARY_SECONDS)
        except grpc.aio.AioRpcError as failure:
            return self._unreachable(effect, instance, from_rpc_error(failure))
        if answer.state == engine_pb2.GetStepResponse.STATE_FINISHED:
            return events.StepResult(effect.step, answer.result)
        told = of_error(error, step=effect.request.call.steps[0], engine=instance.engine)
        if answer.state == engine_pb2.GetStepResponse.STATE_ABSENT:
            clean = diagnostic_pb2.OUTCOME_FAILED_CLEAN
            return events.StepResult(effect.step, engine_pb2.StepResult(outcome=clean, diagnostics=[told]))
        return events.StepUnreachable(effect.step, error.message, told)

    async def cancel(
        self,
        call: engine_pb2.StepCall,
        instance: registry_pb2.EngineInstance,
        token: Token,
        reason: str,
    ) -> None:
        """Ask an engine to stop a step's work. Where that fails, the step goes on to its end.

        Raises:
            DisplacedError: The engine knows a newer token.
        """
        call.token.CopyFrom(_wire(token))
        request = engine_pb2.CancelStepRequest(call=call, reason=reason)
        try:
            with self._channels.lend(instance.address) as stub:
                await stub.CancelStep(request, timeout=UNARY_SECONDS)
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            if error.reason == "STALE_TOKEN":
                raise DisplacedError(f"{instance.name} knows a newer owner of {call.work_id}") from failure
            if not isinstance(error, UnimplementedError):
                _log.warning("step not cancelled", instance=instance.name, reason=error.message)

    async def plan(
        self, request: engine_pb2.PlanRequest, instance: registry_pb2.EngineInstance
    ) -> engine_pb2.PlanResult:
        """Ask what a step would do.

        Raises:
            EnchainError: The engine cannot be reached, refuses, or does not keep the protocol.
        """
        try:
            with self._channels.lend(instance.address) as stub:
                await self._greet(stub, instance)
                call: Any = stub.Plan(request)
                try:
                    return await self._read_plan(call, instance)
                finally:
                    call.cancel()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        except TimeoutError as error:
            raise UnavailableError(f"{instance.name} did not answer", reason="ENGINE_SILENT") from error

    async def _read_plan(self, call: Any, instance: registry_pb2.EngineInstance) -> engine_pb2.PlanResult:
        while True:
            async with asyncio.timeout(self._silence(instance.name)):
                event = await call.read()
            if event is EOF:
                raise MalformedError(f"{instance.name} planned without a result", reason="ENGINE_PROTOCOL")
            if event.WhichOneof("event") == "plan":
                return event.plan  # type: ignore[no-any-return]  # gRPC's read is untyped
            if event.WhichOneof("event") == "result":
                told = event.result.diagnostics[0].summary if event.result.diagnostics else "it failed"
                raise MalformedError(f"{instance.name} cannot plan: {told}", reason="PLAN_FAILED")

    async def _greet(self, stub: "Stub", instance: registry_pb2.EngineInstance) -> None:
        """Make sure once per instance that its address leads to it; ports are used again.

        Raises:
            MalformedError: Somebody else answers there.
        """
        if instance.name in self._heartbeats:
            return
        request = engine_pb2.HandshakeRequest(caller="router", capabilities=list(ALL_CAPABILITIES))
        answer = await stub.Handshake(request, timeout=UNARY_SECONDS)
        if answer.instance.name not in ("", instance.name):
            raise MalformedError(
                f"{instance.address} is {answer.instance.name}, not {instance.name}", reason="OTHER_INSTANCE"
            )
        told = answer.heartbeat_interval.ToTimedelta().total_seconds()
        self._heartbeats[instance.name] = told if told > 0 else HEARTBEAT_SECONDS

    def forget(self, present: frozenset[str]) -> None:
        """Drop what is known of instances that are gone."""
        for name in set(self._heartbeats) - present:
            del self._heartbeats[name]

    def _silence(self, instance: str) -> float:
        return self._heartbeats.get(instance, HEARTBEAT_SECONDS) * HEARTBEATS_MISSED

    def _silent(
        self, effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance, seconds: float
    ) -> events.StepUnreachable:
        self._circuits.failed(instance.name, self._clock.monotonic())
        return events.StepUnreachable(effect.step, f"{instance.name} was silent for {seconds:g} s")

    def _unreachable(
        self, effect: CallApply | CallDestroy, instance: registry_pb2.EngineInstance, error: EnchainError
    ) -> events.StepUnreachable:
        _log.warning("engine call broke", instance=instance.name, reason=error.message, code=error.reason)
        return events.StepUnreachable(effect.step, f"{instance.name}: {error.message}")


ALL_CAPABILITIES: tuple[registry_pb2.Capability.ValueType, ...] = (
    registry_pb2.CAPABILITY_PLAN,
    registry_pb2.CAPABILITY_OBSERVE,
    registry_pb2.CAPABILITY_CANCEL,
    registry_pb2.CAPABILITY_UPDATE,
    registry_pb2.CAPABILITY_REATTACH,
)


def _wire(token: Token) -> engine_pb2.FencingToken:
    return engine_pb2.FencingToken(epoch=token.epoch, revision=token.revision)
