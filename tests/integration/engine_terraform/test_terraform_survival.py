"""What the terraform engine says and does after deaths, stops and losses."""

import asyncio
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from enchain.engine.v1 import engine_pb2
from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.terraform_modules import (
    SITE,
    UID,
    Modules,
    both_tools,
    content_of,
    files_of,
    locked_by_another,
)
from tests.harness.waiting import eventually

WAITING = """
variable "gate" { type = string }
resource "terraform_data" "done" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.done]
  provisioner "local-exec" {
    command = "echo began >> $GATE.log; echo ready > $GATE.ready; cat $GATE > /dev/null"
    environment = { GATE = var.gate }
  }
}
output "made" { value = 1 }
"""


async def test_a_missing_state_is_no_proof_of_absence(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    made = await harness.apply({"with": {"name": "a"}}, {"module": modules("site", main_tf=SITE)})
    (files_of(tmp_path / "scope") / "state" / "terraform.tfstate").unlink()
    result = await harness.destroy(made.handle)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == "STATE_MISSING"


async def test_what_was_never_made_is_absent(harness: EngineHarness) -> None:
    assert (await harness.destroy()).outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_a_locked_state_is_worth_another_try(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    module = modules("site", main_tf=SITE)
    made = await harness.apply({"with": {"name": "a"}}, {"module": module})
    update = partial(
        harness.apply,
        {"with": {"name": "b"}},
        {"module": module},
        prior=made.handle,
        verb=operation_pb2.VERB_UPDATE,
    )
    with locked_by_another(files_of(tmp_path / "scope") / "state" / "terraform.tfstate"):
        refused = await update(generation=2)
    again = await update(generation=3)

    assert refused.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert refused.diagnostics[0].code == "STATE_LOCKED"
    assert refused.retryable
    assert again.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, again


async def test_a_second_destroy_finds_nothing_to_do(harness: EngineHarness, modules: Modules) -> None:
    made = await harness.apply({"with": {"name": "a"}}, {"module": modules("site", main_tf=SITE)})
    first = await harness.destroy(made.handle)
    second = await harness.destroy(made.handle, generation=3)

    assert first.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, first
    assert second.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, second


async def test_a_killed_terraform_leaves_a_destroy_that_does_not_claim_absence(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    module = modules("slow", main_tf=WAITING)
    request = await harness.apply_request({"with": {"gate": str(gate)}}, {"module": module})
    applying = asyncio.create_task(_result(harness, request), name="apply")
    await eventually(lambda: Path(f"{gate}.ready").exists())
    os.kill(_tool_pid(tmp_path / "scope"), 9)
    made = await applying
    first = await harness.destroy(made.handle)
    (files_of(tmp_path / "scope") / "killed.json").unlink()
    second = await harness.destroy(made.handle, generation=3)

    assert made.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert made.diagnostics[0].code == "TOOL_KILLED"
    assert first.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert first.diagnostics[0].code == "UNRECORDED"
    assert "terraform_data.slow" in first.diagnostics[0].summary
    assert second.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, second


@both_tools
async def test_another_instance_follows_the_very_same_run(
    environ: Mapping[str, str], modules: Modules, tmp_path: Path
) -> None:
    gate, scope = tmp_path / "gate", tmp_path / "scope"
    os.mkfifo(gate)
    module = modules("slow", main_tf=WAITING)
    async with EngineHarness(TerraformEngine(environ), scope=scope, instance="one") as one:
        request = await one.apply_request({"with": {"gate": str(gate)}}, {"module": module})
        await one.runner.apply(request)
        await eventually(lambda: Path(f"{gate}.ready").exists())
        pid = _tool_pid(scope)
    async with EngineHarness(TerraformEngine(environ), scope=scope, instance="two") as two:
        applying = asyncio.create_task(_result(two, request), name="apply")
        await eventually(lambda: gate.write_text("go") > 0 if _tool_pid(scope) == pid else False)
        made = await applying

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert outputs_of(made) == {"made": 1}
    assert content_of(f"{gate}.log") == "began\n"


@both_tools
async def test_a_cancelled_apply_stops_terraform_and_can_be_destroyed(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    module = modules("slow", main_tf=WAITING)
    request = await harness.apply_request({"with": {"gate": str(gate)}}, {"module": module})
    applying = asyncio.create_task(_result(harness, request), name="apply")
    await eventually(lambda: Path(f"{gate}.ready").exists())
    await harness.runner.cancel_step(
        engine_pb2.CancelStepRequest(call=harness.call(), reason="changed my mind")
    )
    made = await applying
    gone = await harness.destroy(made.handle)

    assert made.outcome == diagnostic_pb2.OUTCOME_CANCELLED, made
    assert not files_of(tmp_path / "scope").joinpath("killed.json").exists()
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


async def _result(harness: EngineHarness, request: engine_pb2.ApplyRequest) -> engine_pb2.StepResult:
    events = [event async for event in (await harness.runner.apply(request)).events()]
    return events[-1].result


def _tool_pid(scope: Path) -> int:
    record = scope / "work" / "default" / UID / "step" / "runs" / "provision-1" / "apply" / "tool.json"
    return int(json.loads(record.read_text())["pid"])
