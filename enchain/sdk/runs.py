"""Tool runs: begun once by name within a key, joined for ever after, by whatever instance of the scope.

A step's context calls `Runs.start`. The truth about a run is on disk: the lock says whether the tool lives,
`exit.json` how it ended. Nothing here trusts a pid, and nothing here may start a tool without holding the
work's lock and having read the ledger under it.
"""

import asyncio
import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from enchain.chains.errors import ExhaustedError, OurError
from enchain.process.clock import Clock
from enchain.sdk import runner
from enchain.sdk.port import CancelledStepError, Finding, StepFailedError, ToolExit
from enchain.sdk.scope import PRIVATE_DIRECTORY, FileLock, is_held, read_record
from enchain.v1 import diagnostic_pb2

OUTPUT_BYTES_MAX = 64 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
SPEC_BYTES_MAX = 1024 * 1024
CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.03
BEGIN_POLL_SECONDS = 0.005
LOST_CHECK_POLLS = 16
"""Every so many polls without news a follower looks whether the lock is free although no end is recorded."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_LOWEST_FD = 10
"""Descriptors are moved up before they are handed on, so that none is overwritten on the way."""


class ToolLostError(Exception):
    """A tool is gone and its end was not recorded: the host or the runner was killed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the runs of a step.

    Attributes:
        deadline: The tool is stopped then; None where there is none.
        grace_seconds: Between SIGTERM and SIGKILL.
        output_bytes_max: Output beyond it is thrown away.
    """

    deadline: datetime | None = None
    grace_seconds: float = 10.0
    output_bytes_max: int = OUTPUT_BYTES_MAX


class Reaper:
    """Collects the runners of this process once they have ended, so that none stays a zombie."""

    def __init__(self) -> None:
        self._pids: set[int] = set()

    @property
    def watched(self) -> int:
        """Runners that have not been collected yet."""
        return len(self._pids)

    def watch(self, pid: int) -> None:
        """Take charge of a child, and look after the others."""
        self._pids.add(pid)
        self.reap()

    def reap(self) -> None:
        """Collect those that have ended. Never waits."""
        for pid in list(self._pids):
            try:
                done, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                done = pid
            if done:
                self._pids.discard(pid)


class Run:
    """A tool that runs or ran; `enchain.sdk.port.ToolRun`.

    Args:
        directory: Where its records lie.
        tool_lock: The lock that its tool holds.
        ended: Told once when it is known how the tool ended.
    """

    def __init__(
        self, directory: Path, tool_lock: Path, clock: Clock, ended: Callable[["Run", ToolExit], None]
    ) -> None:
        self._directory = directory
        self._tool_lock = tool_lock
        self._clock = clock
        self._ended = ended
        self._exit: ToolExit | None = None
        self._quiet_polls = 0
        self.stopped = ""

    @property
    def name(self) -> str:
        """Its name within the key."""
        return self._directory.name

    @property
    def pid(self) -> int:
        """The tool's process id; 0 for the moment in which it is not recorded yet."""
        record = (
            read_record(self._directory / "tool.json") or read_record(self._directory / "exit.json") or {}
        )
        return int(record.get("pid", 0))

    async def begun(self) -> None:
        """Wait until the tool's pid is known or it has ended; a runner takes some 20 ms to get there."""
        while not self.pid and not self._look():
            await self._clock.sleep(BEGIN_POLL_SECONDS)

    async def lines(self) -> AsyncIterator[str]:
        """Deliver the output's lines, from its first, until the tool has ended.

        Raises:
            ToolLostError: The tool is gone and its end was not recorded.
        """
        offset, rest = 0, b""
        while True:
            over = self._look()  # before reading: what was written before the end is read after it
            chunk = _read(self._directory / "output", offset)
            offset += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _text(line)
            while len(rest) > LINE_BYTES_MAX:
                head, rest = rest[:LINE_BYTES_MAX], rest[LINE_BYTES_MAX:]
                yield _text(head)
            if chunk:
                await asyncio.sleep(0)  # a flood leaves room for everybody else
            elif over:
                break
            else:
                await self._clock.sleep(POLL_SECONDS)
        if rest:
            yield _text(rest)

    async def wait(self) -> ToolExit:
        """Wait until it has ended.

        Raises:
            CancelledStepError: It was stopped because the step was cancelled.
            StepFailedError: It was stopped at the step's deadline.
            ToolLostError: The tool is gone and its end was not recorded.
        """
        while not self._look():
            await self._clock.sleep(POLL_SECONDS)
        assert self._exit is not None
        if self.stopped == "cancelled":
            raise CancelledStepError
        if self.stopped == "deadline":
            raise StepFailedError(
                Finding(
                    f"{self.name} was stopped at the step's deadline",
                    code="DEADLINE_EXCEEDED",
                    remedy="Allow the step more time.",
                )
            )
        return self._exit

    def stop(self) -> None:
        """Ask the runner to stop the tool."""
        stop_run(self._directory)

    def _look(self) -> bool:
        """Say whether the tool has ended; take note of how, once."""
        if self._exit is not None:
            return True
        record = read_record(self._directory / "exit.json")
        if record is None:
            self._quiet_polls += 1
            if self._quiet_polls % LOST_CHECK_POLLS or is_held(self._tool_lock):
                return False
            record = read_record(self._directory / "exit.json")  # it may have ended a moment ago
            if record is None:
                raise ToolLostError(self.name)
        self.stopped = record["stopped"]
        usage = diagnostic_pb2.Usage(
            cpu_seconds=record["cpu_seconds"], peak_memory_bytes=record["peak_memory_bytes"]
        )
        usage.tool_duration.FromMilliseconds(round(record["duration"] * 1000))
        self._exit = ToolExit(record["returncode"], usage)
        self._ended(self, self._exit)
        return True


