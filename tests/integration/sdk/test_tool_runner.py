"""The runner: a detached process that starts one tool, bounds it, and records its end."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enchain.chains.errors import ConflictError, ExhaustedError, OurError
from enchain.process.clock import SystemClock
from enchain.sdk.port import CancelledStepError, StepFailedError
from enchain.sdk.runs import Limits, Reaper, Run, Runs, Tool, ToolLostError
from enchain.sdk.scope import FileLock, is_held
from tests.harness.scripted import files_telling
from tests.harness.waiting import eventually


def tool(*argv: str, cwd: Path, **env: str) -> Tool:
    return Tool(argv, cwd, {"PATH": os.environ["PATH"], **env})


def make_runs(
    tmp_path: Path,
    *,
    limits: Limits | None = None,
    repeatable: bool = False,
    fault: Exception | None = None,
    reaper: Reaper | None = None,
) -> Runs:
    return Runs(
        tmp_path / "runs",
        tmp_path / "tool.lock",
        clock=SystemClock(),
        limits=limits or Limits(grace_seconds=0.2),
        reaper=reaper or Reaper(),
        fault=lambda: fault,
        ended=lambda _run, _exit: None,
        repeatable=repeatable,
    )


async def output(run: Run) -> Sequence[str]:
    return [line async for line in run.lines()]


async def test_a_run_is_begun_once_and_joined_for_ever_after(tmp_path: Path) -> None:
    what = tool("sh", "-c", "echo one; echo two >&2; echo x >> effect; printf rest; exit 3", cwd=tmp_path)
    first = await make_runs(tmp_path).start("tool", what)
    lines, how = await output(first), await first.wait()

    second = await make_runs(tmp_path).start("tool", what)

    assert lines == await output(second) == ["one", "two", "rest"]
    assert how.returncode == (await second.wait()).returncode == 3
    assert first.pid == second.pid > 0
    assert (tmp_path / "effect").read_text() == "x\n"


async def test_the_lock_is_held_while_the_tool_lives_and_free_afterwards(tmp_path: Path) -> None:
    what = tool("sh", "-c", "while [ ! -e gate ]; do sleep 0.02; done", cwd=tmp_path)
    run = await make_runs(tmp_path).start("tool", what)

    assert is_held(tmp_path / "tool.lock")
    (tmp_path / "gate").touch()
    await run.wait()
    await eventually(lambda: not is_held(tmp_path / "tool.lock"))


async def test_a_second_tool_waits_until_the_first_is_dead(tmp_path: Path) -> None:
    script = "while [ ! -e gate ]; do sleep 0.02; done; echo first >> effect"
    await make_runs(tmp_path).start("first", tool("sh", "-c", script, cwd=tmp_path))
    starting = asyncio.create_task(
        make_runs(tmp_path).start("second", tool("sh", "-c", "echo second >> effect", cwd=tmp_path)),
        name="second",
    )

    (tmp_path / "gate").touch()
    await (await starting).wait()

    assert (tmp_path / "effect").read_text() == "first\nsecond\n"


async def test_a_run_that_may_not_begin_starts_nothing(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, fault=ConflictError("overtaken", reason="STALE_TOKEN"))

    with pytest.raises(ConflictError):
        await runs.start("tool", tool("touch", "effect", cwd=tmp_path))

    assert not (tmp_path / "effect").exists()
    assert not is_held(tmp_path / "tool.lock")


async def test_a_tool_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    script = (
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.02; done' & wait; wait"
    )
    run = await make_runs(tmp_path).start("tool", tool("sh", "-c", script, cwd=tmp_path))
    await eventually(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())

    run.stop()
    with pytest.raises(CancelledStepError):
        await run.wait()

    child = int((tmp_path / "child").read_text())
    await eventually(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_the_runner_itself_stops_the_tool_at_the_deadline(tmp_path: Path) -> None:
    limits = Limits(datetime.now(UTC) + timedelta(seconds=0.2), grace_seconds=0.2)
    run = await make_runs(tmp_path, limits=limits).start("tool", tool("sleep", "30", cwd=tmp_path))

    with pytest.raises(StepFailedError) as caught:
        await run.wait()

    assert caught.value.findings[0].code == "DEADLINE_EXCEEDED"


async def test_output_beyond_the_bound_is_left_out_and_said_so(tmp_path: Path) -> None:
    limits = Limits(output_bytes_max=1000)
    script = "i=0; while [ $i -lt 500 ]; do echo 123456789; i=$((i+1)); done"
    run = await make_runs(tmp_path, limits=limits).start("tool", tool("sh", "-c", script, cwd=tmp_path))

    lines = await output(run)

    assert len(lines) == 102
    assert lines[-1] == "[output beyond 1000 bytes is left out]"
    assert (await run.wait()).returncode == 0


async def test_a_line_without_end_is_cut_into_pieces(tmp_path: Path) -> None:
    script = "head -c 200000 /dev/zero | tr '\\0' x"
    run = await make_runs(tmp_path).start("tool", tool("sh", "-c", script, cwd=tmp_path))

    lines = await output(run)

    assert sum(map(len, lines)) == 200_000
    assert max(map(len, lines)) <= 65536


async def test_bytes_that_are_no_text_do_not_break_the_output(tmp_path: Path) -> None:
    run = await make_runs(tmp_path).start("tool", tool("printf", r"a\377b\r\nc\n", cwd=tmp_path))

    assert await output(run) == ["a\ufffdb", "c"]


async def test_a_lost_tool_is_told_and_begun_again_only_where_that_is_harmless(tmp_path: Path) -> None:
    run = await make_runs(tmp_path).start("tool", tool("true", cwd=tmp_path))
    await run.wait()
    await eventually(lambda: not is_held(tmp_path / "tool.lock"))
    (tmp_path / "runs" / "tool" / "exit.json").unlink()

    with pytest.raises(ToolLostError):
        await make_runs(tmp_path).start("tool", tool("true", cwd=tmp_path))
    again = await make_runs(tmp_path, repeatable=True).start("tool", tool("true", cwd=tmp_path))

    assert (await again.wait()).returncode == 0


async def test_a_secret_in_the_environment_is_never_on_disk(tmp_path: Path) -> None:
    what = tool("sh", "-c", '[ "$PW" = sesame-open ]', cwd=tmp_path, PW="sesame-open")
    run = await make_runs(tmp_path).start("tool", what)

    assert (await run.wait()).returncode == 0
    assert files_telling(tmp_path, "sesame-open") == []


async def test_a_cancellation_while_a_tool_starts_leaves_none_unseen(tmp_path: Path) -> None:
    what = tool("sh", "-c", "while [ ! -e gate ]; do sleep 0.02; done", cwd=tmp_path)
    starting = asyncio.create_task(make_runs(tmp_path).start("tool", what), name="starting")
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting})

    held = is_held(tmp_path / "tool.lock")
    begun = (tmp_path / "runs" / "tool").exists()
    (tmp_path / "gate").touch()

    assert held == begun
    await eventually(lambda: not is_held(tmp_path / "tool.lock"))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "x" * 80])
async def test_a_name_that_is_no_directory_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OurError):
        await make_runs(tmp_path).start(name, tool("true", cwd=tmp_path))


async def test_arguments_beyond_the_bound_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExhaustedError):
        await make_runs(tmp_path).start("tool", tool("echo", "x" * 2_000_000, cwd=tmp_path))

    assert FileLock(tmp_path / "tool.lock").try_acquire()


async def test_runners_that_ended_are_collected(tmp_path: Path) -> None:
    reaper = Reaper()
    run = await make_runs(tmp_path, reaper=reaper).start("tool", tool("true", cwd=tmp_path))
    await run.wait()

    def collected() -> bool:
        reaper.reap()
        return reaper.watched == 0

    await eventually(collected)
