"""An engine server that is killed: its tool goes on, the work is taken up, and the effect happens once."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.sdk.scope import is_held
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import diagnostic_pb2
from enchain.v1 import engine_pb2 as registry_pb2
from tests.harness.appending import lines_of
from tests.harness.engine_instances import Caller, begun, refusal
from tests.harness.waiting import eventually

READY = registry_pb2.EngineInstance.STATE_READY
DRAINING = registry_pb2.EngineInstance.STATE_DRAINING


@dataclass
class EngineProcess:
    """A real engine server in a process of its own."""

    process: asyncio.subprocess.Process
    instance: Caller
    channel: Any


Spawn = Callable[[str], Awaitable[EngineProcess]]


@pytest.fixture
async def spawn(tmp_path: Path, etcd: str, store: Store) -> AsyncIterator[Spawn]:
    """Start engine servers of one scope; all of them end with the test."""
    started: list[EngineProcess] = []

    async def start(name: str) -> EngineProcess:
        ready = tmp_path / f"{name}-{len(started)}.ready"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(
                "-m",
                "tests.harness.appending",
                "--etcd",
                etcd,
                "--instance",
                name,
                "--ready-file",
                str(ready),
            ),
            *("--scope", str(tmp_path / "scope"), "--artifacts", str(tmp_path / "artifacts")),
        )
        await eventually(ready.exists, within=20)
        channel = grpc.aio.insecure_channel(json.loads(ready.read_text())["address"])
        instance = Caller(engine_pb2_grpc.ProvisioningEngineStub(channel), tmp_path)
        started.append(EngineProcess(process, instance, channel))
        return started[-1]

    yield start
    (tmp_path / "gate").touch()
    for engine in started:
        await engine.channel.close(None)
        if engine.process.returncode is None:
            engine.process.kill()
        await engine.process.wait()
    locks = tmp_path / "scope" / "work" / "default" / "01uid" / "append"
    await eventually(lambda: not is_held(locks / "tool.lock"))


async def registered(store: Store, name: str) -> registry_pb2.EngineInstance | None:
    item = await store.get(keys.instance("appending", name))
    return decode(registry_pb2.EngineInstance, item.value) if item else None


@pytest.mark.parametrize("heir", ["same", "other"])
async def test_a_tool_survives_the_death_of_its_server_and_its_effect_happens_once(
    spawn: Spawn, heir: str
) -> None:
    first = await spawn("first")
    stream = first.instance.stub.Apply(first.instance.request(first.instance.call()))
    await begun(first.instance)
    pid = first.instance.effect.read_text().split()[1]

    first.process.send_signal(signal.SIGKILL)
    await first.process.wait()
    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in stream:
            pass
    second = (await spawn("first" if heir == "same" else "second")).instance
    seen = await second.stub.GetStep(engine_pb2.GetStepRequest(call=second.call(token=2)))
    joined = second.stub.Apply(second.request(second.call(token=2)))
    second.gate.touch()
    events = [event async for event in joined]

    assert seen.state == engine_pb2.GetStepResponse.STATE_RUNNING
    assert events[0].accepted.reattached
    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert [event.log.line for event in events if event.WhichOneof("event") == "log"] == [
        "working",
        "finished",
    ]
    assert second.effect.read_text().split() == ["begun", pid, "done", pid]


async def test_a_tool_that_ended_while_no_server_lived_is_not_started_again(spawn: Spawn) -> None:
    first = await spawn("first")
    first.instance.stub.Apply(first.instance.request(first.instance.call()))
    await begun(first.instance)
    first.process.kill()
    await first.process.wait()
    first.instance.gate.touch()
    await eventually(lambda: lines_of(first.instance.effect) == ["begun", "done"])

    second = (await spawn("second")).instance
    last = await second.apply(second.call(token=2), gated=True)

    assert last.result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert lines_of(second.effect) == ["begun", "done"]


async def test_work_whose_tool_was_killed_with_its_runner_is_unknown_and_not_repeated(spawn: Spawn) -> None:
    first = await spawn("first")
    first.instance.stub.Apply(first.instance.request(first.instance.call()))
    await begun(first.instance)
    run = first.instance.root / "scope/work/default/01uid/append/runs/provision-1/append"
    tool = json.loads((run / "tool.json").read_text())["pid"]
    runner = json.loads((run / "started.json").read_text())["runner"]

    for pid in (first.process.pid, runner, tool):
        os.kill(pid, signal.SIGKILL)
    await first.process.wait()
    second = (await spawn("second")).instance
    seen = await second.stub.GetStep(engine_pb2.GetStepRequest(call=second.call(token=2)))
    last = await second.apply(second.call(token=2), gated=True)

    assert seen.state == engine_pb2.GetStepResponse.STATE_INTERRUPTED
    assert last.result.outcome == diagnostic_pb2.OUTCOME_UNKNOWN
    assert last.result.diagnostics[0].code == "TOOL_LOST"
    assert lines_of(second.effect) == ["begun"]


async def test_a_cancel_reaches_a_tool_whose_server_is_dead(spawn: Spawn) -> None:
    first = await spawn("first")
    first.instance.stub.Apply(first.instance.request(first.instance.call()))
    await begun(first.instance)
    first.process.kill()
    await first.process.wait()

    second = (await spawn("second")).instance
    answer = await second.stub.CancelStep(engine_pb2.CancelStepRequest(call=second.call(token=2)))
    last = await second.apply(second.call(token=2), gated=True)

    assert answer.signalled
    assert last.result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
    assert lines_of(second.effect) == ["begun"]


async def test_an_instance_drains_on_sigterm_finishes_its_work_and_leaves_last(
    spawn: Spawn, store: Store
) -> None:
    engine = await spawn("first")
    instance = engine.instance
    announced = await registered(store, "first")
    stream = instance.stub.Apply(instance.request(instance.call()))
    await begun(instance)

    engine.process.terminate()
    draining = await eventually(lambda: _in_state(store, "first", DRAINING))
    refused = await refusal(instance.stub.Apply(instance.request(instance.call(work_id="02uid/append"))))
    joined = instance.stub.Apply(instance.request(instance.call()))
    instance.gate.touch()
    results = [[event async for event in each][-1].result.outcome for each in (stream, joined)]
    code = await engine.process.wait()

    assert announced is not None
    assert announced.state == READY
    assert draining is not None
    assert announced.scope == draining.scope
    assert refused.reason == "DRAINING"
    assert results == [diagnostic_pb2.OUTCOME_SUCCEEDED] * 2
    assert code == 0
    assert await registered(store, "first") is None


async def _in_state(
    store: Store, name: str, state: registry_pb2.EngineInstance.State.ValueType
) -> registry_pb2.EngineInstance | None:
    message = await registered(store, name)
    return message if message is not None and message.state == state else None


async def test_instances_of_one_directory_are_of_one_scope(spawn: Spawn, store: Store) -> None:
    await spawn("first")
    await spawn("second")

    first, second = await registered(store, "first"), await registered(store, "second")

    assert first is not None
    assert second is not None
    assert first.scope == second.scope
    assert first.address != second.address