def _read(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return b""


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")


def stop_run(directory: Path) -> None:
    """Ask the runner of a run to stop its tool; no fault where it has ended."""
    (directory / "stop").touch()


def stop_all(runs: Path, keys: Sequence[str]) -> int:
    """Ask the runners of some keys' runs to stop; answer how many of them had not ended."""
    stopped = 0
    for key in keys:
        for started in (runs / key).glob("*/started.json"):
            if not (started.parent / "exit.json").exists():
                stop_run(started.parent)
                stopped += 1
    return stopped


def any_begun(runs: Path, key: str) -> bool:
    """Say whether a key has begun a run, ended or not."""
    return any((runs / key).glob("*/started.json"))


@dataclass(frozen=True, slots=True)
class Tool:
    """What to run. The secrets are in `env`; it is never written down.

    Attributes:
        repeatable: It may be begun again where it was lost, whatever holds for the other runs.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    repeatable: bool = False


class Runs:
    """Starts and joins the runs of one key.

    Args:
        directory: Where the key's runs lie.
        fault: Reads the ledger; answers why no further run may begin, or None.
        repeatable: A run whose tool was lost may be begun again.
    """

    def __init__(
        self,
        directory: Path,
        tool_lock: Path,
        *,
        clock: Clock,
        limits: Limits,
        reaper: Reaper,
        fault: Callable[[], Exception | None],
        ended: Callable[[Run, ToolExit], None],
        repeatable: bool,
    ) -> None:
        self._directory = directory
        self._tool_lock = tool_lock
        self._clock = clock
        self._limits = limits
        self._reaper = reaper
        self._fault = fault
        self._ended = ended
        self._repeatable = repeatable

    async def start(self, name: str, tool: Tool) -> Run:
        """Start a tool under a name, or join the run of that name. Waits while another tool holds the lock.

        Raises:
            EnchainError: The key may begin no further run, or its name is none.
            CancelledStepError: The step was cancelled.
            StepFailedError: Another tool held the lock until the deadline.
            ToolLostError: It was begun, it is gone, its end was not recorded, and it may not be repeated.
        """
        if not _NAME.fullmatch(name):
            raise OurError(f"{name!r} is no name for a run", reason="INVALID_RUN_NAME")
        directory = self._directory / name
        while not await _to_its_end(asyncio.to_thread(self._settle, directory, tool)):
            if self._limits.deadline is not None and self._limits.deadline <= self._clock.now():
                raise StepFailedError(
                    Finding("another tool held the work until the deadline", code="DEADLINE_EXCEEDED")
                )
            await self._clock.sleep(POLL_SECONDS)
        run = Run(directory, self._tool_lock, self._clock, self._ended)
        await run.begun()
        return run

    def _settle(self, directory: Path, tool: Tool) -> bool:
        """Begin the run or find it begun; False where another tool holds the lock."""
        if (directory / "exit.json").exists():
            return True
        lock = FileLock(self._tool_lock)
        if not lock.try_acquire():
            return (directory / "started.json").exists()
        try:
            return self._settle_locked(directory, tool, lock)
        finally:
            lock.hand_over()

    def _settle_locked(self, directory: Path, tool: Tool, lock: FileLock) -> bool:
        if (directory / "exit.json").exists():
            return True
        if (directory / "started.json").exists():
            if not (self._repeatable or tool.repeatable):
                raise ToolLostError(directory.name)
            shutil.rmtree(directory)
        if fault := self._fault():
            raise fault
        directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        self._reaper.watch(self._spawn(directory, tool, lock))
        return True

    def _spawn(self, directory: Path, tool: Tool, lock: FileLock) -> int:
        spec = json.dumps(
            {
                "argv": tool.argv,
                "cwd": str(tool.cwd),
                "env": dict(tool.env),
                "deadline": self._limits.deadline.timestamp() if self._limits.deadline else None,
                "grace": self._limits.grace_seconds,
                "output_bytes_max": self._limits.output_bytes_max,
            }
        ).encode()
        if len(spec) > SPEC_BYTES_MAX:
            raise ExhaustedError(f"the arguments and environment of {directory.name} are too large")
        with _InMemory(spec) as memory:
            return _start_runner(directory, lock.fd, memory)


async def _to_its_end(settling: Coroutine[None, None, bool]) -> bool:
    """Await a thread that may start a tool; a cancellation waits for it, so that none starts unseen."""
    task = asyncio.ensure_future(settling)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        _ = task.cancelled() or task.exception()  # nobody is left to be told
        raise


class _InMemory:
    """A file that is only ever in memory: secrets go through it to the runner, and never to a disk."""

    def __init__(self, content: bytes) -> None:
        self._fd = os.memfd_create("enchain-run", os.MFD_CLOEXEC)
        os.write(self._fd, content)
        os.lseek(self._fd, 0, os.SEEK_SET)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _start_runner(directory: Path, lock: int, spec: int) -> int:
    """Start a runner in a session of its own and answer its pid.

    `posix_spawn` runs nothing of ours between fork and exec, so threads and gRPC do not mind.
    """
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_FD) for fd in (lock, spec)]
    log = str(directory / "runner.log")
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", runner.__file__, str(directory)],
            {"PATH": os.environ.get("PATH", os.defpath)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, high[0], runner.LOCK_FD),
                (os.POSIX_SPAWN_DUP2, high[1], runner.SPEC_FD),
            ],
            setsid=True,
        )
    finally:
        for fd in high:
            os.close(fd)
