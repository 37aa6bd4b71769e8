"""Time as an argument: the port, the system's clock, and the shipped clock that tests move by hand.

Everything that waits or stamps takes a `Clock`; nothing else in the project reads the time. Pure rooms take
plain numbers and datetimes instead and never see a clock.
"""

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> datetime:
        """Answer the date and time, aware and in UTC. It may jump; never subtract two of them."""

    def monotonic(self) -> float:
        """Answer seconds that only grow. Meaningful only as a difference."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The operating system's clock."""

    def now(self) -> datetime:
        """Answer the date and time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Answer the monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(max(seconds, 0))


class ManualClock:
    """A clock that stands still until it is moved.

    Args:
        start: What `now` answers at first.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._count = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._fell_asleep = asyncio.Event()

    def now(self) -> datetime:
        """Answer the start plus all that was advanced."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Answer the seconds advanced so far."""
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many tasks sleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by so many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1  # keeps sleepers of one instant in the order in which they fell asleep
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._count, future))
        self._fell_asleep.set()
        await future

    async def asleep(self, count: int = 1) -> None:
        """Wait until so many tasks sleep, so that `advance` cannot come too early."""
        while self.sleepers < count:
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    def advance(self, seconds: float) -> None:
        """Move on, and wake all whose time has come, in that order."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
