"""The suite's command: against real engine processes, what it prints, writes and answers."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enchain.sdk.conformance import suite
from tests.conformance.engines.suite_runs import SAMPLES
from tests.conformance.engines.wrong_engines import ServedEngine
from tests.harness.restart_engine import kill

CRASHES = [check.name for check in suite.CHECKS if check.restarts]


def command(*arguments: str, code: int) -> str:
    """Run the command and answer what it printed."""
    argv = [sys.executable, "-m", "enchain.sdk.conformance.main", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def restarting(folder: Path) -> list[str]:
    """Answer the command that kills the engine server of a folder and starts it again."""
    return [sys.executable, "-m", "tests.harness.restart_engine", str(folder)]


@pytest.fixture
def served(etcd: str, tmp_path: Path) -> Iterator[Path]:
    """The folder of a script engine that runs in a process of its own."""
    argv = [sys.executable, "-m", "enchain.engines.script.main", "--etcd", etcd, "--log-level", "error"]
    argv += ["--scope", str(tmp_path / "scope"), "--artifacts", str(tmp_path / "artifacts")]
    (tmp_path / "argv.json").write_text(json.dumps(argv))
    subprocess.run(restarting(tmp_path), check=True)
    yield tmp_path
    kill(tmp_path)


def test_an_engine_that_is_killed_for_good_passes(served: Path) -> None:
    address = json.loads((served / "ready.json").read_text())["address"]
    only = [argument for name in CRASHES for argument in ("--only", name)]

    told = command(
        address,
        *("--suite-inputs", str(SAMPLES / "script.yaml"), "--artifacts", str(served / "artifacts")),
        *(
            "--restart-command",
            shlex.join(restarting(served)),
            "--report",
            str(served / "report.json"),
            *only,
        ),
        code=0,
    )
    report = json.loads((served / "report.json").read_text())

    assert f"{len(CRASHES)} passed, 0 failed, 0 skipped" in told
    assert report["implementation"] == "script"
    assert report["protocol"] == "enchain.engine.v1"
    assert [check["name"] for check in report["checks"]] == CRASHES
    assert {check["status"] for check in report["checks"]} == {"passed"}
    assert all(check["rule"].endswith(".") for check in report["checks"])
    assert (report["passed"], report["failed"], report["skipped"]) == (len(CRASHES), 0, 0)
    assert report["left_behind"] == []


async def test_an_engine_that_breaks_a_rule_fails_the_command() -> None:
    async with ServedEngine("plan-is-deterministic") as engine:
        arguments = [engine.address, "--suite-inputs", str(SAMPLES / "memory.yaml")]
        process = await _command(*arguments, "--only", "plan-is-deterministic", "--only", "destroy-removes")

    assert process.returncode == 1, process.stdout
    assert "1 passed, 1 failed, 0 skipped" in process.stdout
    assert "though nothing has changed" in process.stdout


async def test_without_suite_inputs_only_what_needs_none_is_checked() -> None:
    async with ServedEngine() as engine:
        process = await _command(
            engine.address, "--only", "handshake-is-complete", "--only", "destroy-removes"
        )

    assert process.returncode == 0, process.stdout
    assert "1 passed, 0 failed, 1 skipped" in process.stdout
    assert "the suite inputs have no sample `good`" in process.stdout


def test_a_server_that_is_not_there_fails_every_check() -> None:
    told = command("127.0.0.1:1", "--timeout", "0.2", "--only", "handshake-is-complete", code=1)

    assert "could not be reached" in told


def test_the_list_tells_every_rule() -> None:
    told = command("--list", code=0)

    assert [line.partition(": ")[0] for line in told.splitlines()] == [check.name for check in suite.CHECKS]


def test_a_check_that_is_none_is_told() -> None:
    assert "there is no check 'nonsense'" in command("127.0.0.1:1", "--only", "nonsense", code=2)


def test_suite_inputs_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text("good: {input: {name: a}}")

    told = command("127.0.0.1:1", "--suite-inputs", str(tmp_path / "inputs.yaml"), code=2)

    assert "inputs.yaml: good.input is unknown" in told


async def _command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command while this process serves."""
    import asyncio

    argv = [sys.executable, "-m", "enchain.sdk.conformance.main", *arguments]
    return await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, check=False, timeout=90
    )
