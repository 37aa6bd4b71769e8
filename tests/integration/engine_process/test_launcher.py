"""The launcher becomes a service only with its ticket, and writes down who it is before it takes it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from enchain.engines.process import launcher


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path


GLIBC_OWN = 1 << 31 | 1 << 32
"""Signals 32 and 33 are glibc's own: no program can set them, and some parents leave one ignored."""


def launch(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", "-S", launcher.__file__, str(home), "7", "digest", *command]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C", "GIVEN": "yes"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_launch_that_was_withdrawn_becomes_nothing(home: Path) -> None:
    done = launch(home, "touch", "made")

    assert done.returncode == 75
    assert not list(home.rglob("made"))


def test_a_launch_takes_its_ticket_and_is_recorded_before_it_becomes_the_command(home: Path) -> None:
    (home / "ticket-7").touch()
    show = "cat ../process-7.json; echo; echo $$; cut -d' ' -f22 /proc/$$/stat; test ! -e ../ticket-7"

    done = launch(home, "sh", "-c", show)

    record, pid, start_ticks = done.stdout.splitlines()
    assert done.returncode == 0
    assert json.loads(record) == {
        "launch": "7",
        "digest": "digest",
        "pid": int(pid),
        "start_ticks": int(start_ticks),
        "boot": json.loads(record)["boot"],
    }


def test_a_launch_adds_nothing_to_the_environment_and_ignores_no_signal(home: Path) -> None:
    (home / "ticket-7").touch()

    done = launch(home, "cat", "/proc/self/environ", "/proc/self/status")

    environ, _, status = done.stdout.rpartition("\0")
    assert sorted(environ.split("\0")) == ["GIVEN=yes", "LANG=C", "PATH=/usr/bin:/bin"]
    ignored = int(status.split("SigIgn:\t")[1].split()[0], 16)
    assert ignored & ~GLIBC_OWN == 0


def test_a_launch_that_cannot_become_its_command_says_so(home: Path) -> None:
    (home / "ticket-7").touch()

    done = launch(home, "no-such-command")

    assert (done.returncode, done.stderr) == (
        127,
        "cannot start 'no-such-command': No such file or directory\n",
    )


def test_a_launch_whose_directory_is_gone_becomes_nothing(home: Path) -> None:
    done = launch(home / "gone", "true")

    assert done.returncode == 75
