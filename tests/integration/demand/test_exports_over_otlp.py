"""A real OpenTelemetry SDK exports to a real control plane, whoever leads, and demand comes of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from controlplane.demand.signals import DemandKey, Signal
from controlplane.rpc.leader import FORWARDED
from enchain.chains.errors import UnavailableError
from enchain.process.channels import open_channel
from enchain.process.statuses import from_rpc_error
from enchain.state.store import Store
from tests.harness.demand import Receiver, finite, save_workload
from tests.harness.metering import recorded
from tests.harness.waiting import eventually

HOUR = 3600
CORES = 2.0
MEMORY = 5_000_000

Start = Callable[[str], Awaitable[Receiver]]


@pytest.fixture
async def start(store: Store, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts replicas, each with a history of its own. There is one workload, `site`."""
    await save_workload(store, "site")
    async with AsyncExitStack() as stack:

        async def started(name: str) -> Receiver:
            receiver = await Receiver(store, tmp_path / f"{name}.sqlite").start()
            stack.push_async_callback(receiver.close)
            return receiver

        yield started


@pytest.fixture
async def leader(start: Start) -> Receiver:
    """A replica that leads and takes exports in."""
    receiver = await start("leader")
    await receiver.lead()
    await eventually(lambda: receiver.house.intake.is_open)
    return receiver


class Sdk:
    """An application with the OpenTelemetry SDK, which exports when it is told to."""

    def __init__(self, address: str, **attributes: str) -> None:
        exporter = OTLPMetricExporter(endpoint=address, insecure=True, timeout=10)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
        resource = Resource.create({"enchain.workload": "site", **attributes})
        self._provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self.meter = self._provider.get_meter("application")

    async def export(self) -> bool:
        """Export once; say whether it was taken."""
        return await asyncio.to_thread(self._provider.force_flush, 20_000)

    async def stop(self) -> None:
        await asyncio.to_thread(self._provider.shutdown, 1_000)


