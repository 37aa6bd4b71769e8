"""The script engine with real scripts in bash and Python: every verb, and every way to break the contract."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import SecretRef
from enchain.engine.v1 import engine_pb2
from enchain.engines.script.engine import ScriptEngine
from enchain.sdk.testing import EngineHarness, handle_data, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1.provisioning_pb2 import PlannedChange
from tests.harness.scripts import OK, answering, was_pwned
from tests.harness.waiting import eventually

Bundles = Callable[..., Path]

UID = "01hz0000000000000000000000"

BASH = r"""#!/bin/bash
set -euo pipefail
exec 9>&1 1>&2                       # answers go to 9; whatever else is printed is for the log
answer() { printf '%s\n' "$1" >&9; }
case $ENCHAIN_VERB in
apply)
  answer '{"enchain": "handle", "data": {"file": "page.html"}}'
  until [ "$(cat "$ENCHAIN_ACKNOWLEDGED")" -ge 1 ]; do :; done
  answer '{"enchain": "progress", "message": "writing", "fraction": 0.5}'
  python3 -c 'import json, sys; print(json.load(sys.stdin)["inputs"]["name"], end="")' > page.html
  echo "wrote $(wc -c < page.html) bytes"
  answer "{\"enchain\": \"result\", \"ok\": true, \"outputs\": {\"page\": \"$PWD/page.html\"}}"
  ;;
destroy)
  rm -f page.html
  answer '{"enchain": "result", "ok": true}'
  ;;
