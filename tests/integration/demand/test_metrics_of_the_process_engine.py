"""What the process engine measures of a service that it runs arrives at the control plane as demand."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.demand.signals import Signal
from enchain.chains.values import to_value_map
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.channels import open_channel
from enchain.sdk.testing import outputs_of
from enchain.state.store import Store
from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.demand import Receiver, finite, save_workload
from tests.harness.process_steps import SITE, fetch, kill_all
from tests.harness.waiting import eventually

EXPORT_MILLISECONDS = "500"


@pytest.fixture
def scope(tmp_path: Path) -> Iterator[Path]:
    """An empty state scope; no service outlives the test."""
    root = tmp_path / "scope"
    root.mkdir()
    yield root
    kill_all(root)


@pytest.fixture
async def receiver(store: Store, tmp_path: Path) -> AsyncIterator[Receiver]:
    """A control plane that leads. There is one workload, `site`."""
    await save_workload(store, "site")
    receiver = await Receiver(store, tmp_path / "history.sqlite").start()
    await receiver.lead()
    await eventually(lambda: receiver.house.intake.is_open)
    yield receiver
    await receiver.close()


@pytest.fixture
async def engine(scope: Path, etcd: str, receiver: Receiver) -> AsyncIterator[str]:
    """Address of an engine that exports to it, as in a local enchain, only more often."""
    ready = scope.parent / "engine.json"
    told = {"etcd": etcd, "name": "one", "scope": scope, "artifacts": scope.parent / "artifacts"}
    told |= {"ready-file": ready, "log-level": "error", "otlp-metrics": receiver.address}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "enchain.engines.process.main"),
        *(part for name, value in told.items() for part in (f"--{name}", str(value))),
        env={**os.environ, "OTEL_METRIC_EXPORT_INTERVAL": EXPORT_MILLISECONDS},
    )
    await eventually(ready.exists, within=30)
    yield json.loads(ready.read_text())["address"]
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_what_a_service_uses_up_arrives_with_nothing_set_up_for_it(
    engine: str, receiver: Receiver
) -> None:
    call = engine_pb2.StepCall(
        work_id="01hz0000000000000000000000/serve",
        verb=operation_pb2.VERB_PROVISION,
        generation=1,
        token=engine_pb2.FencingToken(epoch=1, revision=1),
        steps=["serve"],
        workload="workloads/site",
    )
    call.deadline.FromDatetime(datetime.now(UTC) + timedelta(seconds=60))
    async with open_channel(engine) as channel:
        stub = engine_pb2_grpc.ProvisioningEngineStub(channel)
        stream = stub.Apply(engine_pb2.ApplyRequest(call=call, inputs=to_value_map(SITE)))
        result = [event async for event in stream][-1].result
    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    url = outputs_of(result)["url"]

    async def measured() -> bool:
        assert await fetch(url) == "hello"  # that is what goes over the network
        until = time.time() + 600
        found = {signal: finite(await receiver.series("site", signal, until=until)) for signal in Signal}
        # The first cell may hold but the moment of the start, when it was not a web server yet.
        assert found[Signal.MEMORY]
        assert found[Signal.MEMORY][-1] > 2**20, "a web server of Python takes more than a mebibyte"
        assert sum(found[Signal.CPU]) >= 0
        assert found[Signal.CPU]
        assert sum(found[Signal.NETWORK]) > 0
        return True

    await eventually(measured, within=60)
    assert {key.signal for key in await receiver.house.demand.keys()} == {
        Signal.CPU,
        Signal.MEMORY,
        Signal.NETWORK,
    }
