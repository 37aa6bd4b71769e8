"""What services use up, as OpenTelemetry instruments, with the workload and the resource as attributes.

The engine makes one `ServiceMetrics` at start. The readings are those that the supervisor took; reading them
costs nothing and may happen in any thread.
"""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from enchain.engines.process.measuring import Measurement
from enchain.engines.process.records import Service

Readings = Callable[[], Mapping[str, tuple[Service, Measurement]]]


class ServiceMetrics:
    """Registers the instruments.

    Args:
        meter: Where.
        readings: Answers the newest totals by service.
    """

    def __init__(self, meter: Meter, readings: Readings) -> None:
        self._readings = readings
        meter.create_observable_counter(
            "enchain.service.cpu.time", [self._cpu], unit="s", description="CPU time of provisioned services"
        )
        meter.create_observable_gauge(
            "enchain.service.memory.usage", [self._memory], unit="By", description="Resident memory of them"
        )
        meter.create_observable_counter(
            "enchain.service.network.io", [self._network], unit="By", description="TCP bytes of them"
        )
        meter.create_observable_gauge(
            "enchain.service.processes", [self._processes], unit="{process}", description="Their processes"
        )
        meter.create_observable_gauge(
            "enchain.service.restarts", [self._restarts], unit="{restart}", description="Restarts in a row"
        )

    def _cpu(self, _: CallbackOptions) -> Iterable[Observation]:
        for attributes, measurement in self._each():
            yield Observation(measurement.cpu_seconds, attributes)

    def _memory(self, _: CallbackOptions) -> Iterable[Observation]:
        for attributes, measurement in self._each():
            yield Observation(measurement.memory_bytes, attributes)

    def _network(self, _: CallbackOptions) -> Iterable[Observation]:
        for attributes, measurement in self._each():
            if measurement.received_bytes is not None and measurement.sent_bytes is not None:
                yield Observation(
                    measurement.received_bytes, {**attributes, "network.io.direction": "receive"}
                )
                yield Observation(measurement.sent_bytes, {**attributes, "network.io.direction": "transmit"})

    def _processes(self, _: CallbackOptions) -> Iterable[Observation]:
        for attributes, measurement in self._each():
            yield Observation(measurement.processes, attributes)

    def _restarts(self, _: CallbackOptions) -> Iterable[Observation]:
        for attributes, measurement in self._each():
            yield Observation(measurement.restarts, attributes)

    def _each(self) -> Iterable[tuple[dict[str, str], Measurement]]:
        for service, measurement in self._readings().values():
            yield attributes_of(service), measurement


def attributes_of(service: Service) -> dict[str, str]:
    """Answer what a service's readings are told apart by."""
    return {
        "enchain.workload": service.workload,
        "enchain.resource": service.resource,
        "enchain.step": service.work_id.partition("/")[2],
        "enchain.tenant": service.tenant,
        "enchain.engine": "process",
    }
