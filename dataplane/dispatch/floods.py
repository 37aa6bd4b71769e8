"""A limit on what one step may show: too many log lines and progress are dropped and counted. Pure.

Durable events never pass through here. Time is an argument.
"""

from dataclasses import dataclass

BYTES_PER_SECOND = 64 * 1024
LINES_PER_SECOND = 200
LINE_BYTES_MAX = 4 * 1024


@dataclass(slots=True)
class Flood:
    """A bucket of lines and bytes that refills with time.

    Attributes:
        dropped: Lines dropped since the last one that passed.
        total: Lines dropped in all.
    """

    lines: float = LINES_PER_SECOND
    characters: float = BYTES_PER_SECOND
    at: float | None = None
    dropped: int = 0
    total: int = 0

    def passes(self, size: int, monotonic: float) -> bool:
        """Whether a line of so many bytes may be shown now; counts it where not."""
        elapsed = monotonic - self.at if self.at is not None else 0.0
        self.at = monotonic
        self.lines = min(LINES_PER_SECOND, self.lines + elapsed * LINES_PER_SECOND)
        self.characters = min(BYTES_PER_SECOND, self.characters + elapsed * BYTES_PER_SECOND)
        if self.lines < 1 or self.characters < min(size, LINE_BYTES_MAX):
            self.dropped += 1
            self.total += 1
            return False
        self.lines -= 1
        self.characters -= min(size, LINE_BYTES_MAX)
        return True

    def take_dropped(self) -> int:
        """Answer how many were dropped before the line that passes now."""
        dropped, self.dropped = self.dropped, 0
        return dropped


def cut(line: str) -> str:
    """Cut a line to what is shown."""
    return line if len(line) <= LINE_BYTES_MAX else f"{line[: LINE_BYTES_MAX - 1]}…"