esac
"""

PYTHON = '''#!/usr/bin/env python3
"""A script that knows all verbs."""
import json, os, pathlib, sys
asked = json.load(sys.stdin)
file = pathlib.Path("made.json")
def answer(kind, **fields):
    print(json.dumps({"enchain": kind, **fields}), flush=True)
def wanted():
    return {"size": asked["inputs"]["size"], "steps": asked["steps"]}
verb = asked["verb"]
if verb in ("apply", "update"):
    answer("handle", data={"path": str(file.absolute()), "was": asked["handle"]})
    file.write_text(json.dumps(wanted()))
    answer("output", name="size", value=asked["inputs"]["size"])
    answer("result", ok=True, outputs={"token": "t0ken-" + os.environ.get("SECRET_DB_PASSWORD", "none")})
elif verb == "destroy":
    file.unlink(missing_ok=True)
    answer("result", ok=True)
elif verb == "plan":
    stands = json.loads(file.read_text()) if file.exists() else None
    if asked["destroys"]:
        answer("change", action="delete", address="made.json")
    elif stands != wanted():
        answer("change", action="update" if stands else "create", address="made.json", detail=str(stands))
    answer("result", ok=True, summary="looked", outputs={"size": asked["inputs"]["size"]})
else:
    stands = file.exists()
    if stands and json.loads(file.read_text()) != wanted():
        answer("change", action="update", address="made.json")
    answer("result", ok=True, present=stands)
'''
MANIFEST = json.dumps(
    {
        "contract": "enchain-script/1",
        "run": ["python3", "./main.py"],
        "verbs": ["apply", "update", "destroy", "plan", "observe"],
        "inputs": {
            "type": "object",
            "properties": {"size": {"type": "integer"}, "db": {}},
            "required": ["size"],
        },
        "outputs": {"type": "object", "properties": {"size": {"type": "integer"}, "token": {}}},
        "secret_outputs": ["token"],
    }
)
FULL = {"main.py": PYTHON, "enchain-script.json": MANIFEST}


def files_of(scope: Path, step: str = "step") -> Path:
    return scope / "work" / "default" / UID / step / "files"


def text_of(path: Path) -> str:
    return path.read_text()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_bash_script_is_applied_and_destroyed(
    harness: EngineHarness, bundles: Bundles, tmp_path: Path
) -> None:
    name = "$(touch pwned) `touch pwned` '\"\n${x} 🦊"
    inputs = {"run": ["./provision.sh"], "with": {"name": name}}
    made = await harness.apply(inputs, {"bundle": bundles("bash", {"provision.sh": BASH})})
    said = [event.log.line for event in harness.events if event.HasField("log")]
    told = [event.progress.message for event in harness.events if event.HasField("progress")]
    page = Path(outputs_of(made)["page"])
    content = text_of(page)
    gone = await harness.destroy(made.handle)

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert content == name
    assert f"wrote {len(content.encode())} bytes" in said
    assert told == ["writing"]
    assert handle_data(made) == {"work": f"{UID}/step", "data": {"file": "page.html"}}
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone
    assert not files_of(tmp_path / "scope").exists()
    assert not was_pwned(tmp_path)


async def test_the_handle_stands_before_the_script_is_asked(harness: EngineHarness, bundles: Bundles) -> None:
    await harness.apply(
        {"run": ["./provision.sh"], "with": {"name": "a"}},
        {"bundle": bundles("bash", {"provision.sh": BASH})},
    )

    kinds = [event.WhichOneof("event") for event in harness.events]
    assert kinds.index("handle") < kinds.index("progress")
    assert kinds[-1] == "result"


async def test_a_script_with_a_manifest_plans_changes_observes_and_keeps_secrets(
    harness: EngineHarness, bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCHAIN_SECRET_PW", "hunter2hunter2")
    bundle = {"bundle": bundles("full", FULL)}
    inputs = {"with": {"size": 3, "db": {"password": SecretRef("env:pw")}}}
    planned = await harness.plan(inputs, bundle)
    made = await harness.apply(inputs, bundle, plan_digest=planned.plan.digest)
    said = str(harness.events)
    (request,) = (files_of(tmp_path / "scope") / "exchange").rglob("request.json")
    asked, mode = text_of(request), request.stat().st_mode & 0o777
    seen = await harness.observe(made.handle)
    (files_of(tmp_path / "scope") / "work" / "made.json").write_text(json.dumps({"size": 9}))
    drifted = await harness.observe(made.handle)
    larger = await harness.plan(
        {"with": {"size": 4}}, bundle, prior=made.handle, verb=operation_pb2.VERB_UPDATE, generation=2
    )
    changed = await harness.apply(
        {"with": {"size": 4}}, bundle, prior=made.handle, verb=operation_pb2.VERB_UPDATE, generation=2
    )
    leaving = await harness.plan(verb=operation_pb2.VERB_DEPROVISION, generation=3)
    gone = await harness.destroy(changed.handle, generation=3)
    after = await harness.observe()

    assert [(c.action, c.address) for c in planned.plan.changes] == [
        (PlannedChange.ACTION_CREATE, "made.json")
    ], planned
    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert outputs_of(made)["size"] == 3
    assert isinstance(outputs_of(made)["token"], SecretRef)
    assert "hunter2" not in said
    assert "hunter2" not in asked
    assert mode == 0o600
    assert (seen.presence, list(seen.drift)) == (engine_pb2.ObserveResponse.PRESENCE_PRESENT, [])
    assert [change.address for change in drifted.drift] == ["made.json"]
    assert [change.action for change in larger.plan.changes] == [PlannedChange.ACTION_UPDATE]
    assert changed.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, changed
    assert handle_data(changed)["data"]["was"]["path"].endswith("made.json")
    assert [change.action for change in leaving.plan.changes] == [PlannedChange.ACTION_DELETE]
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone
    assert after.presence == engine_pb2.ObserveResponse.PRESENCE_ABSENT


async def test_a_plan_of_something_else_is_stale(harness: EngineHarness, bundles: Bundles) -> None:
    bundle = {"bundle": bundles("full", FULL)}
    planned = await harness.plan({"with": {"size": 3}}, bundle)
    result = await harness.apply({"with": {"size": 4}}, bundle, plan_digest=planned.plan.digest)

    assert result.diagnostics[0].code == "PLAN_STALE"
    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN


async def test_inputs_off_the_manifest_are_refused(harness: EngineHarness, bundles: Bundles) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.apply({"with": {"size": "large"}}, {"bundle": bundles("full", FULL)})

    assert [violation.field for violation in caught.value.violations] == ["inputs.with.size"]


async def test_a_wrong_manifest_is_refused_and_every_fault_named(
    harness: EngineHarness, bundles: Bundles
) -> None:
    wrong = {"contract": "enchain-script/9", "verbs": ["fly"], "outputs": {"type": 3}, "extra": 1}
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.schema({"bundle": bundles("wrong", {"enchain-script.json": json.dumps(wrong)})})

    named = {violation.field.rpartition(" ")[2] for violation in caught.value.violations}
    assert named == {"contract", "verbs", "outputs", "extra"}


async def test_an_update_that_is_not_declared_is_refused_and_leaves_what_stood(
    harness: EngineHarness, bundles: Bundles
) -> None:
    bundle = {"bundle": bundles("plain", {"x": answering(OK)})}
    made = await harness.apply({"run": ["./x"]}, bundle)
    result = await harness.apply(
        {"run": ["./x"]}, bundle, prior=made.handle, verb=operation_pb2.VERB_UPDATE, generation=2
    )

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == "VERB_UNDECLARED"


WAITING = """#!/bin/bash
echo '{"enchain": "handle", "data": {"began": true}}'
echo began >> "$1/log"
(setsid bash -c 'sleep 60' &)
touch "$1/ready"
read -r _ < "$1/gate"
echo '{"enchain": "result", "ok": true, "outputs": {"done": 1}}'
"""


async def test_another_instance_takes_a_running_script_up_and_nothing_is_done_twice(
    bundles: Bundles, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    os.mkfifo(gate / "gate")
    inputs = {"run": ["./x", str(gate)]}
    bundle = {"bundle": bundles("waiting", {"x": WAITING})}
    scope = tmp_path / "scope"
    async with EngineHarness(ScriptEngine(), scope=scope) as first:
        lost = asyncio.create_task(first.apply(inputs, bundle))
        await eventually((gate / "ready").exists)
        await first.runner.close()
        await asyncio.gather(lost, return_exceptions=True)
    async with EngineHarness(ScriptEngine(), scope=scope, instance="second") as second:
        joined = asyncio.create_task(second.apply(inputs, bundle, token=2))
        await asyncio.to_thread((gate / "gate").write_text, "go\n")
        result = await joined

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, result
    assert outputs_of(result) == {"done": 1}
    assert handle_data(result)["data"] == {"began": True}
    assert (gate / "log").read_text() == "began\n"


async def test_a_cancelled_script_is_stopped_with_all_that_it_started(
    bundles: Bundles, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    os.mkfifo(gate / "gate")
    script = WAITING.replace("sleep 60", "echo $$ > $0/stray; exec sleep 60").replace("' &)", '\' "$1" &)')
    async with EngineHarness(ScriptEngine(), scope=tmp_path / "scope") as harness:
        running = asyncio.create_task(
            harness.apply({"run": ["./x", str(gate)]}, {"bundle": bundles("waiting", {"x": script})})
        )
        await eventually(lambda: (gate / "ready").exists() and (gate / "stray").exists())
        stray = int(await eventually(lambda: (gate / "stray").read_text().strip()))
        request = engine_pb2.CancelStepRequest(call=harness.call(), reason="enough")
        await harness.runner.cancel_step(request)
        result = await running

    assert result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
    assert not exists(stray)
