"""The control plane as a process of its own: started, ready, asked, stopped."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from controlplane.settings import parse
from enchain.process.channels import open_channel
from enchain.state.store import Store
from enchain.v1 import workload_pb2, workload_pb2_grpc
from tests.harness.waiting import eventually

Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


def announcement(path: Path) -> dict[str, Any]:
    """What a process said of itself when it was ready; empty where it was not."""
    return json.loads(path.read_text()) if path.exists() else {}


@pytest.fixture
async def ready_file(tmp_path: Path) -> Path:
    return tmp_path / "ready.json"


@pytest.fixture
async def start(ready_file: Path, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `python -m controlplane.main` against an etcd; what still runs at the end is killed."""
    started: list[asyncio.subprocess.Process] = []

    async def run(etcd: str, *flags: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "controlplane.main",
            f"--etcd={etcd}",
            f"--ready-file={ready_file}",
            f"--artifacts={tmp_path / 'artifacts'}",
            *flags,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - the checkout's root
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_process_says_that_it_is_ready_serves_and_stops_at_sigterm(
    start: Start, ready_file: Path, etcd: str, store: Store
) -> None:
    process = await start(etcd, "--name=cp-1")
    await eventually(ready_file.exists, within=30)
    announced = announcement(ready_file)

    async with open_channel(announced["address"]) as channel:
        listed = await workload_pb2_grpc.WorkloadServiceStub(channel).ListWorkloads(
            workload_pb2.ListWorkloadsRequest()
        )
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="enchain.v1.WorkloadService")
        )
    process.send_signal(signal.SIGTERM)
    _, log = await process.communicate()

    assert (announced["id"], announced["pid"]) == ("cp-1", process.pid)
    assert listed == workload_pb2.ListWorkloadsResponse()
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert process.returncode == 0, log.decode()


async def test_a_process_that_finds_no_store_waits_and_still_stops_at_sigterm(
    start: Start, ready_file: Path
) -> None:
    process = await start("127.0.0.1:1")
    assert process.stderr is not None
    while True:
        line = await asyncio.wait_for(process.stderr.readline(), 30)
        assert line, "it ended without waiting"
        if b"waiting for the store" in line:
            break
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert announcement(ready_file) == {}
    assert process.returncode == 0


def test_settings_come_from_flags_and_the_environment() -> None:
    settings = parse(["--listen", "127.0.0.1:7400"], {"ENCHAIN_ARTIFACTS": "/srv/artifacts"})

    assert settings.artifacts == Path("/srv/artifacts")
    assert settings.server.listen == "127.0.0.1:7400"
