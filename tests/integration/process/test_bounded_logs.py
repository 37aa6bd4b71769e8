"""Logs of programs that outlive whoever started them stay bounded, and the programs go on."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controlplane.switching.launchers.process import LOG_BYTES, LOGS_KEPT, ProcessLauncher, Surroundings
from enchain.chains.errors import PreconditionError
from enchain.process.bounded_logs import rotate
from enchain.process.detached import Detached
from enchain.v1.engine_pb2 import Engine, Launch
from tests.harness.pool_worlds import identifier, launch
from tests.harness.waiting import eventually

ENVIRONMENT = {"PATH": os.environ["PATH"]}
LIMIT = 1000
KEPT = 2


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Detached]:
    """The programs of a folder; what runs at the end is killed."""
    programs = Detached(tmp_path / "launches")
    yield programs
    for each in programs.running():
        programs.kill(each)
    await eventually(lambda: not programs.running())


TALKER = (
    "import signal\n"
    f"say = lambda *_: print('x' * {2 * LIMIT}, flush=True)\n"
    "signal.signal(signal.SIGUSR1, say)\n"
    "say()\n"
    "while True: signal.pause()\n"
)
"""Says something long at once, and again whenever it is asked."""


def sizes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_size for each in sorted(folder.glob("log*"))}


async def test_a_log_that_has_grown_too_long_is_put_aside_and_its_program_goes_on(
    programs: Detached, tmp_path: Path
) -> None:
    folder = tmp_path / "launches" / "one"
    pid = programs.start("one", [sys.executable, "-c", TALKER], ENVIRONMENT)

    for number in range(KEPT + 2):
        if number:
            os.kill(pid, signal.SIGUSR1)
        await eventually(lambda: sizes(folder)["log"] > 2 * LIMIT)
        assert programs.trim("one", limit_bytes=LIMIT, kept=KEPT)
        assert not programs.trim("one", limit_bytes=LIMIT, kept=KEPT), "it is short now"
    words = programs.last_words("one")

    assert sizes(folder) == {"log": 0, "log.1": LIMIT, "log.2": LIMIT}
    assert words == "x" * 400, "a log that has just begun anew does not hide them"
    assert list(programs.running()) == ["one"]


async def test_of_many_who_put_a_log_aside_at_once_one_does(programs: Detached, tmp_path: Path) -> None:
    folder = tmp_path / "launches" / "one"
    programs.start("one", [sys.executable, "-c", TALKER], ENVIRONMENT)
    await eventually(lambda: sizes(folder)["log"] > 2 * LIMIT)

    with ThreadPoolExecutor(8) as threads:
        others = [Detached(tmp_path / "launches") for _ in range(24)]
        told = list(threads.map(lambda each: each.trim("one", limit_bytes=LIMIT, kept=KEPT), others))

    assert sum(told) == 1
    assert sizes(folder) == {"log": 0, "log.1": LIMIT}


async def test_what_has_ended_can_still_say_why(programs: Detached) -> None:
    script = f"import sys; sys.exit('x' * {LIMIT} + 'the disk is full')"
    programs.start("one", [sys.executable, "-c", script], ENVIRONMENT)
    await eventually(lambda: not programs.running())

    assert programs.trim("one", limit_bytes=LIMIT, kept=KEPT)

    with pytest.raises(PreconditionError, match=r"exit code 1: x*the disk is full"):
        programs.start("one", [sys.executable, "-c", TALKER], ENVIRONMENT)


def test_a_log_that_is_not_there_is_none_that_is_too_long(programs: Detached, tmp_path: Path) -> None:
    assert not rotate(tmp_path / "log", limit_bytes=LIMIT)
    assert not programs.trim("none", limit_bytes=LIMIT, kept=KEPT)


async def test_instances_that_are_looked_for_have_bounded_logs(programs: Detached, tmp_path: Path) -> None:
    folder, last = tmp_path / "launches" / identifier(1), tmp_path / "last"
    flood = (
        "import pathlib, signal, sys\n"
        f"for _ in range(48): sys.stdout.write('x' * {LOG_BYTES // 8})\n"
        f"sys.stdout.flush()\npathlib.Path({str(last)!r}).touch()\nsignal.pause()\n"
    )
    given = Surroundings(tmp_path / "scopes", tmp_path / "artifacts", "127.0.0.1:1", dict(os.environ))
    launcher = ProcessLauncher(tmp_path / "launches", given)
    await launcher.start(launch(1), Engine(launch=Launch(process=[sys.executable, "-c", flood])))
    await eventually(last.exists, within=20)

    found = await launcher.find()

    assert list(found) == list(programs.running()) == [identifier(1)]
    assert sum(sizes(folder).values()) <= (1 + LOGS_KEPT) * LOG_BYTES
    assert sizes(folder) == {"log": 0, "log.1": LOG_BYTES}
