"""Becomes a service. Run as a script by the engine, with the standard library only; nobody imports it.

    python -I -S launcher.py DIRECTORY LAUNCH DIGEST COMMAND [ARGUMENT...]

It leads a session of its own, writes down who it is, takes its ticket, and then becomes the command in the
same process. So whatever dies in between, a process that serves is recorded: the record is written before the
ticket is taken, and without its ticket it never becomes anything. Withdrawing a launch is removing its
ticket.
It must never keep a file descriptor of the engine open, and never write down its environment.
"""

import json
import os
import signal
import sys

_WITHDRAWN = 75
_NOT_FOUND = 127
_NOT_STARTED = 126


def _start_ticks() -> int:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - starts faster
        text = file.read()
    return int(text[text.rindex(")") + 2 :].split()[19])


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - starts faster
        return f"{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to no path


def _write_record(directory: int, launch: str, digest: str) -> None:
    record = {
        "launch": launch,
        "digest": digest,
        "pid": os.getpid(),
        "start_ticks": _start_ticks(),
        "boot": _boot(),
    }
    new = f".process-{launch}.json"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
    os.write(descriptor, json.dumps(record).encode())
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(new, f"process-{launch}.json", src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _close_what_is_not_ours() -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        if int(name) > 2:  # noqa: PLR2004 - above standard error
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor that the listing itself used


def _environment() -> dict[bytes, bytes]:
    # The interpreter may have added to os.environ; the service gets what it was given.
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - starts faster
        pairs = (pair.partition(b"=") for pair in file.read().split(b"\0") if b"=" in pair)
        return {name: value for name, _, value in pairs}


def main(arguments: list[str]) -> int:
    """Record, take the ticket, become the command. Returns only where that cannot be."""
    path, launch, digest, *command = arguments
    _close_what_is_not_ours()
    os.setsid()
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        _write_record(directory, launch, digest)
        os.unlink(f"ticket-{launch}", dir_fd=directory)
        os.close(directory)
        os.chdir(os.path.join(path, "files"))  # noqa: PTH118 - starts faster
    except OSError as error:
        print(f"the launch was withdrawn: {error}", file=sys.stderr)  # noqa: T201 - its only voice
        return _WITHDRAWN
    # The interpreter ignores the first two, a shell that starts the engine in the background the others, and
    # exec would keep that: such a service could not be asked to stop.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, _environment())  # noqa: S606 - no shell is the point
    except (OSError, ValueError) as error:
        print(f"cannot start {command[0]!r}: {getattr(error, 'strerror', error)}", file=sys.stderr)  # noqa: T201 - its only voice
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
