"""A service's log: its standard output and error, bounded.

The service appends to the file by itself, so that it needs nobody to go on. The supervisor keeps it bounded:
a log that has grown too long is copied aside and cut to nought, which appending survives. What is written
between copy and cut is lost; a service that nobody supervises is not cut.
"""

import os
from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 1 << 20
_TAIL_BYTES = 64 * 1024


def rotate(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Keep the newest `limit_bytes` as `log.1` and begin anew, where the log is longer than that."""
    try:
        size = path.stat().st_size
        if size <= limit_bytes:
            return False
        old = path.with_name(path.name + ".1")
        new = path.with_name(f".{old.name}.new")
        with path.open("rb") as source:
            source.seek(size - limit_bytes)
            new.write_bytes(source.read(limit_bytes))
        os.truncate(path, 0)
        new.replace(old)
    except FileNotFoundError:  # the service is just being destroyed
        return False
    return True


def begin_anew(path: Path) -> None:
    """Put the log aside, where there is one. Nobody may be writing to it."""
    with suppress(FileNotFoundError):
        path.replace(path.with_name(path.name + ".1"))


def last_lines(path: Path, count: int = 20) -> list[str]:
    """Answer the newest lines of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
