"""Scripts that are killed with everything around them: repeated only where they say that they may be."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from enchain.engine.v1 import engine_pb2
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2
from tests.harness.waiting import eventually

SCRIPT = """#!/bin/bash
echo "at $(cat "$ENCHAIN_ACKNOWLEDGED")" >> counts
echo '{"enchain": "handle", "data": {"made": "once"}}'
until [ "$(cat "$ENCHAIN_ACKNOWLEDGED")" -ge 1 ]; do :; done
echo began >> began
[ "$(wc -l < began)" -gt 1 ] || { touch waiting; sleep 600; }
echo "{\\"enchain\\": \\"result\\", \\"ok\\": true, \\"outputs\\": {\\"begun\\": $(wc -l < began)}}"
"""


def kill_all(scope: Path) -> None:
    """Kill the script with its courier and its runner, as if the host had gone down."""
    (tool,) = scope.rglob("tool.json")
    runner = json.loads(tool.with_name("started.json").read_text())["runner"]
    os.kill(runner, signal.SIGKILL)
    os.killpg(json.loads(tool.read_text())["pid"], signal.SIGKILL)


async def lose(harness: EngineHarness, bundle: Path, scope: Path) -> engine_pb2.StepResult:
    """Apply a script, kill it in the middle, and answer the result."""
    running = asyncio.create_task(harness.apply({"run": ["./x"]}, {"bundle": bundle}))
    await eventually(lambda: list(scope.rglob("waiting")) and list(scope.rglob("tool.json")))
    await asyncio.to_thread(kill_all, scope)
    return await running


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_lost_script_is_run_again_only_if_it_says_so(
    harness: EngineHarness, bundles: Callable[..., Path], tmp_path: Path, repeatable: bool
) -> None:
    manifest = json.dumps({"contract": "enchain-script/1", "repeatable": repeatable})
    bundle = bundles("lost", {"x": SCRIPT, "enchain-script.json": manifest})

    result = await lose(harness, bundle, tmp_path / "scope")

    (counts,) = [path.read_text() for path in (tmp_path / "scope").rglob("counts")]

    if repeatable:
        assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, result
        assert outputs_of(result) == {"begun": 2}
        assert counts == "at 0\nat 0\n"  # acknowledgements of the lost run count for nothing
    else:
        assert result.outcome == diagnostic_pb2.OUTCOME_UNKNOWN, result
        assert result.diagnostics[0].code == "TOOL_LOST"
