"""Two real replicas on one machine: exports through either, the leader killed, and no sample lost."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from enchain.state.store import Store
from tests.harness.demand import save_workload
from tests.harness.replicas import Replica, Replicas
from tests.harness.waiting import eventually


@pytest.fixture
async def replicas(etcd: str, store: Store, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Starts replicas, which share a folder; none outlives the test. There is one workload, `site`."""
    await save_workload(store, "site")
    replicas = Replicas(etcd, tmp_path)
    yield replicas
    await replicas.kill_all()


def address_of(replica: Replica, folder: Path) -> str:
    """Where a replica said that it serves; empty while it has not."""
    lines = (folder / f"{replica.name}.log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.endswith("}")]
    return next((line["address"] for line in said if line.get("event") == "serving"), "")


def kept(folder: Path) -> int:
    """How many samples the history holds."""
    with closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        (count,) = connection.execute("SELECT sum(weight) FROM parts").fetchone()
        return int(count or 0)


async def test_a_leader_killed_loses_no_sample_that_it_took(replicas: Replicas, tmp_path: Path) -> None:
    first = await replicas.start("one")
    await eventually(lambda: first.said("history opened"), within=30)
    second = await replicas.start("two")
    address = await eventually(lambda: address_of(second, tmp_path), within=30)

    def held(_: CallbackOptions) -> list[Observation]:
        return [Observation(1)]

    exporter = OTLPMetricExporter(endpoint=address, insecure=True, timeout=30)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
    provider = MeterProvider(
        [reader], resource=Resource.create({"enchain.workload": "site"}), shutdown_on_exit=False
    )
    provider.get_meter("application").create_observable_gauge("process.memory.usage", [held], unit="By")

    async def exported() -> bool:
        return await asyncio.to_thread(provider.force_flush, 30_000)

    assert await exported()
    assert await exported()
    assert kept(tmp_path) == 2

    await first.kill()
    assert await exported(), "the sender was told to come again until the other one led"

    assert kept(tmp_path) == 3
    assert second.said("history opened") == 1
    await asyncio.to_thread(provider.shutdown, 1_000)
