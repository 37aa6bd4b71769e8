"""A service's log: its standard output and error, bounded.

The service appends to the file by itself, and the supervisor keeps it bounded by
`enchain.process.bounded_logs`; a service that nobody supervises is not cut.
"""

from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 1 << 20
"""How long it may be; as much of what was before is kept as `log.1`."""

_TAIL_BYTES = 64 * 1024


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
