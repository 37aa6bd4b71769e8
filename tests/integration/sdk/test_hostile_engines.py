"""Engines that do it wrong: whatever they answer, raise or flood, a step ends in one precise result."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from enchain.chains.values import SecretRef
from enchain.sdk.budgets import OUTPUT_BYTES_MAX
from enchain.sdk.port import CancelledStepError, Finding, PlannedStep, PlanStaleError, Step, StepFailedError
from enchain.sdk.testing import EngineHarness, handle_data, outputs_of
from enchain.v1 import diagnostic_pb2, provisioning_pb2
from tests.harness.scripted import SECRET, ScriptedEngine, applied, files_under


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, "OUTPUTS_MALFORMED"),
        (["a"], "OUTPUTS_MALFORMED"),
        ({"count": object()}, "OUTPUTS_MALFORMED"),
        ({1: "a"}, "OUTPUTS_MALFORMED"),
        ({"count": float("nan")}, "OUTPUTS_MALFORMED"),
        ({"count": "seven"}, "OUTPUTS_OFF_SCHEMA"),
        ({"text": "x" * OUTPUT_BYTES_MAX}, "OUTPUTS_TOO_LARGE"),
    ],
    ids=["nothing", "list", "object", "key", "nan", "type", "size"],
)
async def test_an_answer_that_is_none_is_a_partial_failure_with_the_handle(
    tmp_path: Path, answer: Any, code: str
) -> None:
    async def act(step: Step) -> Any:
        await step.handle({"id": "made"})
        return answer

    result, _ = await applied(act, tmp_path)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == code
    assert handle_data(result) == {"id": "made"}
    assert not result.outputs


async def test_an_engine_that_crashes_tells_the_type_and_not_the_message(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        password = await step.secrets.resolve(SecretRef("env:db"), tenant=step.tenant)
        raise RuntimeError(f"could not log in with {password}")

    result, events = await applied(act, tmp_path)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == "ENGINE_CRASHED"
    assert "RuntimeError" in result.diagnostics[0].summary
    assert SECRET not in str(events)


async def test_a_handle_that_is_too_large_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    made = tmp_path / "made"

    async def act(step: Step) -> Any:
        await step.handle({"id": "x" * 9000})
        made.touch()

    result, events = await applied(act, tmp_path / "scope")

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "HANDLE_TOO_LARGE"
    assert "handle" not in [event.WhichOneof("event") for event in events]
    assert not made.exists()


async def test_a_failure_is_clean_or_partial_as_the_engine_says(tmp_path: Path) -> None:
    async def clean(step: Step) -> Any:
        raise StepFailedError(
            Finding("no room", code="NO_ROOM"), left_behind=False, retryable=True, retry_after=2.5
        )

    async def partial(step: Step) -> Any:
        raise StepFailedError(Finding("half done", exit_code=3))

    left_nothing, _ = await applied(clean, tmp_path / "a")
    left_something, _ = await applied(partial, tmp_path / "b")

    assert left_nothing.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert left_nothing.retryable
    assert left_nothing.retry_after.ToMilliseconds() == 2500
    assert left_nothing.diagnostics[0].domain == "scripted"
    assert left_something.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert left_something.diagnostics[0].source.exit_code == 3


async def test_a_stale_plan_fails_clean(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        raise PlanStaleError

    result, _ = await applied(act, tmp_path)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "PLAN_STALE"


async def test_five_mebibytes_of_log_are_thinned_out_and_counted(tmp_path: Path) -> None:
    lines = 5 * 1024 * 1024 // 100
    script = f"i=0; while [ $i -lt {lines} ]; do echo {'x' * 99}; i=$((i+1)); done"

    async def act(step: Step) -> Any:
        run = await step.run("flood", ["sh", "-c", script])
        async for line in run.lines():
            step.log(line)
        await run.wait()
        return {}

    result, events = await applied(act, tmp_path)

    logs = [event.log for event in events if event.WhichOneof("event") == "log"]
    told = sum(1 for log in logs if log.line)
    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert told < lines / 10
    assert told + sum(log.dropped for log in logs) == lines


async def test_a_tool_that_cannot_start_says_why(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        run = await step.run("tool", ["no-such-tool"])
        lines = [line async for line in run.lines()]
        return {"code": (await run.wait()).returncode, "line": lines[0]}

    result, _ = await applied(act, tmp_path)

    assert outputs_of(result) == {"code": 127, "line": "cannot start no-such-tool: No such file or directory"}


async def test_a_tool_that_the_engine_forgets_is_waited_for(tmp_path: Path) -> None:
    effect = tmp_path / "effect"

    async def act(step: Step) -> Any:
        await step.run("slow", ["sh", "-c", f"sleep 0.2; echo x > {effect}"])
        return {}

    result, _ = await applied(act, tmp_path / "scope")

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert effect.exists()


async def test_a_daemon_that_the_tool_leaves_behind_does_not_hold_the_work(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        run = await step.run("tool", ["sh", "-c", "sleep 30 & echo $!"])
        lines = [line async for line in run.lines()]
        await run.wait()
        again = await step.run("next", ["true"])
        await again.wait()
        return {"count": int(lines[0])}

    result, _ = await applied(act, tmp_path)

    os.kill(int(outputs_of(result)["count"]), 15)
    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_work_interrupted_after_its_handle_is_unknown_and_never_repeated(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def act(step: Step) -> Any:
        await step.handle({"id": "made"})
        entered.set()
        await asyncio.Event().wait()

    engine = ScriptedEngine(act)
    async with EngineHarness(engine, scope=tmp_path) as first:
        stream = await first.runner.apply(await first.apply_request())
        await entered.wait()
        del stream
    async with EngineHarness(engine, scope=tmp_path, instance="second") as second:
        result = await second.apply(token=2)
        again = await second.apply(token=3)

    assert result.outcome == again.outcome == diagnostic_pb2.OUTCOME_UNKNOWN
    assert result.diagnostics[0].code == "INTERRUPTED"
    assert engine.calls == 1


async def test_work_interrupted_before_its_run_is_done_where_only_runs_make_anything(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def act(step: Step) -> Any:
        await step.handle({"id": "to be made"})
        entered.set()
        if engine.calls == 1:
            await asyncio.Event().wait()
        run = await step.run("tool", ["true"])
        return {"code": (await run.wait()).returncode}

    engine = ScriptedEngine(act)
    engine.only_runs = True
    async with EngineHarness(engine, scope=tmp_path) as first:
        stream = await first.runner.apply(await first.apply_request())
        await entered.wait()
        del stream
    async with EngineHarness(engine, scope=tmp_path, instance="second") as second:
        result = await second.apply(token=2)

    assert outputs_of(result) == {"code": 0}
    assert engine.calls == 2


async def test_work_interrupted_before_its_handle_made_nothing_and_is_done_again(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def act(step: Step) -> Any:
        if not entered.is_set():
            entered.set()
            await asyncio.Event().wait()
        return {"count": 1}

    engine = ScriptedEngine(act)
    async with EngineHarness(engine, scope=tmp_path) as first:
        await first.runner.apply(await first.apply_request())
        await entered.wait()
    async with EngineHarness(engine, scope=tmp_path, instance="second") as second:
        result = await second.apply(token=2)

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert engine.calls == 2


async def test_a_destroy_gets_the_newest_handle_even_where_the_caller_lost_it(tmp_path: Path) -> None:
    priors = []

    async def act(step: Step) -> Any:
        priors.append(step.prior)
        if step.prior is None:
            await step.handle({"id": "made"})
            (step.directory / "state").touch()
        return {}

    async with EngineHarness(ScriptedEngine(act), scope=tmp_path) as harness:
        await harness.apply()
        result = await harness.destroy()

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert priors == [None, {"id": "made"}]
    assert files_under(tmp_path, "state") == []


async def test_a_plan_is_told_and_nothing_is_recorded(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        run = await step.run("look", ["true"])
        await run.wait()
        change = provisioning_pb2.PlannedChange(
            action=provisioning_pb2.PlannedChange.ACTION_CREATE, address="a"
        )
        return PlannedStep([change], {"count": 1}, "sha256:abc", "one to add")

    async with EngineHarness(ScriptedEngine(act), scope=tmp_path) as harness:
        planned = await harness.plan()
        again = await harness.plan()

    assert planned == again
    assert planned.plan.changes[0].address == "a"
    assert planned.plan.digest == "sha256:abc"
    assert files_under(tmp_path, "ledger.json") == []


async def test_what_cannot_be_observed_is_unknown_with_the_reason(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        raise StepFailedError(Finding("no answer", code="NO_ANSWER"))

    async with EngineHarness(ScriptedEngine(act), scope=tmp_path) as harness:
        seen = await harness.observe()

    assert seen.presence == seen.PRESENCE_UNKNOWN
    assert seen.diagnostics[0].code == "NO_ANSWER"


async def test_an_engine_that_swallows_the_cancellation_ends_as_cancelled_all_the_same(
    tmp_path: Path,
) -> None:
    waiting = asyncio.Event()

    async def act(step: Step) -> Any:
        run = await step.run("tool", ["sleep", "30"])
        waiting.set()
        try:
            await run.wait()
        except CancelledStepError:
            return {"count": 1}

    async with EngineHarness(ScriptedEngine(act), scope=tmp_path) as harness:
        applying = asyncio.create_task(harness.apply(), name="apply")
        await waiting.wait()
        await harness.cancel("enough")
        result = await applying

    assert result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
