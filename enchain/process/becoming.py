"""Becomes a program that outlives whoever started it. Run as a script by `detached`; nobody imports it.

    python -I -S becoming.py DIRECTORY COMMAND [ARGUMENT...]

It holds the directory's lock in descriptor 3 until it has become the command. It leads a session of its own,
writes down who it is, looks whether it was called off meanwhile, and only then becomes the command in the
same process. Whoever calls it off writes that down first and looks for the record then: one of the two sees
the other. It must never keep another file descriptor open, and never write down its environment.
"""

import fcntl
import json
import os
import signal
import sys

LOCK_FD = 3
_CALLED_OFF = 75
_NOT_STARTED = 126
_NOT_FOUND = 127


def _who() -> dict[str, object]:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - starts faster
        text = file.read()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - likewise
        boot = f"{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to no path
    ticks = int(text[text.rindex(")") + 2 :].split()[19])
    return {"pid": os.getpid(), "start_ticks": ticks, "boot": boot}


def _write(directory: str, name: str, content: dict[str, object]) -> None:
    draft = os.path.join(directory, f".{name}")  # noqa: PTH118 - starts faster
    with open(draft, "w", encoding="utf-8") as file:  # noqa: PTH123 - likewise
        json.dump(content, file)
    os.rename(draft, os.path.join(directory, name))  # noqa: PTH104, PTH118 - likewise


def _close_what_is_not_ours() -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        if int(name) > LOCK_FD:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor that the listing itself used


def _environment() -> dict[bytes, bytes]:
    # The interpreter may have added to os.environ; the program gets what it was given.
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - starts faster
        pairs = (pair.partition(b"=") for pair in file.read().split(b"\0") if b"=" in pair)
        return {name: value for name, _, value in pairs}


def main(arguments: list[str]) -> int:
    """Write down who this is and become the command. Returns only where that cannot be."""
    directory, *command = arguments
    _close_what_is_not_ours()
    os.setsid()
    _write(directory, "process.json", _who())
    if os.path.exists(os.path.join(directory, "ended")):  # noqa: PTH110, PTH118 - starts faster
        print("it was called off before it had started", file=sys.stderr)  # noqa: T201 - its only voice
        return _CALLED_OFF
    fcntl.fcntl(LOCK_FD, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    # The interpreter ignores the first two, a shell that starts the parent in the background the others, and
    # exec would keep that: such a program could not be asked to stop.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, _environment())  # noqa: S606 - no shell is the point
    except (OSError, ValueError) as error:
        print(f"cannot start {command[0]!r}: {getattr(error, 'strerror', error)}", file=sys.stderr)  # noqa: T201 - its only voice
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
