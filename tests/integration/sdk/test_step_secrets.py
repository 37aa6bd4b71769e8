"""Secrets of a step: used by its tools, and seen by nobody else."""

from pathlib import Path
from typing import Any

import pytest

from enchain.chains.values import SecretRef
from enchain.sdk.port import Finding, Step
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2
from tests.harness.scripted import SECRET, ScriptedEngine, applied, files_telling


async def test_no_secret_appears_in_anything_that_leaves_the_step(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        password = await step.secrets.resolve(step.inputs["db"], tenant=step.tenant)
        await step.handle({"id": "made"})
        step.progress(f"logging in with {password}")
        step.report(Finding(f"used {password}", detail=password, severity=diagnostic_pb2.SEVERITY_WARNING))
        run = await step.run("tool", ["sh", "-c", 'echo "my $PW"'], secret_env={"PW": password})
        async for line in run.lines():
            step.log(line)
        await run.wait()
        return {"count": 1, "password": password}

    result, events = await applied(act, tmp_path, db=SecretRef("env:db"))

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert SECRET not in str(events)
    assert outputs_of(result)["password"] == SecretRef("file:01hz0000000000000000000000/step/password")
    kept = files_telling(tmp_path, SECRET)
    inside = {path.relative_to(tmp_path).parts[0] for path in kept}
    assert inside == {"secrets", "work"}  # the secret store, and the tool's own output, both 0600
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)
    assert "ledger.json" not in {path.name for path in kept}


@pytest.mark.parametrize("where", ["handle", "outputs"])
async def test_a_secret_in_plain_sight_is_refused(tmp_path: Path, where: str) -> None:
    async def act(step: Step) -> Any:
        password = await step.secrets.resolve(SecretRef("env:db"), tenant=step.tenant)
        if where == "handle":
            await step.handle({"url": f"https://user:{password}@host"})
        return {"url": f"https://user:{password}@host"}

    result, events = await applied(act, tmp_path)

    assert result.diagnostics[0].code == f"SECRET_IN_{where.upper()}"
    assert SECRET not in str(events)


async def test_a_secret_of_another_tenant_cannot_be_had(tmp_path: Path) -> None:
    async def act(step: Step) -> Any:
        return {"found": await step.secrets.resolve(SecretRef("file:../default/db"), tenant=step.tenant)}

    (tmp_path / "secrets" / "default").mkdir(parents=True)
    (tmp_path / "secrets" / "default" / "db").write_text(SECRET)
    async with EngineHarness(ScriptedEngine(act), scope=tmp_path) as harness:
        result = await harness.apply(tenant="other")

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "SECRET_MISSING"


async def test_variables_of_the_instance_itself_do_not_reach_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCHAIN_SECRET_OTHER", SECRET)
    monkeypatch.setenv("GREETING", "hello")

    async def act(step: Step) -> Any:
        run = await step.run("env", ["env"])
        lines = [line async for line in run.lines()]
        return {"own": sum("ENCHAIN_" in line for line in lines), "others": "GREETING=hello" in lines}

    result, _ = await applied(act, tmp_path)

    assert outputs_of(result) == {"own": 0, "others": True}
