"""Services outlive their engine: restarted by rule, found again, watched by one instance, measured."""

import os
import signal
import sys
from pathlib import Path

import pytest

from enchain.chains.errors import PreconditionError
from enchain.engines.process.engine import ProcessSettings
from enchain.engines.process.logfile import LIMIT_BYTES
from enchain.engines.process.records import Registry, Service
from tests.harness.process_steps import (
    QUICK,
    SITE,
    TOKEN,
    Instance,
    LocalStep,
    environ_of,
    exists,
    fetch,
    names_in,
    processes_of,
)
from tests.harness.waiting import eventually

EAGER = {**SITE, "restart": {"policy": "always", "max": 5, "backoff": "10ms"}}


def record(scope: Path) -> Service:
    (service,) = Registry(scope).load_all()
    return service


async def test_a_killed_service_is_started_again_at_its_port(instance: Instance) -> None:
    outputs = await instance.apply(EAGER)

    os.kill(outputs["pid"], signal.SIGKILL)

    await eventually(lambda: not exists(outputs["pid"]))
    assert await eventually(lambda: fetch(outputs["url"])) == "hello"
    measured = await instance.engine.measure("01RESOURCE/serve")
    assert measured is not None
    assert measured.restarts == 1


async def test_a_service_that_is_never_to_be_restarted_rests(instance: Instance, scope: Path) -> None:
    outputs = await instance.apply({**SITE, "restart": {"policy": "never"}})

    os.kill(outputs["pid"], signal.SIGKILL)

    assert await eventually(lambda: record(scope).resting)
    assert processes_of(scope) == []
    assert (await instance.engine.observe(LocalStep(scope, SITE))).drift


async def test_a_service_that_ends_well_rests_when_only_failures_count(
    instance: Instance, scope: Path
) -> None:
    counting = "import select; open('starts','a').write('x'); select.select([], [], [], 1.5)"
    inputs = {
        "run": [sys.executable, "-c", counting],
        "restart": {"policy": "on-failure", "backoff": "10ms"},
    }

    outputs = await instance.apply(inputs)

    assert "ended well" in await eventually(lambda: record(scope).resting)
    assert (Path(outputs["directory"]) / "starts").read_text() == "x"


async def test_a_service_that_keeps_failing_is_given_up_after_its_number_of_restarts(
    instance: Instance, scope: Path
) -> None:
    failing = "import select; open('starts','a').write('x'); select.select([], [], [], 1.5); exit(1)"
    inputs = {
        "run": [sys.executable, "-c", failing],
        "restart": {"policy": "on-failure", "max": 2, "backoff": "10ms"},
    }

    outputs = await instance.apply(inputs)

    assert await eventually(lambda: record(scope).resting)
    assert (Path(outputs["directory"]) / "starts").read_text() == "xxx"


async def test_a_restart_resolves_secrets_anew(instance: Instance, scope: Path) -> None:
    outputs = await instance.apply({**EAGER, "env": {"TOKEN": TOKEN}})

    os.kill(outputs["pid"], signal.SIGKILL)
    await eventually(lambda: not exists(outputs["pid"]))
    assert await eventually(lambda: fetch(outputs["url"])) == "hello"

    (pid,) = processes_of(scope)
    assert environ_of(pid)["TOKEN"] == "tell-nobody-42"


async def test_services_go_on_when_the_engine_stops_and_are_found_when_it_starts(scope: Path) -> None:
    first = await Instance(scope).start()
    outputs = await first.apply(EAGER)
    await first.engine.stop()
    assert await fetch(outputs["url"]) == "hello"

    second = await Instance(scope).start()
    assert len(second.engine.watched()) == 1
    assert await second.apply(EAGER) == outputs
    os.kill(outputs["pid"], signal.SIGKILL)
    await eventually(lambda: not exists(outputs["pid"]))

    assert await eventually(lambda: fetch(outputs["url"])) == "hello"
    await second.destroy()
    assert processes_of(scope) == []
    await second.engine.stop()


