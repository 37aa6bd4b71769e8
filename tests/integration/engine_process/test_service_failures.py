"""Services that do not come up, steps that break off: told precisely, and nothing is left."""

import asyncio
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from enchain.chains.values import Json
from enchain.engines.process.engine import ProcessSettings
from enchain.sdk.port import CancelledStepError, StepFailedError
from tests.harness.process_steps import (
    SITE,
    TOKEN,
    Instance,
    LocalStep,
    fetch,
    names_in,
    paths_named,
    processes_of,
)
from tests.harness.waiting import eventually


class SquattedStep(LocalStep):
    """A step whose port a stranger takes as soon as it is told which one it is."""

    def __init__(self, scope: Path, inputs: Mapping[str, Json]) -> None:
        super().__init__(scope, inputs)
        self.listeners = ExitStack()

    async def handle(self, data: Mapping[str, Json]) -> None:
        self.listeners.enter_context(socket.create_server(("127.0.0.1", data["port"])))


@pytest.mark.parametrize(
    "seen", ["services/*.json", "files/a", "spec.json", "ticket-*", "log", "process-*.json", "up"]
)
async def test_a_step_broken_off_anywhere_is_finished_by_another_instance(scope: Path, seen: str) -> None:
    inputs = {"run": ["sh", "-c", "touch up; exec sleep 600"], "files": {"a": "b"}}
    first = await Instance(scope).start()
    broken = asyncio.create_task(first.apply(inputs), name="a step to break off")
    await eventually(lambda: paths_named(scope, seen) or broken.done())
    broken.cancel()
    await asyncio.gather(broken, return_exceptions=True)
    await first.engine.stop()

    second = await Instance(scope).start()
    outputs = await second.apply(inputs)

    assert processes_of(scope) == [outputs["pid"]]
    await second.destroy()
    assert processes_of(scope) == []
    await second.engine.stop()


async def test_a_range_without_a_free_port_fails_clean(scope: Path) -> None:
    first = await Instance(scope).start()
    port = (await first.apply(SITE))["port"]
    await first.engine.stop()
    small = await Instance(scope, ProcessSettings(ports=range(port, port + 1))).start()

    with pytest.raises(StepFailedError) as failure:
        await small.apply(SITE, work="R2/serve")

    assert (failure.value.findings[0].code, failure.value.left_behind, failure.value.retryable) == (
        "PORTS_EXHAUSTED",
        False,
        True,
    )
    await small.engine.stop()


async def test_a_handle_of_another_scope_is_not_taken_for_absence(instance: Instance, scope: Path) -> None:
    step = LocalStep(scope, {}, prior={"scope": "another", "service": "x"})

    with pytest.raises(StepFailedError) as failure:
        await instance.engine.destroy(step)

    assert failure.value.findings[0].code == "ABSENCE_UNPROVEN"
    assert failure.value.left_behind


async def test_a_change_that_fails_leaves_what_stood_before_serving(instance: Instance) -> None:
    first = await instance.apply(SITE)

    failure = await instance.failure(
        {**SITE, "run": ["false"], "files": {"index.html": "broken"}, "ready": {"tcp": True}}
    )

    assert failure.left_behind
    assert await eventually(lambda: fetch(first["url"])) == "hello"


async def test_a_service_that_is_not_ready_in_time_fails_clean_with_its_last_words(
    instance: Instance, scope: Path
) -> None:
    talker = "import signal; print('cannot find the database', flush=True); signal.pause()"
    failure = await instance.failure(
        {"run": [sys.executable, "-c", talker], "ready": {"tcp": True, "within": "500ms"}}
    )

    (finding,) = failure.findings
    assert (finding.code, finding.path) == ("NOT_READY", "inputs.ready")
    assert "cannot find the database" in finding.detail
    assert not failure.left_behind
    assert processes_of(scope) == []
    assert names_in(scope / "process/services") == []
    assert not paths_named(scope, "service")


async def test_a_command_that_does_not_exist_fails_clean(instance: Instance) -> None:
    failure = await instance.failure({"run": ["no-such-command-here"]})

    (finding,) = failure.findings
    assert (finding.path, finding.exit_code, failure.left_behind) == ("inputs.run", 127, False)
    assert "no-such-command-here" in finding.detail


async def test_a_port_that_a_stranger_took_does_not_count_as_ready(instance: Instance, scope: Path) -> None:
    # The service never listens, and something that is not of its family does.
    step = SquattedStep(scope, {"run": ["sleep", "600"], "ready": {"tcp": True, "within": "5s"}})
    with step.listeners, pytest.raises(StepFailedError) as failure:
        await instance.engine.apply(step)

    assert (failure.value.findings[0].code, failure.value.left_behind) == ("PORT_IN_USE", False)


async def test_readiness_by_http_waits_for_a_good_answer(instance: Instance) -> None:
    failure = await instance.failure({**SITE, "ready": {"http": "/missing", "within": "500ms"}})
    assert "status 404" in failure.findings[0].summary

    outputs = await instance.apply({**SITE, "ready": {"http": "/index.html"}})
    assert await fetch(outputs["url"]) == "hello"


async def test_a_cancelled_step_takes_back_what_it_started(instance: Instance, scope: Path) -> None:
    step = LocalStep(scope, {"run": ["sleep", "600"], "ready": {"tcp": True, "within": "60s"}})
    step.cancelled = True

    with pytest.raises(CancelledStepError) as cancelled:
        await instance.engine.apply(step)

    assert not cancelled.value.left_behind
    assert processes_of(scope) == []


async def test_a_hostile_file_name_lays_nothing_down(instance: Instance, scope: Path) -> None:
    failure = await instance.failure({**SITE, "files": {"../../escaped": "x", "ok": "y"}})

    assert (failure.findings[0].code, failure.left_behind) == ("INVALID_PATH", False)
    assert not paths_named(scope, "escaped")
    assert not paths_named(scope, "ok")


async def test_a_link_in_the_way_is_not_followed(instance: Instance, scope: Path) -> None:
    outside = scope / "outside"
    outside.mkdir()
    outputs = await instance.apply(SITE)
    (Path(outputs["directory"]) / "sub").symlink_to(outside)

    failure = await instance.failure({**SITE, "files": {"index.html": "hello", "sub/file": "x"}})

    assert failure.findings[0].code == "FILES_FAILED"
    assert list(outside.iterdir()) == []


async def test_a_secret_that_a_failing_service_prints_is_blotted_out(instance: Instance) -> None:
    failure = await instance.failure(
        {
            "run": [
                sys.executable,
                "-c",
                "import os; print('token', os.environ['TOKEN']); raise SystemExit(3)",
            ],
            "env": {"TOKEN": TOKEN},
        }
    )

    (finding,) = failure.findings
    assert finding.exit_code == 3
    assert finding.detail == "token ********"
