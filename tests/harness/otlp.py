"""An OpenTelemetry collector inside the test: a real gRPC server that keeps what processes export to it.

async with OtlpReceiver() as receiver:
    ...start processes with --otlp receiver.address...
    spans = await eventually(lambda: receiver.spans_of("enchain-router"))
"""

from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from enchain.process.tls import TlsFiles, server_credentials


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """One exported span, in words that tests compare."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    failed: bool
    attributes: dict[str, Any] = field(default_factory=dict)


class OtlpReceiver:
    """Receives spans and metrics on loopback, or with TLS where files are given."""

    def __init__(self, tls: TlsFiles | None = None) -> None:
        self.address = ""
        self.spans: list[SeenSpan] = []
        self.metrics: dict[str, set[str]] = defaultdict(set)
        """Names of metrics by service."""
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        traces: Any = trace_service_pb2_grpc  # generated without types
        metrics: Any = metrics_service_pb2_grpc  # likewise
        traces.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        metrics.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)
        listen = "127.0.0.1:0"
        port = (
            self._server.add_secure_port(listen, server_credentials(self._tls))
            if self._tls
            else self._server.add_insecure_port(listen)
        )
        self.address = f"127.0.0.1:{port}"
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._server.stop(None)

    def spans_of(self, service: str) -> list[SeenSpan]:
        """Answer what one service exported, in the order of arrival."""
        return [span for span in self.spans if span.service == service]

    def traces(self) -> dict[str, list[SeenSpan]]:
        """Answer the spans by trace id."""
        found: dict[str, list[SeenSpan]] = defaultdict(list)
        for span in self.spans:
            found[span.trace_id].append(span)
        return dict(found)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        for resource in request.resource_spans:
            service = _plain(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                self._receiver.spans += [_seen(service, span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        for resource in request.resource_metrics:
            service = _plain(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_metrics:
                self._receiver.metrics[service] |= {metric.name for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _seen(service: str, span: Any) -> SeenSpan:
    return SeenSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_plain(span.attributes),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in attributes
    }