async def test_a_service_that_died_while_no_engine_ran_is_started_again(scope: Path) -> None:
    first = await Instance(scope).start()
    outputs = await first.apply(EAGER)
    await first.engine.stop()
    os.kill(outputs["pid"], signal.SIGKILL)

    second = await Instance(scope).start()

    assert await eventually(lambda: fetch(outputs["url"])) == "hello"
    await second.engine.stop()


async def test_of_two_instances_exactly_one_watches_a_service_and_the_other_takes_over(scope: Path) -> None:
    one, two = await Instance(scope).start(), await Instance(scope).start()
    works = [f"R{number}/serve" for number in range(3)]
    ports = {
        (await instance.apply(EAGER, work=work))["port"]
        for work, instance in zip(works, (one, two, one), strict=True)
    }

    assert len(ports) == 3
    assert one.engine.watched().isdisjoint(two.engine.watched())
    assert len(one.engine.watched() | two.engine.watched()) == 3
    await one.engine.stop()

    await eventually(lambda: len(two.engine.watched()) == 3)
    await two.engine.stop()


async def test_a_change_through_another_instance_does_not_wake_the_watcher(scope: Path) -> None:
    watcher, other = await Instance(scope).start(), await Instance(scope).start()
    first = await watcher.apply(EAGER)

    second = await other.apply({**EAGER, "files": {"index.html": "changed"}})

    assert (second["port"], second["pid"] != first["pid"]) == (first["port"], True)
    assert await fetch(second["url"]) == "changed"
    assert (len(watcher.engine.watched()), len(other.engine.watched())) == (1, 0)
    assert processes_of(scope) == [second["pid"]]
    await other.destroy()
    await eventually(lambda: not watcher.engine.watched())
    assert names_in(scope / "process/locks") == ["ports"]
    await watcher.engine.stop()
    await other.engine.stop()


async def test_a_service_is_measured(instance: Instance) -> None:
    outputs = await instance.apply({**SITE, "files": {"index.html": "x" * 100_000}})
    before = await instance.engine.measure("01RESOURCE/serve")
    for _ in range(3):
        await fetch(outputs["url"])

    async def transferred() -> int:
        after = await instance.engine.measure("01RESOURCE/serve")
        assert before is not None
        assert after is not None
        assert after.cpu_seconds >= before.cpu_seconds > 0
        assert after.memory_bytes > 1 << 20
        assert after.processes == 1
        assert after.received_bytes is not None
        assert after.received_bytes > 100
        assert after.sent_bytes is not None
        assert after.sent_bytes > 300_000
        return after.sent_bytes

    assert await eventually(transferred) < 310_000
    assert await instance.engine.measure("NOBODY/serve") is None


async def test_a_log_stays_bounded_while_its_service_goes_on(instance: Instance) -> None:
    loud = "for n in range(40000): print(n, 'x' * 99)"
    flood = f"import select\n{loud}\nwhile True: print('on', flush=True); select.select([], [], [], 0.05)"
    outputs = await instance.apply({"run": [sys.executable, "-c", flood]})
    log = Path(outputs["directory"]).parent / "log"

    def is_bounded_and_goes_on() -> bool:
        short = log.stat().st_size <= LIMIT_BYTES
        return short and (log.parent / "log.1").exists() and log.read_text().endswith("on\n")

    await eventually(is_bounded_and_goes_on)

    assert (log.parent / "log.1").stat().st_size == LIMIT_BYTES
    assert exists(outputs["pid"])


async def test_an_instance_of_another_pid_namespace_is_refused(instance: Instance, scope: Path) -> None:
    (scope / "process/namespace").write_text("another boot/pid:[1]")

    with pytest.raises(PreconditionError) as refusal:
        await Instance(scope, ProcessSettings(pace=QUICK)).start()

    assert refusal.value.reason == "OTHER_NAMESPACE"
