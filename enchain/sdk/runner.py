"""The runner: a small process that starts one tool, holds the work's lock for it, and records its end.

`enchain.sdk.runs` starts it by its path, in a session of its own, so that it outlives the engine server. It
is run with `python -I -S`: standard library only, nothing of enchain. It must never print or ask anything.

    runner.py DIRECTORY          descriptor 3: the locked file; descriptor 4: what to run, as JSON

It writes into DIRECTORY: `started.json` before the tool is started (from then on the tool counts as begun),
`tool.json` with the tool's pid, `output` with all that the tool wrote, and `exit.json`, once, at the very
end. A file `stop` in DIRECTORY asks it to stop the tool. It gives the lock up in so many words once the tool
is dead: a daemon that the tool left behind may hold the descriptor for ever.
"""

import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

LOCK_FD, SPEC_FD = 3, 4
POLL_MS = 50
QUIET_POLL_MS = 10  # the tool has closed its output, so it is about to end
CHUNK_BYTES = 65536
CHUNKS_AT_ONCE = 32  # more than a pipe holds; between them the deadline is looked at
CANNOT_START = 127

_stop_asked = False


def write_whole(path: str, record: dict[str, Any]) -> None:
    """Write a record so that it is there whole or not at all."""
    draft = path + ".draft"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, json.dumps(record).encode())
    os.fsync(fd)
    os.close(fd)
    os.rename(draft, path)  # noqa: PTH104 - pathlib would double the time to start
    directory = os.open(os.path.dirname(path), os.O_RDONLY)  # noqa: PTH120 - likewise
    os.fsync(directory)
    os.close(directory)


def read_spec() -> dict[str, Any]:
    """Read what to run. It holds secrets, so it is only ever in memory."""
    with os.fdopen(SPEC_FD, "rb") as file:
        spec: dict[str, Any] = json.loads(file.read())
    return spec


def become_tool(spec: dict[str, Any], output: int) -> None:
    """Turn this child into the tool. Never returns."""
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.set_inheritable(LOCK_FD, True)  # the lock is free only when the tool is dead
        os.chdir(spec["cwd"])
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - no shell is what we want
    except OSError as error:
        os.write(2, f"cannot start {spec['argv'][0]}: {os.strerror(error.errno or errno.EIO)}\n".encode())
    finally:
        os._exit(CANNOT_START)


def start_tool(spec: dict[str, Any]) -> tuple[int, int]:
    """Start the tool; answer its pid and the end of the pipe that it writes into."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        become_tool(spec, writer)
    os.close(writer)
    os.set_blocking(reader, False)
    return pid, reader


class Output:
    """The tool's output in a file of bounded size; what is beyond the bound is read and thrown away."""

    def __init__(self, path: str, bytes_max: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._left = bytes_max
        self._bytes_max = bytes_max

    def write(self, chunk: bytes) -> None:
        """Write what fits; say once that more was left out."""
        if self._left <= 0:
            return
        os.write(self._fd, chunk[: self._left])
        self._left -= len(chunk)
        if self._left <= 0:
            os.write(self._fd, f"\n[output beyond {self._bytes_max} bytes is left out]\n".encode())


def pump(reader: int, output: Output) -> bool:
    """Move what the tool has written; False once no process can write any more."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(CHUNKS_AT_ONCE):
            chunk = os.read(reader, CHUNK_BYTES)
            if not chunk:
                return False
            output.write(chunk)
    return True


class Stopping:
    """Why and how far the tool is being stopped: SIGTERM to its group, and SIGKILL after a grace."""

    def __init__(self, directory: str, spec: dict[str, Any]) -> None:
        self._stop = os.path.join(directory, "stop")  # noqa: PTH118 - pathlib would double the time to start
        self._deadline = spec["deadline"]
        self._grace = spec["grace"]
        self._kill_at: float | None = None
        self.reason = ""

    def look(self, pid: int) -> None:
        """Signal the tool's group where it is time to."""
        if not self.reason:
            self.reason = self._asked()
            if self.reason:
                self._kill_at = time.monotonic() + self._grace
                kill_group(pid, signal.SIGTERM)
        elif self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            kill_group(pid, signal.SIGKILL)

    def _asked(self) -> str:
        if _stop_asked or os.path.exists(self._stop):  # noqa: PTH110 - likewise
            return "cancelled"
        if self._deadline is not None and time.time() >= self._deadline:
            return "deadline"
        return ""


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signal the tool and what it started; a group that is gone is no fault."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def supervise(
    pid: int, reader: int, output: Output, stopping: Stopping
) -> tuple[int, resource.struct_rusage]:
    """Move output and watch for the end, a wish to stop and the deadline; answer how the tool ended."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    open_still = True
    while True:
        if open_still:
            poll.poll(POLL_MS)
            open_still = pump(reader, output)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            if open_still:
                pump(reader, output)  # what it wrote last; a daemon may keep the pipe open, so once is enough
            if stopping.reason:
                kill_group(pid, signal.SIGKILL)  # stopped means that nothing of it goes on
            _, status, usage = os.wait4(pid, 0)
            return os.waitstatus_to_exitcode(status), usage
        if not open_still:
            time.sleep(QUIET_POLL_MS / 1000)
        stopping.look(pid)


def ask_to_stop(_number: int, _frame: object) -> None:
    """Note that somebody wants the runner itself to end: it takes the tool with it."""
    global _stop_asked  # noqa: PLW0603 - a signal handler has no other place
    _stop_asked = True


def start_ticks(pid: int) -> int:
    """Answer when a process started, which together with its pid names it for ever on this boot."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - likewise
        return int(file.read().rsplit(b")", 1)[1].split()[19])


def main(directory: str) -> None:
    """Run one tool from its start to its end."""
    spec = read_spec()
    os.set_inheritable(LOCK_FD, False)
    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    output = Output(f"{directory}/output", spec["output_bytes_max"])
    stopping = Stopping(directory, spec)
    started, began = time.time(), time.monotonic()
    write_whole(f"{directory}/started.json", {"runner": os.getpid(), "time": started})
    pid, reader = start_tool(spec)
    with contextlib.suppress(OSError):
        write_whole(f"{directory}/tool.json", {"pid": pid, "start_ticks": start_ticks(pid)})
    returncode, usage = supervise(pid, reader, output, stopping)
    write_whole(
        f"{directory}/exit.json",
        {
            "returncode": returncode,
            "stopped": stopping.reason,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_memory_bytes": usage.ru_maxrss * 1024,
            "duration": time.monotonic() - began,
            "pid": pid,
        },
    )
    fcntl.flock(LOCK_FD, fcntl.LOCK_UN)


if __name__ == "__main__":
    main(sys.argv[1])
