"""A log that a program appends to by itself, kept bounded by whoever looks after the program.

`detached` keeps the logs of launched programs so, the process engine those of its services. The program needs
nobody to go on: a log that has grown too long is copied aside and cut to nought, which appending survives.
What is written between copy and cut is lost; a log that nobody looks after is not cut. Two must never rotate
one log at once: whoever calls holds a lock. Everything here blocks.
"""

import os
from pathlib import Path


def rotate(path: Path, *, limit_bytes: int, kept: int = 1) -> bool:
    """Keep the newest bytes of a log that is longer than a limit as `log.1`, and begin it anew.

    Args:
        path: The log; those before it are `log.1`, the newest, to `log.<kept>`.
        limit_bytes: How long it may be; no older one is longer, however fast it has grown.
        kept: How many older ones there may be, 1 at least.

    Returns:
        Whether it was too long.
    """
    try:
        size = path.stat().st_size
        if size <= limit_bytes:
            return False
        new = path.with_name(f".{path.name}.1.new")
        with path.open("rb") as source:
            source.seek(size - limit_bytes)
            new.write_bytes(source.read(limit_bytes))
        os.truncate(path, 0)
        for number in range(kept - 1, 0, -1):
            if (older := _older(path, number)).exists():
                older.replace(_older(path, number + 1))
        new.replace(_older(path, 1))
    except FileNotFoundError:  # it is just being deleted
        return False
    return True


def last_words(path: Path, *, limit_bytes: int = 4096) -> str:
    """Answer the last line of a log that says anything, also where it has just begun anew; else nothing."""
    for log in (path, _older(path, 1)):
        try:
            with log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - limit_bytes))
                lines = file.read(limit_bytes).decode(errors="replace").split("\n")
        except FileNotFoundError:
            continue
        if words := next((line.strip() for line in reversed(lines) if line.strip()), ""):
            return words
    return ""


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
