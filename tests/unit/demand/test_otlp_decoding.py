"""What an OTLP export means: which signal, whose, of which resource; what cannot be meant is left out."""

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from controlplane.demand.grid import ResourceCell, combined
from controlplane.demand.otlp import Decoded, Left, decode
from controlplane.demand.samples import Kind, Reason
from controlplane.demand.signals import DemandKey, Signal

KNOWN = {"site", "web"}
TIME = 1_767_225_600
CUMULATIVE, DELTA = 2, 1
SITE_CPU = DemandKey("site", Signal.CPU)


def exported(
    name: str,
    data: str,
    *points: dict[str, Any],
    unit: str = "",
    resource: dict[str, str] | None = None,
    monotonic: bool = True,
    temporality: int = CUMULATIVE,
) -> Decoded:
    """Decode an export of one metric."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    for key, value in ({"enchain.workload": "site"} if resource is None else resource).items():
        group.resource.attributes.add(key=key).value.string_value = value
    metric = group.scope_metrics.add().metrics.add(name=name, unit=unit)
    if data == "sum":
        metric.sum.is_monotonic = monotonic
        metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]  # its enum is a number
    for given in points:
        point = getattr(metric, data).data_points.add(time_unix_nano=TIME * 10**9)
        for key, value in given.items():
            if key in {"as_double", "as_int", "flags", "start_time_unix_nano", "count"}:
                setattr(point, key, value)
            else:
                point.attributes.add(key=key).value.string_value = value
    return decode(request, KNOWN)


@pytest.mark.parametrize(
    ("name", "unit", "data", "monotonic", "signal", "kind", "value"),
    [
        ("enchain.service.cpu.time", "s", "sum", True, Signal.CPU, Kind.CUMULATIVE, 2.0),
        ("enchain.service.memory.usage", "By", "gauge", True, Signal.MEMORY, Kind.GAUGE, 2.0),
        ("enchain.service.network.io", "By", "sum", True, Signal.NETWORK, Kind.CUMULATIVE, 2.0),
        ("process.memory.usage", "By", "sum", False, Signal.MEMORY, Kind.GAUGE, 2.0),
        ("container.memory.usage", "MiBy", "gauge", True, Signal.MEMORY, Kind.GAUGE, 2.0 * 2**20),
        ("k8s.pod.cpu.usage", "{cpu}", "gauge", True, Signal.CPU, Kind.GAUGE, 2.0),
        ("container.cpu.time", "ns", "sum", True, Signal.CPU, Kind.CUMULATIVE, 2e-9),
    ],
)
def test_a_metric_means_a_signal(
    name: str, unit: str, data: str, monotonic: bool, signal: Signal, kind: Kind, value: float
) -> None:
    (point,) = exported(name, data, {"as_double": 2.0}, unit=unit, monotonic=monotonic).points

    assert (point.line.signal, point.kind, point.value, point.time) == (signal, kind, value, TIME)


def test_other_metrics_are_passed_over_and_so_is_what_is_no_demand() -> None:
    assert exported("http.server.duration", "histogram", {}, {}) == Decoded(passed=2)
    assert exported("system.cpu.time", "sum", {"as_double": 1.0, "cpu.mode": "idle"}) == Decoded(passed=1)
    assert exported("system.memory.usage", "gauge", {"as_int": 1, "state": "free"}) == Decoded(passed=1)
    assert exported("system.network.io", "sum", {"as_int": 1, "device": "lo"}) == Decoded(passed=1)
    assert len(exported("system.memory.usage", "gauge", {"as_int": 1, "state": "used"}).points) == 1


@pytest.mark.parametrize(
    ("name", "data", "point", "more", "reason"),
    [
        ("process.cpu.time", "gauge", {"as_int": 1}, {}, Reason.WRONG_KIND),
        ("process.cpu.time", "histogram", {"count": 1}, {}, Reason.WRONG_KIND),
        ("process.cpu.time", "exponential_histogram", {"count": 1}, {}, Reason.WRONG_KIND),
        ("process.cpu.time", "summary", {"count": 1}, {}, Reason.WRONG_KIND),
        ("process.cpu.time", "sum", {"as_int": 1}, {"monotonic": False}, Reason.WRONG_KIND),
        (
            "process.memory.usage",
            "sum",
            {"as_int": 1},
            {"monotonic": False, "temporality": DELTA},
            Reason.WRONG_TEMPORALITY,
        ),
        ("process.memory.usage", "gauge", {"as_int": 1}, {"unit": "furlong"}, Reason.WRONG_UNIT),
        ("process.memory.usage", "gauge", {"as_int": 1, "flags": 1}, {}, Reason.NO_VALUE),
        ("process.memory.usage", "gauge", {}, {}, Reason.NO_VALUE),
        ("process.cpu.utilization", "gauge", {"as_double": 0.5}, {}, Reason.NO_CPU_COUNT),
    ],
)
def test_what_cannot_be_meant_is_left_out_for_its_reason(
    name: str, data: str, point: dict[str, Any], more: dict[str, Any], reason: Reason
) -> None:
    decoded = exported(name, data, point, **more)

    assert not decoded.points
    assert [left.reason for left in decoded.left] == [reason]
    assert decoded.left[0].key is not None


def test_a_utilization_is_cores_where_the_resource_says_how_many_there_are() -> None:
    resource = {"enchain.workload": "site", "enchain.cpus": "8"}
    (point,) = exported("process.cpu.utilization", "gauge", {"as_double": 0.5}, resource=resource).points

    assert point.value == 4.0


def test_deltas_of_counters_are_taken() -> None:
    (point,) = exported("process.cpu.time", "sum", {"as_int": 3}, temporality=DELTA).points

    assert (point.kind, point.value) == (Kind.DELTA, 3.0)


@pytest.mark.parametrize(
    ("own", "resource", "workload"),
    [
        ({"enchain.workload": "web"}, {"enchain.workload": "site"}, "web"),
        ({}, {"enchain.workload": "workloads/site"}, "site"),
        ({}, {"service.name": "web"}, "web"),
        ({}, {"service.name": "other"}, None),
        ({"enchain.workload": "gone"}, {"service.name": "web"}, None),
    ],
)
def test_attributes_name_the_workload(
    own: dict[str, Any], resource: dict[str, str], workload: str | None
) -> None:
    decoded = exported("process.memory.usage", "gauge", {"as_int": 1, **own}, resource=resource)

    if workload is None:
        assert decoded.left == [Left(None, Reason.UNKNOWN_WORKLOAD)]
    else:
        assert [point.line.workload for point in decoded.points] == [workload]


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ({"enchain.resource": "r", "service.instance.id": "i"}, "r"),
        ({"service.instance.id": "i", "host.name": "h"}, "i"),
        ({"host.name": "h"}, "h"),
        ({}, "-"),
    ],
)
def test_attributes_name_the_resource(resource: dict[str, str], name: str) -> None:
    named = {"enchain.workload": "site", **resource}
    (point,) = exported("process.memory.usage", "gauge", {"as_int": 1}, resource=named).points

    assert point.line.resource == name


def test_names_of_any_length_are_kept_short_and_told_apart() -> None:
    found = []
    for name in ("r" * 100_000, "r" * 100_001):
        named = {"enchain.workload": "site", "enchain.resource": name, "service.instance.id": name}
        for metric in ("process.memory.usage", "enchain.service.memory.usage"):
            found += exported(metric, "gauge", {"as_int": 1}, resource=named).points

    told = {(point.line, point.reporter) for point in found}
    assert len(told) == 4
    assert max(len(text) for line, reporter in told for text in (line.resource, line.part, reporter)) <= 128


def test_of_ours_another_instance_is_another_reporter_of_the_same_and_of_others_another_part() -> None:
    def lines(name: str) -> list[tuple[str, str]]:
        found = []
        for instance in ("a", "b"):
            resource = {"enchain.workload": "site", "service.instance.id": instance}
            point = {"as_int": 1, "enchain.resource": "r"}
            found += exported(name, "gauge", point, resource=resource).points
        return [(point.line.part, point.reporter) for point in found]

    ours, theirs = lines("enchain.service.memory.usage"), lines("process.memory.usage")
    assert (ours[0][0], ours[0][1], ours[1][1]) == (ours[1][0], "a", "b")
    assert theirs[0][0] != theirs[1][0]
    assert {reporter for _, reporter in theirs} == {""}


def test_of_two_metrics_that_say_the_same_one_counts() -> None:
    cells = [
        ResourceCell("r", point.line.rank, TIME, point.value)
        for name in ("container.memory.usage.total", "container.memory.usage")
        for point in exported(name, "gauge", {"as_int": 7}).points
    ]

    assert combined(cells, TIME, TIME + 300).tolist() == [7]


def test_what_is_left_out_says_of_what() -> None:
    decoded = exported("process.cpu.time", "gauge", {"as_int": 1}, {"as_int": 2})

    assert decoded.left == [Left(SITE_CPU, Reason.WRONG_KIND)] * 2
    assert metrics_pb2.AGGREGATION_TEMPORALITY_DELTA == DELTA
