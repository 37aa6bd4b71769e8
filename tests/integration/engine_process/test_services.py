"""Real services through the process engine: served, changed, refused and removed without a trace."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from process_steps import (
    PORT,
    SITE,
    TOKEN,
    Instance,
    LocalStep,
    environ_of,
    fetch,
    files_holding,
    is_listening,
    names_in,
    open_files_of,
    paths_named,
    processes_of,
)

from enchain.chains.values import EngineVariable, TemplateText
from enchain.engines.process.engine import ProcessSettings
from enchain.engines.process.planning import Change
from enchain.engines.process.schema import OUTPUTS
from enchain.sdk.port import CancelledStepError, PlanStaleError, StepFailedError
from enchain.sdk.schemas import check, to_struct
from enchain.v1 import operation_pb2
from tests.harness.waiting import eventually

# Ends on SIGTERM only where it is told to; its children form sessions of their own.
FORKING = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    deaf = "import signal, time; signal.signal(15, 1); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""


async def test_a_service_serves_its_files_at_its_port(instance: Instance, scope: Path) -> None:
    step = LocalStep(scope, SITE)

    outputs = await instance.engine.apply(step)

    assert await fetch(outputs["url"]) == "hello"
    assert check(outputs, to_struct(OUTPUTS), field="outputs") == ()
    assert outputs["files"] == {"index.html": "hello"}
    assert step.handles == [
        {
            "service": step.handles[0]["service"],
            "scope": (scope / "process/scope-id").read_text(),
            "directory": str(step.directory / "service"),
            "host": "127.0.0.1",
            "port": outputs["port"],
        }
    ]
    assert step.usage.cpu_seconds > 0
    assert step.usage.peak_memory_bytes > 1 << 20


async def test_a_service_leads_a_session_of_its_own_with_little_of_the_engines(
    instance: Instance, scope: Path
) -> None:
    os.environ["ENCHAIN_TEST_LEAK"] = "leak"
    try:
        pid = (await instance.apply({**SITE, "env": {"COLOUR": "green"}}))["pid"]
    finally:
        del os.environ["ENCHAIN_TEST_LEAK"]

    assert os.getsid(pid) == os.getpgid(pid) == pid
    given = {"PATH", "HOME", "LANG", "COLOUR", "ENCHAIN_WORK_ID", "ENCHAIN_SERVICE"}
    assert environ_of(pid).keys() == given
    log = str(scope / "work/01RESOURCE/serve/service/log")
    assert {name.partition(":")[0] for name in open_files_of(pid)} == {"/dev/null", log, "socket"}


async def test_two_works_get_two_ports(instance: Instance) -> None:
    one = await instance.apply({**SITE, "files": {"index.html": "one"}}, work="R1/serve")
    two = await instance.apply({**SITE, "files": {"index.html": "two"}}, work="R2/serve")

    assert one["port"] != two["port"]
    assert [await fetch(one["url"]), await fetch(two["url"])] == ["one", "two"]


async def test_works_that_begin_at_once_get_ports_of_their_own(scope: Path) -> None:
    one, two = await Instance(scope).start(), await Instance(scope).start()

    outputs = await asyncio.gather(
        *(each.apply(SITE, work=f"R{number}/serve") for number, each in enumerate([one, two] * 4))
    )

    assert len({each["port"] for each in outputs}) == 8
    assert [await fetch(each["url"]) for each in outputs] == ["hello"] * 8
    await asyncio.gather(*(one.destroy(work=f"R{number}/serve") for number in range(8)))
    assert processes_of(scope) == []
    await one.engine.stop()
    await two.engine.stop()


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


async def test_destroying_leaves_no_process_no_port_no_directory(instance: Instance, scope: Path) -> None:
    outputs = await instance.apply(SITE)

    await instance.destroy()

    assert processes_of(scope) == []
    assert not is_listening(outputs["port"])
    assert not Path(outputs["directory"]).parent.exists()
    assert names_in(scope / "process/services") == []
    assert names_in(scope / "process/locks") == ["ports"]
    assert (await instance.engine.observe(LocalStep(scope, SITE))).present is False
    await instance.destroy()


async def test_a_service_that_forks_and_ignores_the_signal_is_stopped_whole(
    instance: Instance, scope: Path
) -> None:
    inputs = {
        "run": [sys.executable, "-c", FORKING],
        "env": {"X": "1"},
        "stop": {"within": "100ms"},
    }
    await instance.apply(inputs)
    await eventually(lambda: len(processes_of(scope)) == 4)

    await instance.destroy()

    assert processes_of(scope) == []


async def test_a_service_is_found_by_its_mark_when_all_records_are_lost(
    instance: Instance, scope: Path
) -> None:
    outputs = await instance.apply(SITE)
    for path in (
        *(scope / "process/services").iterdir(),
        *Path(outputs["directory"]).parent.glob("process-*"),
    ):
        path.unlink()

    assert (await instance.engine.observe(LocalStep(scope, SITE))).present is True
    await instance.destroy()

    assert processes_of(scope) == []
    assert not is_listening(outputs["port"])


async def test_a_handle_of_another_scope_is_not_taken_for_absence(instance: Instance, scope: Path) -> None:
    step = LocalStep(scope, {}, prior={"scope": "another", "service": "x"})

    with pytest.raises(StepFailedError) as failure:
        await instance.engine.destroy(step)

    assert failure.value.findings[0].code == "ABSENCE_UNPROVEN"
    assert failure.value.left_behind


async def test_the_same_inputs_keep_the_service_running(instance: Instance) -> None:
    first = await instance.apply(SITE)
    second = await instance.apply({**SITE, "restart": {"policy": "never"}})

    assert second == first


async def test_other_files_restart_the_service_at_the_same_port(instance: Instance) -> None:
    first = await instance.apply({**SITE, "files": {"index.html": "old", "gone/away.txt": "x"}})
    mine = Path(first["directory"]) / "its-own.txt"
    mine.write_text("written by the service")

    second = await instance.apply({**SITE, "files": {"index.html": "new"}})

    assert (second["port"], second["pid"] != first["pid"]) == (first["port"], True)
    assert await fetch(second["url"]) == "new"
    assert names_in(second["directory"]) == ["index.html", "its-own.txt"]


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
    talker = "import time; print('cannot find the database', flush=True); time.sleep(600)"
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
    step = LocalStep(scope, {"run": ["sleep", "600"], "ready": {"tcp": True, "within": "5s"}})
    taken: list[int] = []

    async def take_port(data: dict[str, int]) -> None:
        import socket

        server = socket.create_server(("127.0.0.1", data["port"]))
        taken.append(data["port"])
        step.server = server  # type: ignore[attr-defined]  # kept open for as long as the step lives

    step.handle = take_port  # type: ignore[assignment]  # the world acts while the step works
    with pytest.raises(StepFailedError) as failure:
        await instance.engine.apply(step)

    step.server.close()  # type: ignore[attr-defined]  # set above
    assert (failure.value.findings[0].code, failure.value.left_behind) == ("PORT_IN_USE", False)


async def test_readiness_by_http_waits_for_a_good_answer(instance: Instance) -> None:
    failure = await instance.failure({**SITE, "ready": {"http": "/missing", "within": "500ms"}})
    assert "status 404" in failure.findings[0].summary

    outputs = await instance.apply({**SITE, "ready": {"http": "/index.html"}})
    assert await fetch(outputs["url"]) == "hello"


async def test_a_service_without_a_port_has_neither_url_nor_port(instance: Instance) -> None:
    outputs = await instance.apply({"run": ["sleep", "600"]})

    assert outputs.keys() == {"host", "pid", "directory", "files"}


async def test_a_cancelled_step_takes_back_what_it_started(instance: Instance, scope: Path) -> None:
    step = LocalStep(scope, {"run": ["sleep", "600"], "ready": {"tcp": True, "within": "60s"}})
    step.cancelled = True

    with pytest.raises(CancelledStepError) as cancelled:
        await instance.engine.apply(step)

    assert not cancelled.value.left_behind
    assert processes_of(scope) == []


async def test_shell_metacharacters_stay_data(instance: Instance, scope: Path) -> None:
    evil = "$(touch pwned); `touch pwned` | touch pwned & > pwned\n'\"*"
    echo = "import sys; open('said','w').write('\\0'.join(sys.argv[1:])); import time; time.sleep(600)"
    inputs = {
        "run": [sys.executable, "-c", echo, evil, "${port}", TemplateText(("at ", EngineVariable("host")))],
        "files": {"$(touch pwned)": evil},
        "env": {"EVIL": evil},
    }

    outputs = await instance.apply(inputs)
    said = await eventually((Path(outputs["directory"]) / "said").read_text)

    assert said.split("\0") == [evil, "${port}", "at 127.0.0.1"]
    assert (Path(outputs["directory"]) / "$(touch pwned)").read_text() == evil
    assert not paths_named(scope, "pwned")


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


async def test_a_secret_reaches_the_service_and_nothing_else(instance: Instance, scope: Path) -> None:
    probe = "import os, time; assert len(os.environ['TOKEN']) == 14; time.sleep(600)"
    step = LocalStep(scope, {"run": [sys.executable, "-c", probe], "env": {"TOKEN": TOKEN}})

    outputs = await instance.engine.apply(step)

    assert environ_of(outputs["pid"])["TOKEN"] == "tell-nobody-42"
    assert files_holding(scope, "tell-nobody-42") == []
    assert "tell-nobody-42" not in json.dumps([outputs, step.handles, step.told])


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


async def test_a_plan_says_what_would_be_done_and_is_applied_exactly(instance: Instance, scope: Path) -> None:
    plan = await instance.engine.plan(LocalStep(scope, SITE))

    assert [change.address for change in plan.changes] == ["files/index.html", "process", "port"]
    assert {change.action for change in plan.changes} == {Change.ACTION_CREATE}
    assert processes_of(scope) == []
    outputs = await instance.engine.apply(LocalStep(scope, SITE, plan_digest=plan.digest))
    assert await fetch(outputs["url"]) == "hello"
    with pytest.raises(PlanStaleError):
        await instance.engine.apply(LocalStep(scope, SITE, plan_digest=plan.digest))


async def test_a_plan_to_destroy_lists_what_stands(instance: Instance, scope: Path) -> None:
    await instance.apply(SITE)

    plan = await instance.engine.plan(LocalStep(scope, {}, verb=operation_pb2.VERB_DEPROVISION))

    assert [change.address for change in plan.changes] == ["process", "files/index.html", "port"]
    assert {change.action for change in plan.changes} == {Change.ACTION_DELETE}


async def test_what_differs_from_how_it_was_made_is_seen(instance: Instance, scope: Path) -> None:
    outputs = await instance.apply({**SITE, "restart": {"policy": "never"}})
    assert (await instance.engine.observe(LocalStep(scope, SITE))).drift == []
    (Path(outputs["directory"]) / "index.html").write_text("defaced")
    os.kill(outputs["pid"], 9)
    await eventually(lambda: not is_listening(outputs["port"]))

    async def drift() -> set[str]:
        seen = await instance.engine.observe(LocalStep(scope, SITE))
        assert seen.present
        return {change.address for change in seen.drift}

    assert await eventually(drift) == {"files/index.html", "process"}
    healed = await instance.apply(SITE)
    assert await fetch(healed["url"]) == "hello"


async def test_large_files_are_not_echoed(instance: Instance) -> None:
    outputs = await instance.apply({**SITE, "files": {"index.html": "x" * 9000}})

    assert "files" not in outputs
    assert await fetch(outputs["url"]) == "x" * 9000


async def test_environment_and_files_take_the_port_too(instance: Instance) -> None:
    outputs = await instance.apply(
        {
            "run": ["sh", "-c", 'exec python3 -m http.server "$LISTEN"'],
            "env": {"LISTEN": PORT},
            "files": {"index.html": TemplateText(("port ", EngineVariable("port")))},
        }
    )

    assert await fetch(outputs["url"]) == f"port {outputs['port']}"
