"""A gate for log lines: so many a second and no more; the others are counted. Pure: time is an argument."""

LINES_PER_SECOND = 100.0
LINES_AT_ONCE = 200.0
BYTES_PER_SECOND = 64 * 1024.0
BYTES_AT_ONCE = 256 * 1024.0


class FloodGate:
    """Lets lines through while both buckets, lines and bytes, hold enough.

    Attributes:
        dropped: Lines kept back since the last one that was let through.
        dropped_total: Lines kept back in all.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self._lines = LINES_AT_ONCE
        self._bytes = BYTES_AT_ONCE
        self.dropped = 0
        self.dropped_total = 0

    def admit(self, size: int, now: float) -> bool:
        """Say whether a line of so many bytes may pass at a time in seconds that only grow."""
        elapsed, self._now = now - self._now, now
        self._lines = min(LINES_AT_ONCE, self._lines + elapsed * LINES_PER_SECOND)
        self._bytes = min(BYTES_AT_ONCE, self._bytes + elapsed * BYTES_PER_SECOND)
        if self._lines < 1 or self._bytes < size:
            self.dropped += 1
            self.dropped_total += 1
            return False
        self._lines -= 1
        self._bytes -= size
        return True

    def take_dropped(self) -> int:
        """Answer how many were kept back since this was last asked."""
        dropped, self.dropped = self.dropped, 0
        return dropped
