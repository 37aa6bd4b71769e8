"""The courier with real programs: answers apart from the log, bounds, and nothing left when stopped."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enchain.sdk.courier import LINE_BYTES_MAX, LOG_LINE_BYTES_MAX, Kind, Splitter, command, parse
from tests.harness.waiting import eventually


def carried(script: str, *, stdin: str = os.devnull) -> tuple[list[tuple[Kind, str]], int]:
    done = subprocess.run(
        command(["bash", "-c", script], stdin=stdin), capture_output=True, text=True, check=False, timeout=60
    )
    return [parse(line) for line in done.stdout.splitlines()], done.returncode


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_only_objects_on_standard_output_are_answers(tmp_path: Path) -> None:
    (tmp_path / "in").write_text('{"asked": 1}\nplain')
    frames, code = carried("cat; echo; echo '{\"no\": 1}' >&2; exit 5", stdin=str(tmp_path / "in"))

    assert sorted(frames) == [(Kind.ANSWER, '{"asked": 1}'), (Kind.LOG, "plain"), (Kind.LOG, '{"no": 1}')]
    assert code == 5


@pytest.mark.parametrize(
    ("length", "kind"), [(LINE_BYTES_MAX, Kind.ANSWER), (LINE_BYTES_MAX + 1, Kind.BEYOND)]
)
def test_the_longest_line_passes_and_no_rest_of_a_longer_one_becomes_an_answer(
    length: int, kind: Kind
) -> None:
    frames, _ = carried(f"printf '{{'; head -c {length - 1} /dev/zero | tr '\\0' '{{'; echo; echo '{{}}'")

    assert [found for found, _ in frames] == [kind, Kind.ANSWER]
    assert frames[-1][1] == "{}"


def test_a_log_line_is_cut() -> None:
    frames, _ = carried("head -c 50000 /dev/zero | tr '\\0' x >&2; echo >&2; echo next >&2")

    assert [(kind, len(text)) for kind, text in frames] == [(Kind.LOG, LOG_LINE_BYTES_MAX), (Kind.LOG, 4)]


def test_what_cannot_be_started_is_told_from_what_ended_with_127() -> None:
    done = subprocess.run(command(["/no/such"]), capture_output=True, text=True, check=False)
    frames, code = carried("exit 127")

    assert parse(done.stdout.strip()) == (
        Kind.NOT_STARTED,
        "cannot start /no/such: No such file or directory",
    )
    assert (done.returncode, frames, code) == (127, [], 127)


async def test_of_a_stopped_program_nothing_is_left_and_of_an_ended_one_its_daemons(tmp_path: Path) -> None:
    stray = "(setsid bash -c 'echo $$ > pid; exec sleep 60' > /dev/null 2>&1 &); until [ -s pid ]; do :; done"

    def pid() -> int:
        return int((tmp_path / "pid").read_text() or 0) if (tmp_path / "pid").exists() else 0

    def run(script: str) -> subprocess.Popen[bytes]:
        argv = command(["bash", "-c", script])
        return subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)

    ended = run(stray)
    assert ended.wait(30) == 0
    daemon = pid()
    assert exists(daemon)
    os.kill(daemon, signal.SIGKILL)
    (tmp_path / "pid").unlink()

    stopped = run(f"{stray}; touch up; sleep 60")
    await eventually((tmp_path / "up").exists)
    left = pid()
    os.killpg(stopped.pid, signal.SIGTERM)
    assert stopped.wait(30) == -signal.SIGTERM
    assert not exists(left)


@given(st.lists(st.binary(max_size=30), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_lines_do_not_depend_on_how_they_arrive(lines: list[bytes], sizes: list[int]) -> None:
    content = b"\n".join(lines)
    whole = Splitter(12)
    expected = [*whole.feed(content), *whole.end()]

    parts, at, turn = Splitter(12), 0, 0
    found: list[tuple[bytes, bool]] = []
    while at < len(content):
        size = sizes[turn % len(sizes)]
        found += parts.feed(content[at : at + size])
        at, turn = at + size, turn + 1
    found += parts.end()

    assert found == expected
    assert all(len(line) <= 12 for line, _ in found)
