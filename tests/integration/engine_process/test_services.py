"""Real services through the process engine: served, changed, refused and removed without a trace."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from enchain.chains.values import EngineVariable, TemplateText
from enchain.engines.process.planning import Change
from enchain.engines.process.schema import OUTPUTS
from enchain.sdk.port import PlanStaleError
from enchain.sdk.schemas import check, to_struct
from enchain.v1 import operation_pb2
from tests.harness.process_steps import (
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
from tests.harness.waiting import eventually

# Ends on SIGTERM only where it is told to; its children form sessions of their own.
FORKING = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    deaf = "import signal; signal.signal(15, 1); signal.pause()"
    subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
print("up", flush=True)
signal.pause()
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


async def test_a_service_without_a_port_has_neither_url_nor_port(instance: Instance) -> None:
    outputs = await instance.apply({"run": ["sleep", "600"]})

    assert outputs.keys() == {"host", "pid", "directory", "files"}


async def test_shell_metacharacters_stay_data(instance: Instance, scope: Path) -> None:
    evil = "$(touch pwned); `touch pwned` | touch pwned & > pwned\n'\"*"
    echo = "import signal, sys; open('said','w').write('\\0'.join(sys.argv[1:])); signal.pause()"
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


async def test_a_secret_reaches_the_service_and_nothing_else(instance: Instance, scope: Path) -> None:
    probe = "import os, signal; assert len(os.environ['TOKEN']) == 14; signal.pause()"
    step = LocalStep(scope, {"run": [sys.executable, "-c", probe], "env": {"TOKEN": TOKEN}})

    outputs = await instance.engine.apply(step)

    assert environ_of(outputs["pid"])["TOKEN"] == "tell-nobody-42"
    assert files_holding(scope, "tell-nobody-42") == []
    assert "tell-nobody-42" not in json.dumps([outputs, step.handles, step.told])


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

    async def is_seen() -> bool:
        seen = await instance.engine.observe(LocalStep(scope, SITE))
        assert seen.present
        return {change.address for change in seen.drift} == {"files/index.html", "process"}

    await eventually(is_seen)
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
