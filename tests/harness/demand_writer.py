"""A process that writes a history until it is killed: `python -m tests.harness.demand_writer FILE`.

It says on standard output after each sample how many the history has taken, once it has.
"""

import asyncio
import itertools
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controlplane.demand.history import History
from controlplane.demand.samples import Kind, Line, Point
from controlplane.demand.signals import Signal
from enchain.process.clock import ManualClock

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEP_SECONDS = 0.01
LINE = Line("site", Signal.MEMORY, "r", "p", 0)


def point(index: int, value: float = 1.0) -> Point:
    """One sample of many."""
    return Point(LINE, "", Kind.GAUGE, 0, START.timestamp() + index * STEP_SECONDS, value)


async def _write(path: Path) -> None:
    history = History(path, clock=ManualClock(START + timedelta(minutes=1)))
    await history.open()
    for index in itertools.count():
        assert not await history.append([point(index)])
        print(index + 1, flush=True)  # noqa: T201 - this is how it is heard


if __name__ == "__main__":
    asyncio.run(_write(Path(sys.argv[1])))
