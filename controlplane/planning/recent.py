"""The reactive envelope of requests: the most that came of late, below which nothing is planned. Pure.

Assembling the inputs of a plan calls it. It reads the counts that were folded out of the outbox; requests
whose operations still run are not in them.
"""

from datetime import datetime

from enchain.v1 import learned_pb2

WINDOW_MINUTES = 30
"""How far back is looked."""

CELL_MINUTES = 5
"""Rates are of so many minutes together: a single minute is too rough."""


def reactive_rate(statistics: learned_pb2.RequestRateStatistics, now: datetime) -> float:
    """Answer the largest rate of provisions of the last half hour, an hour.

    Args:
        statistics: Provisions by minute.
        now: Where the half hour ends.
    """
    first = statistics.first_minute.seconds // 60
    last = int(now.timestamp()) // 60
    counts = dict(enumerate(statistics.provisions, first))
    cells = range(last - WINDOW_MINUTES + 1, last + 1, CELL_MINUTES)
    most = max(sum(counts.get(minute, 0) for minute in range(cell, cell + CELL_MINUTES)) for cell in cells)
    return most * 60 / CELL_MINUTES
