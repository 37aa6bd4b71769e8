"""Traces and metrics of a process: OTLP out, a Prometheus page, and thin access for everybody else.

Every process calls `configure_telemetry` once, first of all. The SDK is imported only there: the base install
has the API alone, against which `tracer` and `meter` work whether or not anything listens.
"""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from enchain.chains.errors import InvalidArgumentError, PreconditionError, Violation
from enchain.process.tls import TlsFiles, channel_credentials, is_loopback, require_safe

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

EXPORT_SECONDS = 15
"""How often metrics are pushed, unless OTEL_METRIC_EXPORT_INTERVAL says otherwise.

Traces go in batches of their own, from a queue that drops when full.
"""

FLUSH_SECONDS = 3
"""How long shutting down may wait for a collector; a dead one must not hold a process."""

_W3C = TraceContextTextMapPropagator()


def tracer(name: str) -> trace.Tracer:
    """Answer a tracer; `name` is the module's."""
    return trace.get_tracer(name)


def meter(name: str) -> metrics.Meter:
    """Answer a meter; `name` is the module's."""
    return metrics.get_meter(name)


def current_traceparent() -> str:
    """Answer the current span as a W3C `traceparent`; empty where there is none."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent", "")


def context_from(traceparent: str) -> Context:
    """Answer a context that goes on with a trace written down earlier; the current one where it is empty."""
    return _W3C.extract({"traceparent": traceparent} if traceparent else {})


@dataclass(slots=True)
class Telemetry:
    """What was configured, to be shut down at the end.

    Attributes:
        metrics_address: `host:port` of the Prometheus page; empty where there is none.
    """

    metrics_address: str = ""
    _closers: list[Any] = field(default_factory=list)

    def shutdown(self) -> None:
        """Send what is left, then stop. Takes a few seconds at most; later calls do nothing."""
        while self._closers:
            self._closers.pop()()


def configure_telemetry(
    service: str,
    *,
    otlp_endpoint: str | None = None,
    otlp_tls: TlsFiles | None = None,
    otlp_metrics_endpoint: str | None = None,
    otlp_metrics_tls: TlsFiles | None = None,
    metrics_listen: str | None = None,
    metrics_tls: TlsFiles | None = None,
    allow_insecure: bool = False,
    instance: str = "",
) -> Telemetry:
    """Set the process's tracer and meter up. Once per process, before anything is traced.

    Args:
        service: `service.name`, such as `enchain-router`.
        otlp_endpoint: `host:port` of an OTLP/gRPC collector, with or without `http://` or `https://`.
        otlp_tls: Certificates for it.
        otlp_metrics_endpoint: The same for something that takes metrics and no traces.
        otlp_metrics_tls: Certificates for that.
        metrics_listen: `host:port` of the Prometheus page; port 0 takes a free one.
        metrics_tls: Certificates of that page; scrapers must then show one too.
        allow_insecure: The page may be read from other machines without TLS.
        instance: `service.instance.id`.

    Raises:
        PreconditionError: The SDK is not installed.
        InvalidArgumentError: An address or certificate cannot be used.
    """
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the base install has no SDK
    except ImportError as error:
        raise PreconditionError(
            "telemetry needs the OpenTelemetry SDK, which the plain install leaves out",
            reason="TELEMETRY_NOT_INSTALLED",
            remedy="Install enchain[server].",
        ) from error
    resource = Resource.create(
        {"service.name": service, **({"service.instance.id": instance} if instance else {})}
    )
    telemetry = Telemetry()
    endpoint = _Endpoint.parse(otlp_endpoint, otlp_tls) if otlp_endpoint else None
    readers: list[MetricReader] = []
    if metrics_listen:
        require_safe(metrics_listen, metrics_tls, allow_insecure=allow_insecure, field="metrics_listen")
        tls = None if is_loopback(metrics_listen) else metrics_tls
        readers.append(_serve_metrics(telemetry, metrics_listen, tls))
    if endpoint:
        readers.append(_push_metrics(endpoint))
    if otlp_metrics_endpoint:
        readers.append(_push_metrics(_Endpoint.parse(otlp_metrics_endpoint, otlp_metrics_tls)))
    _set_meter_provider(telemetry, resource, readers)
    _set_tracer_provider(telemetry, resource, endpoint)
    return telemetry


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Where OTLP goes, in the words of both exporters."""

    address: str
    tls: TlsFiles | None
    insecure: bool

    @classmethod
    def parse(cls, text: str, tls: TlsFiles | None) -> "_Endpoint":
        address = text.removeprefix("https://").removeprefix("http://").rstrip("/")
        _host_and_port(address, "otlp")
        return cls(address, tls, insecure=tls is None and not text.startswith("https://"))

    def arguments(self) -> dict[str, Any]:
        credentials = channel_credentials(self.tls) if self.tls else None
        return {"endpoint": self.address, "insecure": self.insecure, "credentials": credentials}


