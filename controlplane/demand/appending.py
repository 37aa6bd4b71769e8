"""Writing what was pushed into the history: each export in one transaction.

`history.py` calls it in the thread that writes. What it keeps in memory is what the tables hold; after a
transaction that failed it is read again.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.demand.samples import Line, Newest, Point, Reason, taken
from controlplane.demand.signals import HOUR_SECONDS, DemandKey, Signal

SERIES_MAX = 20_000
"""Series that are pushed at once: one for each part of each resource, signal and reporter."""

WORKLOAD_SERIES_MAX = 5_000
"""The same of one workload, so that none takes the room of all."""

Rejected = Mapping[tuple[DemandKey, Reason], int]

_ADD_PART = """
INSERT INTO parts VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET total = total + excluded.total, weight = weight + excluded.weight
"""
_SET_NEWEST = """
INSERT INTO newest VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET time = excluded.time, value = excluded.value, start = excluded.start
"""
_ADD_REJECTED = """
INSERT INTO rejected VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many series are taken.

    Attributes:
        series: In all.
        workload_series: Of one workload.
    """

    series: int = SERIES_MAX
    workload_series: int = WORKLOAD_SERIES_MAX


@dataclass(slots=True)
class _Change:
    """What an export does, before it is written."""

    lines: list[Line] = field(default_factory=list)
    newest: dict[tuple[int, str], Newest] = field(default_factory=dict)
    parts: dict[tuple[int, int], list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    rejected: Counter[tuple[DemandKey, Reason]] = field(default_factory=Counter)


class Appender:
    """Writes samples, and knows all series.

    Args:
        connection: Writes.
        limits: How many series are taken.
    """

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._lines: dict[Line, int] = {}
        self._newest: dict[tuple[int, str], Newest] = {}
        self._series: Counter[str] = Counter()
        self._settled = 0
        self._next_line = 1
        self.load()

    def load(self) -> None:
        """Read what the tables hold."""
        run = self._connection.execute
        self._lines = {
            Line(workload, Signal(signal), resource, part, rank): identifier
            for identifier, workload, signal, resource, part, rank in run(
                "SELECT id, workload, signal, resource, part, rank FROM lines"
            )
        }
        self._next_line = max(self._lines.values(), default=0) + 1
        workloads = {identifier: line.workload for line, identifier in self._lines.items()}
        self._newest = {}
        self._series = Counter()
        for line, reporter, time, value, start in run("SELECT * FROM newest"):
            self._newest[line, reporter] = Newest(time, value, start)
            self._series[workloads.get(line, "")] += 1
        (self._settled,) = run("SELECT until FROM settled").fetchone()

    def append(self, points: Sequence[Point], now: float, left: Rejected) -> Rejected:
        """Write samples; answer how many were left out, by what they were about and why.

        Args:
            points: The samples.
            now: Seconds since the epoch.
            left: What was left out before; it is counted and answered with the others.

        Raises:
            sqlite3.Error: Nothing was written.
        """
        change = _Change(rejected=Counter(left))
        for point in points:
            self._judge(point, now, change)
        try:
            self._write(change, now)
        except sqlite3.Error:
            self.load()
            raise
        self._newest.update(change.newest)
        return change.rejected

    def note(self, rejected: Rejected, now: float) -> None:
        """Count samples that were left out before they came here."""
        self._connection.executemany(_ADD_REJECTED, _rejected_rows(rejected, now))

    def _judge(self, point: Point, now: float, change: _Change) -> None:
        line = self._lines.get(point.line)
        place = (line or 0, point.reporter)
        before = change.newest.get(place) or self._newest.get(place) if line is not None else None
        verdict = taken(point, before, now=now, oldest=self._settled)
        key = DemandKey(point.line.workload, point.line.signal)
        if verdict.reason is not None:
            change.rejected[key, verdict.reason] += 1
        if verdict.newest is None or verdict.newest is before:
            return
        if before is None:
            if self._full(point.line.workload):
                change.rejected[key, Reason.TOO_MANY_SERIES] += 1
                return
            place = (self._line(point.line, change), point.reporter)
            self._series[point.line.workload] += 1
        change.newest[place] = verdict.newest
        for share in verdict.shares:
            part = change.parts[place[0], share.cell]
            part[0] += share.total
            part[1] += share.weight

    def _full(self, workload: str) -> bool:
        own, every = self._series[workload], self._series.total()
        return own >= self._limits.workload_series or every >= self._limits.series

    def _line(self, line: Line, change: _Change) -> int:
        known = self._lines.get(line)
        if known is None:
            known = self._lines[line] = self._next_line
            self._next_line += 1
            change.lines.append(line)
        return known

    def _write(self, change: _Change, now: float) -> None:
        run, run_all = self._connection.execute, self._connection.executemany
        run("BEGIN IMMEDIATE")
        try:
            run_all(
                "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (self._lines[line], line.workload, line.signal, line.resource, line.part, line.rank)
                    for line in change.lines
                ],
            )
            run_all(
                _SET_NEWEST,
                [(*place, each.time, each.value, each.start) for place, each in change.newest.items()],
            )
            run_all(_ADD_PART, [(*place, *part) for place, part in change.parts.items()])
            run_all(_ADD_REJECTED, _rejected_rows(change.rejected, now))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise


def _rejected_rows(rejected: Rejected, now: float) -> list[tuple[str, str, int, str, int]]:
    hour = int(now // HOUR_SECONDS) * HOUR_SECONDS
    return [(key.workload, key.signal, hour, reason, count) for (key, reason), count in rejected.items()]
