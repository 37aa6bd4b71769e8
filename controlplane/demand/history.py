"""The embedded history of demand: an SQLite file beside the leader.

The intake appends to it, `Demand` reads it. One thread writes and one reads, so that the event loop never
waits for a disk; what waits for them is bounded. It is open while this replica leads, and else refuses
everything with `UnavailableError`. What is kept, and for how long, is in `settling.py`; `history_file.py`
says how it survives.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from controlplane.demand import settling
from controlplane.demand.appending import Appender, Limits, Rejected
from controlplane.demand.history_file import HistoryFile, is_damage
from controlplane.demand.samples import Point
from controlplane.demand.signals import CELL_SECONDS, HOUR_SECONDS, DemandKey, Signal, Source
from controlplane.forecast.series import FloatArray
from enchain.chains.errors import ExhaustedError, UnavailableError
from enchain.process.clock import Clock

WAITING_MAX = 64
"""Calls that wait for the thread that writes, or for the one that reads; more are refused."""

KEYS_MAX = 10_000
"""Workloads times signals times sources."""

RETRY_SECONDS = 1.0

T = TypeVar("T")


class History:
    """The history.

    Args:
        path: Its file.
        clock: Dates what is counted, and says what is old.
        limits: How many series are taken.

    Attributes:
        path: Its file.
        faults: What is wrong with the source of a key now, in words; whoever asks the source writes it.
    """

    def __init__(self, path: Path, *, clock: Clock, limits: Limits | None = None) -> None:
        self.path = path
        self._file = HistoryFile(path)
        self._clock = clock
        self._limits = limits or Limits()
        self._writer = _Worker("write the history of demand")
        self._reader = _Worker("read the history of demand")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._appender: Appender | None = None
        self.faults: dict[DemandKey, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._appender is not None

    async def open(self) -> None:
        """Open the file; make it where it is missing, set it aside where it is damaged.

        Raises:
            UnavailableError: Another process has it, or it cannot be opened.
        """
        await self._writer.run(self._open)

    async def close(self) -> None:
        """Close the file, after what was begun. Opening it again is possible."""
        self._appender = None
        await self._reader.run(self._close_reading, bounded=False)
        await self._writer.run(self._close_writing, bounded=False)
        self._reader.stop()
        self._writer.stop()

    async def append(self, points: Sequence[Point], left: Rejected | None = None) -> Rejected:
        """Take samples in, all in one transaction; answer how many were left out, by what and why.

        Args:
            points: The samples.
            left: What was left out before they came here, to be counted with the others.

        Raises:
            UnavailableError: It is not open, or could not write; nothing was taken.
            ExhaustedError: Too much waits already.
        """
        now = self._now()
        return await self._write(lambda: self._appending().append(points, now, left or {}))

    async def note(self, rejected: Rejected) -> None:
        """Count samples that were left out by whoever brings the others."""
        now = self._now()
        if rejected:
            await self._write(lambda: self._appending().note(rejected, now))

    async def put(self, key: DemandKey, source: Source, start: int, values: FloatArray) -> None:
        """Write whole cells over what they were; gaps take nothing away.

        Args:
            key: Whose.
            source: Where they come from.
            start: Beginning of the first cell, a multiple of 300.
            values: Shape (n,), in the signal's unit, NaN for gaps.

        Raises:
            UnavailableError: It is not open, or could not write; nothing was written.
            ExhaustedError: Too much waits already, or there are too many keys.
        """
        await self._write(lambda: self._put(key, source, start, values))

    async def begin(self, key: DemandKey, source: Source, query: str) -> int:
        """Say what query the cells of a key come from; cells of another query are deleted.

        Returns:
            Beginning of the newest cell that is kept of it, 0 where there is none.
        """
        return await self._write(lambda: self._begin(key, source, query))

    async def settle(self) -> None:
        """Settle and forget what is old enough; to be called every few minutes."""
        now = self._now()
        await self._write(lambda: self._settle(now))

    async def keys(self) -> Sequence[DemandKey]:
        """Answer what there are figures of."""
        return await self._read(_keys)

    async def read(self, key: DemandKey, start: int, end: int) -> Mapping[Source, FloatArray]:
        """Answer the cells of each source, shape ((end - start) / 300,), NaN for gaps."""
        return await self._read(lambda connection: _cells(connection, key, start, end))

    async def rejected(self, key: DemandKey, since: int) -> Mapping[str, int]:
        """Answer how many samples were left out since then, by reason."""
        return await self._read(lambda connection: _rejected(connection, key, since))

    def fault(self, key: DemandKey) -> str:
        """Answer what is wrong with the source now."""
        return self.faults.get(key, "")

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _stamp(self) -> str:
        return self._clock.now().strftime("%Y%m%dT%H%M%S%f")

    def _open(self) -> None:
        if self._appender is None:
            self._writing = self._file.open(self._stamp())
            self._appender = Appender(self._writing, self._limits)

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _close_writing(self) -> None:
        self._appender = None
        if self._writing is not None:
            self._writing.close()
            self._writing = None
        self._file.release()

    def _appending(self) -> Appender:
        if self._appender is None:
            raise closed()
        return self._appender

    def _connection(self) -> sqlite3.Connection:
        if self._writing is None:
            raise closed()
        return self._writing

    def _put(self, key: DemandKey, source: Source, start: int, values: FloatArray) -> None:
        connection = self._connection()
        (count,) = connection.execute("SELECT count(*) FROM keys").fetchone()
        if count >= KEYS_MAX:
            raise ExhaustedError(
                f"the history has {count} keys, which is all it takes",
                reason="HISTORY_FULL",
                remedy="Delete workloads that are not used; what is known of them is forgotten with time.",
            )
        with _transaction(connection):
            settling.put_cells(connection, key, source, start, values)

    def _begin(self, key: DemandKey, source: Source, query: str) -> int:
        connection = self._connection()
        with _transaction(connection):
            identifier = settling.key_id(connection, key, source)
            changed = connection.execute(
                "UPDATE keys SET query = ? WHERE id = ? AND query <> ?", (query, identifier, query)
            )
            if changed.rowcount:
                connection.execute("DELETE FROM cells WHERE key = ?", (identifier,))
            (newest,) = connection.execute(
                "SELECT max(cell) FROM cells WHERE key = ?", (identifier,)
            ).fetchone()
        return int(newest or 0)

    def _settle(self, now: float) -> None:
        settling.settle(self._connection(), now)
        self._appending().load()

    async def _write(self, work: Callable[[], T]) -> T:
        before = self._writing
        try:
            return await self._writer.run(work)
        except sqlite3.Error as error:
            raise await self._mended(error, before) from error

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        before = self._writing
        try:
            return await self._reader.run(lambda: work(self._to_read()))
        except sqlite3.Error as error:
            raise await self._mended(error, before) from error

    def _to_read(self) -> sqlite3.Connection:
        if self._appender is None:
            raise closed()
        if self._reading is None:
            self._reading = self._file.reading()
        return self._reading

    async def _mended(self, error: sqlite3.Error, before: sqlite3.Connection | None) -> UnavailableError:
        """Begin anew where the file is damaged; answer what to tell the caller."""
        if is_damage(error) and before is not None and self._writing is before:
            self._appender = None  # nothing is read of it any more
            await self._reader.run(self._close_reading, bounded=False)
            await self._writer.run(lambda: self._replace(before, str(error)), bounded=False)
        return UnavailableError(
            f"the history could not be used: {error}",
            reason="HISTORY_UNUSABLE",
            remedy="Look whether its disk is full or broken.",
            retry_after=RETRY_SECONDS,
        )

    def _replace(self, before: sqlite3.Connection, why: str) -> None:
        if self._writing is before:
            before.close()
            self._writing = self._appender = None
            self._file.set_aside(self._stamp(), why)
            self._open()


class _Worker:
    """One thread, before which only so many calls wait."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T], *, bounded: bool = True) -> T:
        """Do it in the thread, after all that was asked for before."""
        if bounded and self._waiting >= WAITING_MAX:
            raise ExhaustedError(
                f"{self._waiting} calls wait already to {self._name}",
                reason="HISTORY_BUSY",
                remedy="Try again, and export less often.",
                retry_after=RETRY_SECONDS,
            )
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._waiting += 1
        future.add_done_callback(self._done)
        # Shielded, since what a thread has begun cannot be stopped; it counts until it has ended.
        return await asyncio.shield(future)

    def stop(self) -> None:
        """End the thread once it has nothing to do."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # whoever asked may be gone; then nobody else would look at it


def closed() -> UnavailableError:
    """Answer what to say where this replica does not lead."""
    return UnavailableError(
        "the history of demand is open only where the leader is",
        reason="HISTORY_CLOSED",
        remedy="Ask again: another replica leads, or this one has just been elected.",
        retry_after=RETRY_SECONDS,
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _keys(connection: sqlite3.Connection) -> Sequence[DemandKey]:
    rows = connection.execute(
        "SELECT DISTINCT workload, signal FROM keys UNION SELECT DISTINCT workload, signal FROM lines"
    )
    return [DemandKey(workload, Signal(signal)) for workload, signal in rows]


def _cells(
    connection: sqlite3.Connection, key: DemandKey, start: int, end: int
) -> Mapping[Source, FloatArray]:
    connection.execute("BEGIN")  # one moment for all that is read
    try:
        until = settling.settled_until(connection)
        found: dict[Source, FloatArray] = {}
        rows = connection.execute(
            "SELECT id, source FROM keys WHERE workload = ? AND signal = ?", (key.workload, key.signal)
        )
        for identifier, source in rows.fetchall():
            found[Source(source)] = _kept(connection, identifier, start, end)
        unsettled = max(start, until)
        if unsettled < end:
            values = found.setdefault(Source.OTLP, _empty(start, end))
            pushed = settling.pushed(connection, key, unsettled, end)
            values[(unsettled - start) // CELL_SECONDS :] = pushed
    finally:
        connection.execute("ROLLBACK")
    return {source: values for source, values in found.items() if np.isfinite(values).any()}


def _kept(connection: sqlite3.Connection, identifier: int, start: int, end: int) -> FloatArray:
    rows = connection.execute(
        "SELECT cell, value FROM cells WHERE key = ? AND cell >= ? AND cell < ?", (identifier, start, end)
    ).fetchall()
    values = _empty(start, end)
    if rows:
        pairs = np.array(rows, dtype=np.float64)
        values[(pairs[:, 0].astype(np.int64) - start) // CELL_SECONDS] = pairs[:, 1]
    return values


def _empty(start: int, end: int) -> FloatArray:
    return np.full(max(0, (end - start) // CELL_SECONDS), np.nan)


def _rejected(connection: sqlite3.Connection, key: DemandKey, since: int) -> Mapping[str, int]:
    rows = connection.execute(
        "SELECT reason, sum(count) FROM rejected WHERE workload = ? AND signal = ? AND hour >= ?"
        " GROUP BY reason ORDER BY reason",
        (key.workload, key.signal, since // HOUR_SECONDS * HOUR_SECONDS),
    )
    return dict(rows.fetchall())
