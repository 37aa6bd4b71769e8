"""The courier: starts a program, keeps what it answers apart from what it logs, and leaves nothing of it.

An engine whose tool answers on its standard output runs it as `Step.run(name, command(argv, ...))`; the lines
of that run are frames, read with `parse`. A tool run has one output for everything, so without a courier any
text that reaches standard error could pass for an answer, and so could the rest of an over-long line.

It is run by its path with `python -I -S`: standard library only, nothing of enchain. Everything is bounded;
what is beyond a bound is told in a frame and never becomes an answer. It must write to no file but one, the
counter.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from enum import StrEnum

LINE_BYTES_MAX = 65_535
"""A line of answers, its line ending left out. It has less than 64 KiB."""
LOG_LINE_BYTES_MAX = 8 * 1024
ANSWER_BYTES_MAX = 16 * 1024 * 1024
LOG_BYTES_MAX = 32 * 1024 * 1024

CANNOT_START = 127
_POLL_MS = 50
_CHUNK_BYTES = 65536
_KILL_SECONDS = 5.0
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


class Kind(StrEnum):
    """What a frame is. The values are what stands before the text."""

    ANSWER = "a"
    """A line of standard output that begins with `{`."""
    LOG = "l"
    """Any other line."""
    BEYOND = "x"
    """A line of standard output that is beyond a bound; the text says which."""
    NOT_STARTED = "f"
    """The program could not be started; the text says why."""


def command(argv: Sequence[str], *, stdin: str = os.devnull, counter: str = "") -> list[str]:
    """Answer the command line that runs `argv` with a courier.

    Args:
        argv: The program and its arguments.
        stdin: The file that it reads from.
        counter: A file that is set to 0 before it starts: a program that is begun again counts anew.
    """
    return [sys.executable, "-I", "-S", __file__, stdin, counter, *argv]


def parse(line: str) -> tuple[Kind, str]:
    """Read a frame. What is none, such as a complaint of the interpreter, is a log line."""
    try:
        return Kind(line[:1]), line[1:]
    except ValueError:
        return Kind.LOG, line


class Splitter:
    """Splits a stream into lines of bounded length; never hands on the rest of a line that is too long."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rest = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[tuple[bytes, bool]]:
        """Answer the lines that are complete now, each with whether it was cut."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        done = []
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                done.append(self._cut(line))
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > self._bytes_max + 1:  # one more, for a carriage return
            done.append(self._cut(self._rest))
            self._rest, self._skipping = b"", True
        return done

    def end(self) -> list[tuple[bytes, bool]]:
        """Answer the last line, where the stream did not end with a line ending."""
        rest, self._rest = self._rest, b""
        return [self._cut(rest)] if rest and not self._skipping else []

    def _cut(self, line: bytes) -> tuple[bytes, bool]:
        line = line.removesuffix(b"\r")
        return line[: self._bytes_max], len(line) > self._bytes_max


class Output:
    """Writes frames, within the bounds."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._answers_left = ANSWER_BYTES_MAX
        self._log_left = LOG_BYTES_MAX

    def answer(self, line: bytes, *, cut: bool) -> None:
        """Hand on a line of standard output."""
        if not line.startswith(b"{"):
            self.log(line[:LOG_LINE_BYTES_MAX])
        elif cut:
            self.write(Kind.BEYOND, f"the line is longer than {LINE_BYTES_MAX} bytes".encode())
        elif self._answers_left >= 0:
            self._answers_left -= len(line) + 1
            if self._answers_left >= 0:
                self.write(Kind.ANSWER, line)
            else:
                self.write(Kind.BEYOND, f"the answers have more than {ANSWER_BYTES_MAX} bytes".encode())

    def log(self, line: bytes) -> None:
        """Hand on a line for people."""
        if self._log_left < 0:
            return
        self._log_left -= len(line) + 1
        self.write(Kind.LOG, line if self._log_left >= 0 else b"[further lines are left out]")

    def write(self, kind: Kind, text: bytes) -> None:
        """Write a frame whole."""
        frame = memoryview(kind.value.encode() + text + b"\n")
        while frame:
            frame = frame[os.write(self._fd, frame) :]


