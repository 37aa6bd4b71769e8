"""From an OTLP export to samples. Pure.

`intake.py` calls it for every export. Metrics that mean no signal are passed over; points of those that do
are turned into samples, or left out with a reason.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from controlplane.demand import otel_names as names
from controlplane.demand.samples import Kind, Line, Point, Reason
from controlplane.demand.signals import DemandKey

_NO_VALUE = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
_NANO = 1e9


class Left(NamedTuple):
    """A point that was left out.

    Attributes:
        key: What it was about; None where no workload that exists was named.
        reason: Why.
    """

    key: DemandKey | None
    reason: Reason


@dataclass(slots=True)
class Decoded:
    """What is in an export.

    Attributes:
        points: Samples, in their order.
        left: Points that were left out.
        passed: How many points were passed over, since they are about no demand.
    """

    points: list[Point] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    passed: int = 0


def decode(request: ExportMetricsServiceRequest, known: Container[str]) -> Decoded:
    """Answer the samples of an export.

    Args:
        request: The export.
        known: The ids of all workloads.
    """
    decoded = Decoded()
    for group in request.resource_metrics:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                points = list(_points(metric))
                if metric.name in names.MEANINGS:
                    _Metric(metric, resource, known, decoded).decode(points)
                else:
                    decoded.passed += len(points)
    return decoded


class _Metric:
    """One metric of one OpenTelemetry resource."""

    def __init__(
        self, metric: metrics_pb2.Metric, resource: names.Attributes, known: Container[str], into: Decoded
    ) -> None:
        self._metric = metric
        self._meaning = names.MEANINGS[metric.name]
        self._resource = resource
        self._known = known
        self._into = into
        self._kind = _kind(metric, counter=self._meaning.counter)
        self._scale = names.scale_of(metric.name, metric.unit)

    def decode(self, points: Iterable[Any]) -> None:
        for point in points:
            own = _attributes(point.attributes)
            if self._meaning.passes_over(own):
                self._into.passed += 1
                continue
            workload = names.workload_of(own, self._resource, self._known)
            fault = Reason.UNKNOWN_WORKLOAD if workload is None else self._fault(point)
            if workload is None or fault is not None:
                key = DemandKey(workload, self._meaning.signal) if workload is not None else None
                self._into.left.append(Left(key, fault or Reason.UNKNOWN_WORKLOAD))
            else:
                self._into.points.append(self._point(point, own, workload))

    def _fault(self, point: Any) -> Reason | None:
        if isinstance(self._kind, Reason):
            return self._kind
        if self._scale is None:
            return Reason.WRONG_UNIT
        if point.flags & _NO_VALUE or point.WhichOneof("value") is None:
            return Reason.NO_VALUE
        return Reason.NO_CPU_COUNT if self._meaning.of_all_cpus and not self._cpus() else None

    def _point(self, point: Any, own: names.Attributes, workload: str) -> Point:
        assert isinstance(self._kind, Kind), "a fault was found before"
        part, reporter = names.part_of(self._metric.name, own, self._resource)
        line = Line(
            workload,
            self._meaning.signal,
            names.resource_of(own, self._resource),
            part,
            names.rank_of(self._metric.name),
        )
        value = float(getattr(point, point.WhichOneof("value"))) * (self._scale or 1.0)
        if self._meaning.of_all_cpus:
            value *= self._cpus()
        start, time = point.start_time_unix_nano / _NANO, point.time_unix_nano / _NANO
        return Point(line, reporter, self._kind, start, time, value)

    def _cpus(self) -> float:
        try:
            return max(0.0, float(self._resource.get(names.CPU_COUNT, "")))
        except ValueError:
            return 0.0


def _kind(metric: metrics_pb2.Metric, *, counter: bool) -> Kind | Reason:
    """Answer what the values of a metric mean, or why they cannot mean what its name says."""
    data = metric.WhichOneof("data")
    if data == "gauge" and not counter:
        return Kind.GAUGE
    if data != "sum" or metric.sum.is_monotonic != counter:
        return Reason.WRONG_KIND
    delta = metric.sum.aggregation_temporality == _DELTA
    if counter:
        return Kind.DELTA if delta else Kind.CUMULATIVE
    return Reason.WRONG_TEMPORALITY if delta else Kind.GAUGE


def _points(metric: metrics_pb2.Metric) -> Iterator[Any]:
    data = metric.WhichOneof("data")
    if data is not None:
        yield from getattr(metric, data).data_points


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Answer attributes as text; lists and maps are told by their wire form, which tells them apart."""
    return {pair.key: _text(pair.value) for pair in pairs}


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    content = getattr(value, kind)
    return content if isinstance(content, str) else str(content)
