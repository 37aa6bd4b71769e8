"""What the process engine measured comes out as OpenTelemetry instruments, told apart by resource."""

from collections.abc import Iterator

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, NumberDataPoint

from enchain.engines.process.measuring import Measurement
from enchain.engines.process.records import Service
from enchain.engines.process.telemetry import ServiceMetrics


def service(resource: str) -> Service:
    return Service(resource, "acme", f"{resource}/serve", "site", "/d", "127.0.0.1", 80)


def readings_of(reader: InMemoryMetricReader) -> dict[tuple[str, str, str], float]:
    data = reader.get_metrics_data()
    assert data is not None
    return dict(
        reading
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for reading in numbers_of(metric)
    )


def numbers_of(metric: Metric) -> Iterator[tuple[tuple[str, str, str], float]]:
    for point in metric.data.data_points:
        assert isinstance(point, NumberDataPoint)
        attributes = point.attributes or {}
        direction = str(attributes.get("network.io.direction", ""))
        yield (metric.name, str(attributes["enchain.resource"]), direction), point.value


def test_each_service_is_a_series_of_its_own_and_the_unmeasurable_is_left_out() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    readings = {
        "a": (service("R1"), Measurement(1.5, 4096, 2, 10, 20, 3)),
        "b": (service("R2"), Measurement(0.5, 100, 1, None, None, 0)),
    }
    ServiceMetrics(provider.get_meter("test"), lambda: readings)

    assert readings_of(reader) == {
        ("enchain.service.cpu.time", "R1", ""): 1.5,
        ("enchain.service.cpu.time", "R2", ""): 0.5,
        ("enchain.service.memory.usage", "R1", ""): 4096,
        ("enchain.service.memory.usage", "R2", ""): 100,
        ("enchain.service.network.io", "R1", "receive"): 10,
        ("enchain.service.network.io", "R1", "transmit"): 20,
        ("enchain.service.processes", "R1", ""): 2,
        ("enchain.service.processes", "R2", ""): 1,
        ("enchain.service.restarts", "R1", ""): 3,
        ("enchain.service.restarts", "R2", ""): 0,
    }
    provider.shutdown()
