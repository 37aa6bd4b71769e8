"""Spans and metrics around gRPC calls, with W3C trace context in their metadata.

`channels` and `servers` put these on; nobody else needs them. They know the OpenTelemetry API only: without
an SDK in the process they cost next to nothing. Payloads never reach a span.

Why not `opentelemetry-instrumentation-grpc`: on servers it breaks handlers that write to their context;
on clients it turns streaming calls into bare generators, which can be neither cancelled nor asked for their
status, and it ends a stream's span only where the stream is read to its end.
"""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_SCOPE = "enchain.process"
_W3C = TraceContextTextMapPropagator()
_tracer = trace.get_tracer(_SCOPE)
_meter = metrics.get_meter(_SCOPE)

_calls = _meter.create_counter(
    "enchain.rpc.server.calls", "{call}", "Calls that ended, by method and status."
)
_durations = _meter.create_histogram(
    "enchain.rpc.server.duration",
    "s",
    "How long calls took, streams from first to last.",
    explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800],
)
_in_flight = _meter.create_up_down_counter("enchain.rpc.server.in_flight", "{call}", "Calls that run now.")

_SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes that make a server's span an error; the others are the caller's."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def client_interceptors() -> list[Any]:
    """Answer the interceptors of a channel: one for each of gRPC's four kinds of call."""
    return [_UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()]


@asynccontextmanager
async def traced_call(method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Give a server's call its span, its place in the caller's trace, and its metrics."""
    name = method.lstrip("/")
    parent = _W3C.extract(_carrier(context.invocation_metadata()))
    span = _tracer.start_span(name, parent, trace.SpanKind.SERVER, _attributes(name))
    token = contexts.attach(trace.set_span_in_context(span, parent))
    labels = {"method": name}
    started = time.perf_counter()
    _in_flight.add(1, labels)
    try:
        yield
    finally:
        code = _code_of(context, sys.exception())
        _in_flight.add(-1, labels)
        _calls.add(1, {**labels, "code": code.name})
        _durations.record(time.perf_counter() - started, {**labels, "code": code.name})
        contexts.detach(token)
        _end(span, code, is_error=code in _SERVER_FAULTS)


def _code_of(context: grpc.aio.ServicerContext[Any, Any], error: BaseException | None) -> grpc.StatusCode:
    """Find out how a call ends. gRPC's context holds a plain number, or 0 where nothing was set."""
    code: Any = context.code()
    known = code if isinstance(code, grpc.StatusCode) else _CODES.get(code or 0, grpc.StatusCode.UNKNOWN)
    if error is None or known is not grpc.StatusCode.OK:
        return known
    return grpc.StatusCode.UNKNOWN if isinstance(error, Exception) else grpc.StatusCode.CANCELLED


def _attributes(name: str) -> dict[str, str]:
    service, _, method = name.rpartition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}


def _end(span: trace.Span, code: grpc.StatusCode, *, is_error: bool) -> None:
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if is_error:
        # The name of the code and never its details: those may repeat what somebody typed.
        span.set_status(trace.Status(trace.StatusCode.ERROR, code.name))
    span.end()


def _carrier(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}


class _Outgoing:
    """What the four client interceptors share: begin a span, send it along, end it with the call."""

    async def _traced(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        name = _name_of(details.method)
        span = _tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=_attributes(name))
        if not span.get_span_context().is_valid:
            return await continuation(details, request)  # no SDK and no trace to carry on
        try:
            call = await continuation(_with_trace(details, span), request)
            call.add_done_callback(lambda done: _end_with(span, done))
        except BaseException:
            _end(span, grpc.StatusCode.UNKNOWN, is_error=True)
            raise
        return call


def _name_of(method: str | bytes) -> str:
    """Answer `package.Service/Method`. gRPC hands over bytes where its types say str."""
    return (method.decode() if isinstance(method, bytes) else method).lstrip("/")


def _with_trace(details: Any, span: trace.Span) -> grpc.aio.ClientCallDetails:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span))
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    for key, value in carrier.items():
        metadata[key] = value
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


def _end_with(span: trace.Span, call: Any) -> None:
    """End a span with its call's status, which is there already although gRPC makes it awaitable."""
    asking = call.code()
    try:
        asking.send(None)
    except StopIteration as answer:
        code = answer.value or grpc.StatusCode.UNKNOWN
    else:
        asking.close()
        code = grpc.StatusCode.UNKNOWN
    _end(span, code, is_error=code is not grpc.StatusCode.OK)


class _UnaryUnary(_Outgoing, grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._traced(continuation, client_call_details, request)


class _UnaryStream(_Outgoing, grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._traced(continuation, client_call_details, request)


class _StreamUnary(_Outgoing, grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._traced(continuation, client_call_details, request_iterator)


class _StreamStream(_Outgoing, grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._traced(continuation, client_call_details, request_iterator)
