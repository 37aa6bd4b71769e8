"""Every engine that comes with enchain passes the suite, with its real tool, killed and drained as well.

They run side by side, since most of the time is spent waiting for tools. A play takes seconds, so Ansible is
asked here what few plays can answer; `ENCHAIN_CONFORMANCE=full` asks it everything (minutes).
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from enchain.engines.ansible.engine import AnsibleEngine
from enchain.engines.process.engine import ProcessEngine
from enchain.engines.script.engine import ScriptEngine
from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk.conformance import suite
from enchain.sdk.conformance.report import Report
from enchain.sdk.conformance.samples import read_file
from enchain.sdk.port import Engine
from examples.hello_engine import HelloEngine
from tests.conformance.engines.sdk_engines import ServedSdkEngine
from tests.conformance.engines.suite_runs import SAMPLES, broken, run_suite

ENGINES: dict[str, Callable[[], Engine]] = {
    "ansible": AnsibleEngine,
    "hello": HelloEngine,
    "process": ProcessEngine,
    "script": ScriptEngine,
    "terraform": TerraformEngine,
}

FEW_PLAYS = (
    "handshake-is-complete",
    "schema-is-json-schema",
    "validate-is-pure",
    "wrong-input-is-refused",
    "malformed-call-is-refused",
    "oversize-inputs-are-refused",
    "missing-artifact-is-refused",
    "good-inputs-succeed",
    "handle-comes-before-result",
    "outputs-match-schema",
    "known-key-is-joined",
    "result-is-kept",
    "other-parameters-are-refused",
    "lower-token-is-refused",
    "get-step-closes-what-is-absent",
    "cancel-stops-work",
    "missing-secret-fails-clean",
    "crash-loses-no-result",
    "crash-loses-no-token",
)

NO_SAMPLE = {"oversize-handle-is-refused", "oversize-outputs-fail-partially"}
SKIPPED = {
    "ansible": {*NO_SAMPLE, "missing-capability-is-refused", "missing-input-is-refused"},
    "process": {*NO_SAMPLE, "missing-capability-is-refused", "missing-artifact-is-refused"},
    "script": {"oversize-handle-is-refused", "missing-capability-is-refused"},
    "terraform": {*NO_SAMPLE, "missing-capability-is-refused"},
}
"""What may be left out: the engine takes no artifacts, lacks nothing, or cannot be brought to it."""


async def run(name: str, folder: Path) -> Report:
    """Run the suite against one of our engines."""
    inputs = read_file(SAMPLES / f"{name}.yaml")
    brief = name == "ansible" and os.environ.get("ENCHAIN_CONFORMANCE") != "full"
    only: Sequence[str] = FEW_PLAYS if brief else ()
    async with ServedSdkEngine(ENGINES[name], folder / name, inputs) as engine:
        return await run_suite(engine.address, inputs, restart=engine.restart, only=only)


async def run_all(folder: Path) -> dict[str, Report | BaseException]:
    """Run the suite against all of our engines at once."""
    runs = await asyncio.gather(*(run(name, folder) for name in ENGINES), return_exceptions=True)
    return dict(zip(ENGINES, runs, strict=True))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report | BaseException]:
    """The reports of all of our engines."""
    with asyncio.Runner() as runner:
        return runner.run(run_all(tmp_path_factory.mktemp("engines")))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ENGINES)
def test_our_engine_passes_the_suite(name: str, reports: dict[str, Report | BaseException]) -> None:
    report = reports[name]
    assert isinstance(report, Report), report
    skipped = {verdict.name for verdict in report.checks if verdict.status == "skipped"}

    assert broken(report) == []
    assert name == "hello" or skipped <= SKIPPED[name]
    assert report.left_behind == []


def test_the_few_plays_are_checks() -> None:
    assert set(FEW_PLAYS) <= {check.name for check in suite.CHECKS}
