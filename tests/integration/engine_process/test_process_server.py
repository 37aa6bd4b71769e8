"""The engine's own process, killed with SIGKILL: services do not notice, and the next one finds them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from enchain.chains.values import Json, to_value_map
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.sdk.testing import outputs_of
from enchain.state.store import Store
from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.process_steps import (
    PORT,
    SITE,
    exists,
    fetch,
    is_listening,
    names_in,
    paths_named,
    processes_of,
)
from tests.harness.waiting import eventually

WORK = "01hz0000000000000000000000/serve"
EAGER = {**SITE, "restart": {"policy": "always", "backoff": "10ms"}}


class EngineProcess:
    """An engine server in a process of its own, and a channel to it."""

    def __init__(self, scope: Path, etcd: str, name: str) -> None:
        self._ready = scope.parent / f"{name}.json"
        argv = [sys.executable, "-m", "enchain.engines.process.main", "--etcd", etcd, "--name", name]
        argv += ["--scope", str(scope), "--artifacts", str(scope.parent / "artifacts")]
        argv += ["--ready-file", str(self._ready), "--log-level", "error"]
        self._process = subprocess.Popen(argv)
        self._token = 0

    async def start(self, token: int) -> "EngineProcess":
        self._token = token
        ready = await eventually(self._announced)
        self._channel = grpc.aio.insecure_channel(ready["address"], [("grpc.use_local_subchannel_pool", 1)])
        self.stub = engine_pb2_grpc.ProvisioningEngineStub(self._channel)
        return self

    def _announced(self) -> dict[str, Json]:
        announced: dict[str, Json] = json.loads(self._ready.read_text()) if self._ready.exists() else {}
        return announced

    def call(self, verb: operation_pb2.Verb.ValueType, generation: int) -> engine_pb2.StepCall:
        token = engine_pb2.FencingToken(epoch=1, revision=self._token)
        call = engine_pb2.StepCall(
            work_id=WORK, verb=verb, generation=generation, token=token, steps=["serve"]
        )
        call.deadline.FromDatetime(datetime.now(UTC) + timedelta(seconds=60))
        return call

    def apply(self, inputs: Mapping[str, Json]) -> AsyncIterable[engine_pb2.StepEvent]:
        call = self.call(operation_pb2.VERB_PROVISION, 1)
        return self.stub.Apply(engine_pb2.ApplyRequest(call=call, inputs=to_value_map(inputs)))

    def destroy(self) -> AsyncIterable[engine_pb2.StepEvent]:
        return self.stub.Destroy(engine_pb2.DestroyRequest(call=self.call(operation_pb2.VERB_DEPROVISION, 2)))

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        with suppress(AttributeError):
            await self._channel.close(None)
        if self._process.poll() is None:
            self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait)


Start = Callable[..., Awaitable[EngineProcess]]


@pytest.fixture
async def engines(scope: Path, etcd: str, store: Store) -> AsyncIterator[Start]:
    """Starts engine processes on one scope; none outlives the test."""
    started: list[EngineProcess] = []

    async def start(name: str, *, token: int) -> EngineProcess:
        started.append(EngineProcess(scope, etcd, name))
        return await started[-1].start(token)

    yield start
    for each in started:
        await each.kill()


async def result_of(stream: AsyncIterable[engine_pb2.StepEvent]) -> engine_pb2.StepResult:
    events = [event async for event in stream]
    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, events[-1]
    return events[-1].result


async def test_a_killed_engine_is_not_noticed_and_the_next_one_finds_its_service(
    engines: Start, scope: Path
) -> None:
    first = await engines("first", token=1)
    outputs = outputs_of(await result_of(first.apply(EAGER)))
    await first.kill()
    assert await fetch(outputs["url"]) == "hello"

    second = await engines("second", token=2)
    again = outputs_of(await result_of(second.apply(EAGER)))
    assert again == outputs
    assert processes_of(scope) == [outputs["pid"]]
    os.kill(outputs["pid"], signal.SIGKILL)
    await eventually(lambda: not exists(outputs["pid"]))
    assert await eventually(lambda: fetch(outputs["url"])) == "hello"

    await result_of(second.destroy())
    assert processes_of(scope) == []
    assert not is_listening(outputs["port"])
    assert names_in(scope / "process/services") == []
    assert await second.kill(signal.SIGTERM) == 0


async def test_an_engine_killed_while_its_service_starts_leaves_one_service_to_the_next(
    engines: Start, scope: Path
) -> None:
    script = "import http.server as h, os, select, sys\n"
    script += "while not os.path.exists('go'): select.select([], [], [], 0.02)\n"
    script += "h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))\n"
    inputs = {"run": ["python3", "serve.py", PORT], "files": {"serve.py": script, "index.html": "hello"}}
    first = await engines("first", token=1)
    stream = first.apply(inputs)
    await eventually(lambda: paths_named(scope, "process-*.json"))  # from here on it is findable
    (pid,) = processes_of(scope)
    await first.kill()
    with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        _ = [event async for event in stream]

    second = await engines("second", token=2)
    joined = second.apply(inputs)
    paths_named(scope, "serve.py")[0].with_name("go").touch()
    outputs = outputs_of(await result_of(joined))

    assert outputs["pid"] == pid
    assert processes_of(scope) == [pid]
    assert await fetch(outputs["url"]) == "hello"
    await result_of(second.destroy())
    assert processes_of(scope) == []
    await second.kill(signal.SIGTERM)