def prctl(option: int, argument: int) -> None:
    """Ask the kernel for something; on one that lacks it, go on without."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def start(argv: Sequence[str], stdin: str) -> tuple[int, int, int]:
    """Start the program; answer its pid and the ends of the pipes for its output and its errors."""
    answers, answers_end = os.pipe()
    errors, errors_end = os.pipe()
    courier = os.getpid()
    pid = os.fork()
    if pid == 0:
        become(argv, stdin, (answers_end, errors_end), courier)
    os.close(answers_end)
    os.close(errors_end)
    os.set_blocking(answers, False)
    os.set_blocking(errors, False)
    return pid, answers, errors


def become(argv: Sequence[str], stdin: str, ends: tuple[int, int], courier: int) -> None:
    """Turn this child into the program. Never returns."""
    told = os.dup(1)  # closed by exec; until then, the way to say what went wrong
    try:
        prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != courier:  # it was killed before the line above
            os._exit(CANNOT_START)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        for fd, end in enumerate((os.open(stdin, os.O_RDONLY), *ends)):
            os.dup2(end, fd)
        os.execvp(argv[0], list(argv))  # noqa: S606 - no shell is what we want
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        Output(told).write(Kind.NOT_STARTED, f"cannot start {argv[0]}: {reason}".encode(errors="replace"))
    finally:
        os._exit(CANNOT_START)


def read(fd: int) -> bytes | None:
    """Read what there is; None where nothing will ever come, nothing where nothing has come yet."""
    try:
        return os.read(fd, _CHUNK_BYTES) or None
    except BlockingIOError:
        return b""


class Streams:
    """The program's output and errors on their way into frames."""

    def __init__(self, answers: int, errors: int, output: Output) -> None:
        self._splitters = {answers: Splitter(LINE_BYTES_MAX), errors: Splitter(LOG_LINE_BYTES_MAX)}
        self._answers = answers
        self._output = output
        self._poll = select.poll()
        for fd in self._splitters:
            self._poll.register(fd, select.POLLIN)

    @property
    def open(self) -> bool:
        """Say whether anything may still come."""
        return bool(self._splitters)

    def pump(self, timeout_ms: int) -> bool:
        """Move what has come within the time; say whether there was anything."""
        ready = self._poll.poll(timeout_ms)
        for fd, _ in ready:
            chunk = read(fd)
            splitter = self._splitters[fd]
            self._tell(fd, splitter.feed(chunk) if chunk is not None else splitter.end())
            if chunk is None:
                self._poll.unregister(fd)
                del self._splitters[fd]
        return bool(ready)

    def drain(self) -> None:
        """Move what is left, without waiting for more: a daemon may hold the pipes open for ever."""
        until = time.monotonic() + 1
        while self.open and self.pump(0) and time.monotonic() < until:
            pass
        for fd, splitter in self._splitters.items():
            self._tell(fd, splitter.end())

    def _tell(self, fd: int, lines: list[tuple[bytes, bool]]) -> None:
        for line, cut in lines:
            if fd == self._answers:
                self._output.answer(line, cut=cut)
            else:
                self._output.log(line)


def descendants(root: int) -> set[int]:
    """Answer the pids of all processes below one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names, not paths
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - starts faster
                parent = int(file.read().rsplit(b")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def kill_rest() -> None:
    """Kill all that the program has left; orphans become children of the courier, so they are found."""
    until = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants(os.getpid())
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


_stop_asked = False


def ask_to_stop(_number: int, _frame: object) -> None:
    """Note that the program is being stopped. It was told itself: it is in the courier's process group."""
    global _stop_asked  # noqa: PLW0603 - a signal handler has no other place
    _stop_asked = True


def main(arguments: list[str]) -> int:
    """Carry one program's lines from its start to its end; answer its exit code."""
    stdin, counter, *argv = arguments
    if counter:
        with open(counter, "w", encoding="ascii") as file:  # noqa: PTH123 - starts faster
            file.write("0\n")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    prctl(_SET_CHILD_SUBREAPER, 1)
    output = Output(1)
    pid, answers, errors = start(argv, stdin)
    streams = Streams(answers, errors, output)
    ended = None
    while ended is None:
        if streams.open:
            streams.pump(_POLL_MS)
        else:
            time.sleep(_POLL_MS / 5000)  # it has closed its output, so it is about to end
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    streams.drain()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if _stop_asked or code < 0:
        kill_rest()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