def working(meter: Any) -> None:
    """Register what a process that keeps two cores busy would report."""
    began = time.time()

    def busy(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(CORES * (time.time() - began), {"cpu.mode": "user"})

    def held(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(MEMORY)

    meter.create_observable_counter("process.cpu.time", [busy], unit="s")
    meter.create_observable_up_down_counter("process.memory.usage", [held], unit="By")
    meter.create_histogram("http.server.request.duration", unit="s").record(0.1)


async def test_what_an_sdk_exports_becomes_demand(leader: Receiver) -> None:
    sdk = Sdk(leader.address, **{"service.instance.id": "a"})
    other = Sdk(leader.address, **{"service.instance.id": "b"})
    began = time.time()
    try:
        for each in (sdk, other):
            working(each.meter)
            assert await each.export()

        async def measured() -> bool:
            # Two values that lie a while apart, so that the rate between them says something.
            assert await sdk.export()
            assert await other.export()
            return time.time() - began > 1.5

        await eventually(measured)
    finally:
        await sdk.stop()
        await other.stop()

    until = time.time() + 600
    memory = await leader.series("site", Signal.MEMORY, until=until)
    cpu = await leader.series("site", Signal.CPU, until=until)
    assert set(finite(memory)) == {2 * MEMORY}
    assert finite(cpu) == pytest.approx([2 * CORES] * len(finite(cpu)), rel=0.4)
    assert await leader.house.demand.keys() == [
        DemandKey("site", Signal.CPU),
        DemandKey("site", Signal.MEMORY),
    ]
    fresh = await leader.house.demand.freshness("site", Signal.MEMORY, 300, int(until), HOUR)
    assert (fresh.source, fresh.rejected, fresh.fault) == ("otlp", {}, "")


async def test_another_replica_hands_exports_on_to_the_leader(start: Start, leader: Receiver) -> None:
    other = await start("other")
    sdk = Sdk(other.address)
    working(sdk.meter)

    assert await sdk.export()
    await sdk.stop()

    memory = await leader.series("site", Signal.MEMORY, until=time.time() + 600)
    assert finite(memory) == [MEMORY]
    with pytest.raises(UnavailableError):
        await other.house.demand.keys()


async def test_while_nobody_leads_the_sdk_is_told_to_come_again_and_does(start: Start) -> None:
    receiver = await start("later")
    answer = await sent(receiver, ExportMetricsServiceRequest())
    assert isinstance(answer, UnavailableError)
    assert (answer.reason, answer.retry_after) == ("NO_LEADER", 2.0)

    sdk = Sdk(receiver.address)
    working(sdk.meter)
    exporting = asyncio.create_task(sdk.export(), name="an export while nobody leads")
    before = recorded("enchain.rpc.server.calls", code="UNAVAILABLE")
    await eventually(lambda: recorded("enchain.rpc.server.calls", code="UNAVAILABLE") > before)
    await receiver.lead()

    assert await exporting
    await sdk.stop()
    assert finite(await receiver.series("site", Signal.MEMORY, until=time.time() + 600)) == [MEMORY]


async def test_an_export_goes_in_no_circles(start: Start) -> None:
    one, two = await start("one"), await start("two")
    await one.lead()
    await eventually(lambda: one.house.intake.is_open)
    await one.end_term()  # the store still names it

    for receiver in (one, two):
        answer = await sent(receiver, ExportMetricsServiceRequest())
        assert isinstance(answer, UnavailableError)
        assert answer.reason == "NO_LEADER"
    assert isinstance(await sent(one, ExportMetricsServiceRequest(), forwarded=True), UnavailableError)


async def test_what_is_left_out_is_answered_in_the_words_of_otlp_and_counted(leader: Receiver) -> None:
    before = {
        reason: recorded("enchain.demand.rejected_samples", reason=reason)
        for reason in ("NAN", "DUPLICATE", "UNKNOWN_WORKLOAD")
    }
    now = time.time_ns()
    request = ExportMetricsServiceRequest()
    for workload, value in (("site", 1.0), ("site", float("nan")), ("site", 2.0), ("nobody", 1.0)):
        group = request.resource_metrics.add()
        group.resource.attributes.add(key="enchain.workload").value.string_value = workload
        metric = group.scope_metrics.add().metrics.add(name="process.memory.usage", unit="By")
        metric.gauge.data_points.add(time_unix_nano=now, as_double=value)

    answer = await sent(leader, request)

    assert isinstance(answer, ExportMetricsServiceResponse)
    assert answer.partial_success.rejected_data_points == 3
    told = answer.partial_success.error_message
    assert all(f"1 {reason}: " in told for reason in before)
    for reason, count in before.items():
        assert recorded("enchain.demand.rejected_samples", reason=reason) == count + 1
    until = int(time.time() + 600)
    fresh = await leader.house.demand.freshness("site", Signal.MEMORY, 300, until, HOUR)
    assert fresh.rejected == {"DUPLICATE": 1, "NAN": 1}
    assert finite(await leader.series("site", Signal.MEMORY, until=until)) == [1.0]


async def test_a_new_term_goes_on_with_the_history(leader: Receiver) -> None:
    sdk = Sdk(leader.address)
    working(sdk.meter)
    assert await sdk.export()

    await leader.resign()
    with pytest.raises(UnavailableError):
        await leader.house.demand.keys()
    await leader.lead()
    await eventually(lambda: leader.house.intake.is_open)

    assert await sdk.export()
    await sdk.stop()
    assert finite(await leader.series("site", Signal.MEMORY, until=time.time() + 600)) == [MEMORY]


async def sent(
    receiver: Receiver, request: ExportMetricsServiceRequest, *, forwarded: bool = False
) -> ExportMetricsServiceResponse | Exception:
    """Send an export as it is; answer what came of it."""
    stub: Any = metrics_service_pb2_grpc.MetricsServiceStub
    async with open_channel(receiver.address) as channel:
        try:
            answer: ExportMetricsServiceResponse = await stub(channel).Export(
                request, metadata=((FORWARDED, "1"),) if forwarded else ()
            )
        except grpc.aio.AioRpcError as failure:
            return from_rpc_error(failure)
        return answer
