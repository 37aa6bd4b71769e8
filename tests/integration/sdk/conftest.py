"""Fixtures of the SDK's tests: engine servers in this process, on one state scope."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from enchain.artifacts.store import DirectoryArtifacts
from enchain.engine.v1 import engine_pb2_grpc
from enchain.process.clock import SystemClock
from enchain.process.servers import Server
from enchain.sdk.registration import instance_message
from enchain.sdk.scope import is_held
from enchain.sdk.server import EngineServicer, add_to
from enchain.sdk.steps import StepRunner
from enchain.v1 import engine_pb2 as registry_pb2
from tests.harness.appending import AppendingEngine
from tests.harness.engine_instances import Instance
from tests.harness.waiting import eventually

NewInstance = Callable[..., Awaitable[Instance]]


@pytest.fixture
async def new_instance(tmp_path: Path) -> AsyncIterator[NewInstance]:
    """Make served instances of one scope; all of them end with the test."""
    ends: list[tuple[Any, StepRunner, Server]] = []

    async def make(name: str = "one", *, capacity: int = 4, heartbeat_seconds: float = 5.0) -> Instance:
        engine = AppendingEngine()
        clock = SystemClock()
        runner = StepRunner(
            engine,
            scope=tmp_path / "scope",
            artifacts=DirectoryArtifacts(tmp_path / "artifacts"),
            instance=name,
            clock=clock,
            capacity=capacity,
            heartbeat_seconds=heartbeat_seconds,
            grace_seconds=1.0,
        )
        server = Server("127.0.0.1:0")
        message = instance_message(
            engine, instance=name, address="", scope="scope", capacity=capacity, start_time=clock.now()
        )

        async def draining() -> None:
            message.state = registry_pb2.EngineInstance.STATE_DRAINING

        add_to(server, EngineServicer(runner, instance=lambda: message, draining=draining))
        channel = grpc.aio.insecure_channel(await server.start())
        ends.append((channel, runner, server))
        return Instance(engine_pb2_grpc.ProvisioningEngineStub(channel), tmp_path, runner)

    yield make
    (tmp_path / "gate").touch()  # no tool outlives the test
    for channel, runner, server in ends:
        await runner.finish()
        await runner.close()
        await channel.close(None)
        await server.stop(0)
    scope = tmp_path / "scope" / "work"
    await eventually(lambda: not any(is_held(lock) for lock in scope.rglob("tool.lock")))


@pytest.fixture
async def instance(new_instance: NewInstance) -> Instance:
    return await new_instance()
