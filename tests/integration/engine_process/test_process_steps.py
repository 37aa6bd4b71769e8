"""The process engine under the SDK's own runner: outcomes, handles, plans, cancellation, secrets."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from enchain.engine.v1 import engine_pb2
from enchain.engines.process.engine import ProcessEngine, ProcessSettings
from enchain.sdk.testing import EngineHarness, handle_data, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2, provisioning_pb2
from tests.harness.process_steps import (
    PORT,
    QUICK,
    SECRETS,
    SITE,
    TOKEN,
    fetch,
    files_holding,
    is_listening,
    names_in,
    paths_named,
    processes_of,
)
from tests.harness.waiting import eventually

WORK = "01hz0000000000000000000000/serve"


def make_harness(scope: Path) -> EngineHarness:
    engine = ProcessEngine(ProcessSettings(pace=QUICK))
    return EngineHarness(engine, scope=scope, secrets=SECRETS)


@pytest.fixture
async def harness(scope: Path) -> AsyncIterator[EngineHarness]:
    async with make_harness(scope) as harness:
        yield harness


async def test_a_step_succeeds_with_outputs_a_handle_and_what_it_used(harness: EngineHarness) -> None:
    result = await harness.apply(SITE, work_id=WORK)

    outputs = outputs_of(result)
    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert await fetch(outputs["url"]) == "hello"
    assert (result.handle.schema, handle_data(result)["port"]) == ("process/1", outputs["port"])
    assert result.usage.peak_memory_bytes > 1 << 20
    kinds = [event.WhichOneof("event") for event in harness.events]
    assert kinds.index("handle") < kinds.index("result")


async def test_a_step_is_destroyed_by_its_name_alone(harness: EngineHarness, scope: Path) -> None:
    outputs = outputs_of(await harness.apply(SITE, work_id=WORK))

    result = await harness.destroy(work_id=WORK)

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert processes_of(scope) == []
    assert not is_listening(outputs["port"])
    assert names_in(scope / "process/services") == []
    observed = await harness.observe(work_id=WORK)
    assert observed.presence == engine_pb2.ObserveResponse.PRESENCE_ABSENT


async def test_a_service_that_is_not_ready_fails_clean(harness: EngineHarness, scope: Path) -> None:
    inputs = {"run": ["sh", "-c", "echo out of cheese; exit 4"], "ready": {"tcp": True}}

    result = await harness.apply(inputs, work_id=WORK)

    (diagnostic,) = result.diagnostics
    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert (diagnostic.code, diagnostic.detail, diagnostic.source.exit_code) == (
        "NOT_READY",
        "out of cheese",
        4,
    )
    assert processes_of(scope) == []
    assert paths_named(scope, "service") == []


async def test_an_update_keeps_port_and_resource(harness: EngineHarness) -> None:
    first = await harness.apply(SITE, work_id=WORK)
    changed = {**SITE, "files": {"index.html": "changed"}}

    second = await harness.apply(
        changed, work_id=WORK, verb=operation_pb2.VERB_UPDATE, generation=2, token=2, prior=first.handle
    )

    assert second.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert outputs_of(second)["port"] == outputs_of(first)["port"]
    assert await fetch(outputs_of(second)["url"]) == "changed"


async def test_a_plan_is_applied_exactly_or_not_at_all(harness: EngineHarness) -> None:
    plan = (await harness.plan(SITE, work_id=WORK)).plan
    assert plan.outcome == provisioning_pb2.StepPlan.OUTCOME_PLANNED
    assert [change.address for change in plan.changes] == ["files/index.html", "process", "port"]

    other = await harness.apply({**SITE, "files": {}}, work_id=WORK, plan_digest=plan.digest)
    assert other.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert [each.code for each in other.diagnostics] == ["PLAN_STALE"]

    exact = await harness.apply(SITE, work_id=WORK, generation=2, plan_digest=plan.digest)
    assert exact.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_bad_inputs_are_told_with_their_place(harness: EngineHarness, scope: Path) -> None:
    hostile = {**SITE, "files": {"../../../escaped": "x"}}

    told = await harness.validate(hostile)
    result = await harness.apply(hostile, work_id=WORK)

    assert [(each.code, each.path) for each in told] == [("INVALID_PATH", "inputs.files['../../../escaped']")]
    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert paths_named(scope.parent, "escaped") == []


async def test_a_cancelled_step_leaves_nothing(harness: EngineHarness, scope: Path) -> None:
    never = {"run": ["sleep", "600", PORT], "ready": {"tcp": True, "within": "60s"}}
    call = harness.call(WORK)
    request = await harness.apply_request(never, call=call)
    stream = (await harness.runner.apply(request)).events()
    await eventually(lambda: processes_of(scope))

    await harness.runner.cancel_step(engine_pb2.CancelStepRequest(call=call))
    events = [event async for event in stream]

    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
    assert processes_of(scope) == []
    assert names_in(scope / "process/services") == []


async def test_a_secret_is_in_no_file_and_no_event(harness: EngineHarness, scope: Path) -> None:
    result = await harness.apply({**SITE, "env": {"TOKEN": TOKEN}}, work_id=WORK)

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    (pid,) = processes_of(scope)
    assert pid == outputs_of(result)["pid"]
    assert files_holding(scope, "tell-nobody-42") == []
    assert "tell-nobody-42" not in "".join(str(event) for event in harness.events)


async def test_a_service_inherits_no_lock_of_its_work(harness: EngineHarness, scope: Path) -> None:
    result = await harness.apply({"run": ["sh", "-c", "ls -l /proc/$$/fd; sleep 600"]}, work_id=WORK)

    (log,) = paths_named(scope, "log")
    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert ".lock" not in log.read_text()


async def test_a_step_that_its_instance_left_is_taken_up_by_the_next_one(scope: Path) -> None:
    script = "import http.server as h, os, select, sys\n"
    script += "while not os.path.exists('go'): select.select([], [], [], 0.02)\n"
    script += "h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))\n"
    inputs = {"run": ["python3", "serve.py", PORT], "files": {"serve.py": script}}
    async with make_harness(scope) as first:
        request = await first.apply_request(inputs, call=first.call(WORK))
        await first.runner.apply(request)
        await eventually(lambda: paths_named(scope, "process-*.json"))  # from here on it is findable
        (pid,) = processes_of(scope)

    async with make_harness(scope) as second:
        paths_named(scope, "serve.py")[0].with_name("go").touch()
        result = await second.apply(inputs, call=second.call(WORK, token=2))

        assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
        assert outputs_of(result)["pid"] == pid
        os.kill(pid, signal.SIGKILL)
        assert (await second.destroy(work_id=WORK, token=3)).outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert processes_of(scope) == []
