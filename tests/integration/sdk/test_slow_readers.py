"""Readers that do not read, callers that go away from a plan, and a plan that is stale, over real gRPC."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from enchain.artifacts.store import DirectoryArtifacts
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.clock import SystemClock
from enchain.process.servers import Server
from enchain.sdk.port import Finding, PlanStaleError, Step
from enchain.sdk.registration import instance_message
from enchain.sdk.server import EngineServicer, add_to
from enchain.sdk.steps import StepRunner
from enchain.v1 import diagnostic_pb2
from tests.harness.engine_instances import Caller, refusal
from tests.harness.scripted import Act, ScriptedEngine
from tests.harness.waiting import eventually

Serve = Callable[[Act], Awaitable[Caller]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve an engine that does what the test says."""
    ends: list[tuple[Any, StepRunner, Server]] = []

    async def start(act: Act) -> Caller:
        engine, clock = ScriptedEngine(act), SystemClock()
        runner = StepRunner(
            engine,
            scope=tmp_path / "scope",
            artifacts=DirectoryArtifacts(tmp_path / "artifacts"),
            instance="i",
            clock=clock,
            grace_seconds=0.5,
        )
        message = instance_message(
            engine, instance="i", address="", scope="s", capacity=4, start_time=clock.now()
        )

        async def draining() -> None:
            raise AssertionError("nobody drains here")

        server = Server("127.0.0.1:0")
        add_to(server, EngineServicer(runner, instance=lambda: message, draining=draining))
        channel = grpc.aio.insecure_channel(await server.start())
        ends.append((channel, runner, server))
        return Caller(engine_pb2_grpc.ProvisioningEngineStub(channel), tmp_path)

    yield start
    for channel, runner, server in ends:
        await channel.close(None)
        await runner.close()
        await server.stop(0)


async def test_a_reader_that_does_not_read_holds_nobody_up_and_misses_nothing_durable(serve: Serve) -> None:
    async def act(step: Step) -> Any:
        await step.handle({"id": "made"})
        run = await step.run("flood", ["sh", "-c", "yes xxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -c 20000000"])
        async for line in run.lines():
            step.log(line)
        await run.wait()
        return {"count": 1}

    caller = await serve(act)
    request = engine_pb2.ApplyRequest(call=caller.call())
    sluggish, brisk = caller.stub.Apply(request), caller.stub.Apply(request)
    first = [event async for event in brisk]  # the other one has not been read at all until now
    second = [event async for event in sluggish]

    for events in (first, second):
        kinds = [event.WhichOneof("event") for event in events]
        assert (kinds[0], kinds[-1]) == ("accepted", "result")
        assert "handle" in kinds
        assert sum(event.log.dropped for event in events) > 0
    assert first[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert first[-1] == second[-1]


async def test_the_tool_of_a_plan_ends_when_its_caller_goes_away(serve: Serve, tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        run = await step.run(
            "look", ["sh", "-c", "echo $$ > pid.new; mv pid.new pid; exec sleep 60"], cwd=tmp_path
        )
        await run.wait()

    caller = await serve(act)
    planning = caller.stub.Plan(engine_pb2.PlanRequest(call=caller.call()))
    await eventually((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())

    planning.cancel()

    await eventually(lambda: has_ended(pid))


def has_ended(pid: int) -> bool:
    """Tell whether a process runs no longer. Whoever inherits an orphan may be slow to take its leave."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_stale_plan_ends_the_call_with_its_reason(serve: Serve) -> None:
    async def act(step: Step) -> Any:
        raise PlanStaleError

    caller = await serve(act)
    request = engine_pb2.ApplyRequest(call=caller.call(), plan_digest="sha256:old")

    error = await refusal(caller.stub.Apply(request))
    seen = await caller.stub.GetStep(engine_pb2.GetStepRequest(call=caller.call()))

    assert error.reason == "PLAN_STALE"
    assert seen.result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN


async def test_a_diagnostic_is_streamed_once_and_stands_in_the_result(serve: Serve) -> None:
    async def act(step: Step) -> Any:
        step.report(Finding("mind the gap", code="GAP", severity=diagnostic_pb2.SEVERITY_WARNING))
        return {}

    caller = await serve(act)
    events = [event async for event in caller.stub.Apply(engine_pb2.ApplyRequest(call=caller.call()))]

    told = [event.diagnostic.code for event in events if event.WhichOneof("event") == "diagnostic"]
    assert told == ["GAP"]
    assert [found.code for found in events[-1].result.diagnostics] == ["GAP"]
