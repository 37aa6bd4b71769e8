"""Programs that outlive whoever started them: at most once, found by others, ended by others."""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError, PreconditionError, UnavailableError
from enchain.process import becoming
from enchain.process.detached import Detached
from tests.harness.waiting import eventually

FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]
ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
def programs(tmp_path: Path) -> Detached:
    """The programs of a folder; what runs at the end is killed."""
    return Detached(tmp_path / "programs")


@pytest.fixture(autouse=True)
def _leave_nothing(programs: Detached) -> object:
    yield
    for identifier in programs.running():
        programs.kill(identifier)


def replica(programs: Detached) -> Detached:
    """Another process's view of the same folder."""
    return Detached(programs._root)


async def gone(programs: Detached) -> None:
    await eventually(lambda: not programs.running())


async def test_a_program_is_started_once_and_found_by_others(programs: Detached) -> None:
    pid = programs.start("one", FOREVER, ENVIRONMENT)

    assert replica(programs).start("one", FOREVER, ENVIRONMENT) == pid
    assert replica(programs).running() == {"one": pid}
    assert os.getsid(pid) == pid, "it leads a session of its own"


async def test_of_many_who_start_it_at_once_one_does(programs: Detached) -> None:
    def start(_: int) -> int:
        try:
            return replica(programs).start("one", FOREVER, ENVIRONMENT)
        except UnavailableError:
            return 0  # somebody else is about to

    with ThreadPoolExecutor(8) as threads:
        told = set(threads.map(start, range(24))) - {0}

    assert told == set(programs.running().values())
    assert len(told) == 1


async def test_what_has_ended_never_starts_again_and_says_how_it_ended(programs: Detached) -> None:
    script = "import sys; print('the disk is full', file=sys.stderr); sys.exit(3)"
    programs.start("one", [sys.executable, "-c", script], ENVIRONMENT)
    await gone(programs)

    with pytest.raises(PreconditionError, match="exit code 3: the disk is full"):
        programs.start("one", FOREVER, ENVIRONMENT)
    with pytest.raises(PreconditionError, match="the disk is full"):
        replica(programs).start("one", FOREVER, ENVIRONMENT)


async def test_a_command_that_cannot_be_run_says_so(programs: Detached) -> None:
    programs.start("one", ["/no/such/program"], ENVIRONMENT)
    await gone(programs)

    with pytest.raises(PreconditionError, match="No such file or directory"):
        programs.start("one", FOREVER, ENVIRONMENT)


async def test_what_was_called_off_never_begins(programs: Detached) -> None:
    programs.kill("one")

    with pytest.raises(PreconditionError):
        programs.start("one", FOREVER, ENVIRONMENT)


async def test_it_is_told_to_end_once(programs: Detached, tmp_path: Path) -> None:
    script = (
        "import pathlib, signal, time\n"
        f"file = pathlib.Path({str(tmp_path / 'signals')!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: file.open('a').write('x'))\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "while True: signal.pause()\n"
    )
    programs.start("one", [sys.executable, "-c", script], ENVIRONMENT)
    await eventually((tmp_path / "ready").exists)

    for each in (programs, replica(programs), programs):
        each.terminate("one")
    signals = tmp_path / "signals"
    # The file is there before anything is written to it.
    await eventually(lambda: signals.exists() and signals.stat().st_size > 0)

    assert signals.read_text() == "x"
    assert programs.running()
    replica(programs).kill("one")
    await gone(programs)


async def test_killing_takes_what_is_in_its_group_along(programs: Detached, tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = (
        "import os, signal\n"
        "if pid := os.fork():\n"
        f"    open({str(child)!r}, 'w').write(str(pid))\n"
        "signal.pause()\n"
    )
    programs.start("one", [sys.executable, "-c", script], ENVIRONMENT)
    await eventually(lambda: child.exists() and child.read_text())

    programs.kill("one")

    await eventually(lambda: _is_over(int(child.read_text())))


def _is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_used_number_is_no_running_program(programs: Detached) -> None:
    pid = programs.start("one", FOREVER, ENVIRONMENT)
    record = programs._root / "one" / "process.json"
    record.write_text(record.read_text().replace('"start_ticks": ', '"start_ticks": 1'))

    assert programs.running() == {}
    programs.kill("one")
    assert not _is_over(pid), "another process must not be hit"
    os.kill(pid, signal.SIGKILL)


async def test_only_old_and_ended_folders_are_forgotten(programs: Detached) -> None:
    for identifier in ("runs", "kept", "old"):
        programs.start(identifier, FOREVER, ENVIRONMENT)
    for identifier in ("kept", "old"):
        programs.kill(identifier)
    await eventually(lambda: set(programs.running()) == {"runs"})

    programs.forget({"kept"}, older_seconds=3600)
    assert (programs._root / "old").exists()
    programs.forget({"kept"}, older_seconds=-1)

    assert sorted(each.name for each in programs._root.iterdir()) == ["kept", "runs"]


async def test_a_folder_has_one_name_for_ever(programs: Detached) -> None:
    names = await asyncio.gather(*(asyncio.to_thread(replica(programs).home) for _ in range(8)))

    assert len(set(names)) == 1
    assert replica(programs).home() == names[0]


def test_an_id_that_leads_out_of_the_folder_is_refused(programs: Detached) -> None:
    with pytest.raises(InvalidArgumentError):
        programs.kill("../elsewhere")


async def test_what_is_called_off_while_it_is_about_to_begin_never_begins(
    programs: Detached, tmp_path: Path
) -> None:
    """Its starter has died, and it is not recorded yet: who calls it off cannot see it, so it must look."""
    folder, begun = programs._root / "one", tmp_path / "begun"
    folder.mkdir(parents=True)
    programs.kill("one")

    with (folder / "lock").open("w") as lock:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", becoming.__file__, str(folder), "/bin/touch", str(begun),
            pass_fds=[lock.fileno()],
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 75

    assert not begun.exists()
    assert (folder / "process.json").exists(), "who called it off could have seen it, had it been later"