def _set_tracer_provider(telemetry: Telemetry, resource: "Resource", endpoint: _Endpoint | None) -> None:
    """Make spans. Without a collector too: their ids join log lines of several processes."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the base install has no SDK

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - likewise
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - likewise

        exporter = OTLPSpanExporter(**endpoint.arguments(), timeout=FLUSH_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    telemetry._closers.append(provider.shutdown)  # noqa: SLF001 - one module, one owner


def _set_meter_provider(telemetry: Telemetry, resource: "Resource", readers: "list[MetricReader]") -> None:
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - the base install has no SDK

    provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    telemetry._closers.append(  # noqa: SLF001 - one module, one owner
        lambda: provider.shutdown(timeout_millis=FLUSH_SECONDS * 1000)
    )


def _push_metrics(endpoint: _Endpoint) -> "MetricReader":
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - no SDK in the base
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415 - likewise
        PeriodicExportingMetricReader,
    )

    exporter = OTLPMetricExporter(**endpoint.arguments(), timeout=FLUSH_SECONDS)
    # The SDK reads the variable itself where it is given nothing.
    own = None if "OTEL_METRIC_EXPORT_INTERVAL" in os.environ else EXPORT_SECONDS * 1000
    return PeriodicExportingMetricReader(exporter, export_interval_millis=own)


def _serve_metrics(telemetry: Telemetry, listen: str, tls: TlsFiles | None) -> "MetricReader":
    import prometheus_client  # noqa: PLC0415 - the base install has none
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 - likewise

    host, port = _host_and_port(listen, "metrics_listen")
    registry = prometheus_client.CollectorRegistry()
    for collect in (prometheus_client.ProcessCollector, prometheus_client.PlatformCollector):
        collect(registry=registry)
    reader = PrometheusMetricReader(registry=registry)
    secure: dict[str, Any] = (
        {
            "certfile": str(tls.certificate),
            "keyfile": str(tls.key),
            "client_cafile": str(tls.authority) if tls.authority else None,
            "client_auth_required": tls.authority is not None,
        }
        if tls
        else {}
    )
    try:
        server, thread = prometheus_client.start_http_server(port, host, registry, **secure)
    except OSError as error:
        raise _unusable(listen, "metrics_listen", str(error)) from error
    telemetry.metrics_address = f"{host}:{server.server_port}"

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join(FLUSH_SECONDS)

    telemetry._closers.append(close)  # noqa: SLF001 - one module, one owner
    return reader


def _host_and_port(address: str, field_: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise _unusable(address, field_, "it is no host:port")
    return host.strip("[]"), int(port)


def _unusable(address: str, field_: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"cannot use {address}: {why}",
        reason="ADDRESS_UNUSABLE",
        remedy="Give a free host:port of this machine.",
        metadata={"address": address},
        violations=[Violation(field_, f"{address}: {why}", "ADDRESS_UNUSABLE")],
    )
