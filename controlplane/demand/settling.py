"""What becomes of the history with time: pushed cells are added up over resources, old ones are forgotten.

`history.py` calls it in the thread that writes, every few minutes. Until a cell is settled, late samples find
their place in it; from then on only the sum of the workload is kept, so that resources that come and go leave
nothing behind.
"""

import sqlite3
from collections.abc import Iterable

import numpy as np

from controlplane.demand.grid import CARRIED_CELLS, ResourceCell, cell_of, combined
from controlplane.demand.samples import LATE_SECONDS
from controlplane.demand.signals import CELL_SECONDS, DemandKey, Signal, Source
from controlplane.forecast.series import WEEK, FloatArray

SETTLE_SECONDS = LATE_SECONDS + 3600
"""A cell is settled so long after its end: what is not late yet always finds it unsettled."""

AGE_SECONDS = 8 * WEEK
"""How long cells are kept."""

_PARTS = """
SELECT resource, rank, cell, sum(total / weight) FROM parts JOIN lines ON lines.id = parts.line
WHERE workload = ? AND signal = ? AND cell >= ? AND cell < ? GROUP BY resource, rank, cell
"""


def settled_until(connection: sqlite3.Connection) -> int:
    """Answer the beginning of the first cell that is not settled."""
    (until,) = connection.execute("SELECT until FROM settled").fetchone()
    return int(until)


def pushed(connection: sqlite3.Connection, key: DemandKey, start: int, end: int) -> FloatArray:
    """Answer what was pushed and is not settled, added up over resources: shape ((end - start) / 300,)."""
    before = start - CARRIED_CELLS * CELL_SECONDS
    rows = connection.execute(_PARTS, (key.workload, key.signal, before, end))
    return combined((ResourceCell(*row) for row in rows), start, end)


def settle(connection: sqlite3.Connection, now: float) -> None:
    """Settle what is old enough, and forget what is too old, in one transaction.

    Raises:
        sqlite3.Error: Nothing was done.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _settle(connection, cell_of(now - SETTLE_SECONDS))
        _forget(connection, now)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _settle(connection: sqlite3.Connection, until: int) -> None:
    since = settled_until(connection)
    if until <= since:
        return
    (first,) = connection.execute(
        "SELECT min(cell) FROM parts WHERE cell >= ? AND cell < ?", (since, until)
    ).fetchone()
    if first is not None:
        pairs = connection.execute("SELECT DISTINCT workload, signal FROM lines").fetchall()
        for workload, signal in pairs:
            key = DemandKey(workload, Signal(signal))
            put_cells(connection, key, Source.OTLP, first, pushed(connection, key, first, until))
    # The cells before are carried into those after, so they stay for a while.
    connection.execute("DELETE FROM parts WHERE cell < ?", (until - CARRIED_CELLS * CELL_SECONDS,))
    connection.execute("UPDATE settled SET until = ?", (until,))


def _forget(connection: sqlite3.Connection, now: float) -> None:
    run = connection.execute
    run("DELETE FROM newest WHERE time < ?", (now - SETTLE_SECONDS,))
    run("DELETE FROM lines WHERE id NOT IN (SELECT line FROM newest) AND id NOT IN (SELECT line FROM parts)")
    oldest = cell_of(now - AGE_SECONDS)
    for (key,) in run("SELECT id FROM keys").fetchall():
        run("DELETE FROM cells WHERE key = ? AND cell < ?", (key, oldest))
    run("DELETE FROM keys WHERE NOT EXISTS (SELECT 1 FROM cells WHERE cells.key = keys.id)")
    run("DELETE FROM rejected WHERE hour < ?", (oldest,))


def key_id(connection: sqlite3.Connection, key: DemandKey, source: Source) -> int:
    """Answer the id of a key, which is made where it is missing."""
    names = (key.workload, key.signal, source)
    connection.execute(
        "INSERT INTO keys (workload, signal, source) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", names
    )
    (identifier,) = connection.execute(
        "SELECT id FROM keys WHERE workload = ? AND signal = ? AND source = ?", names
    ).fetchone()
    return int(identifier)


def put_cells(
    connection: sqlite3.Connection, key: DemandKey, source: Source, start: int, values: FloatArray
) -> None:
    """Write cells over what they were. Gaps are not written, and take nothing away."""
    there: Iterable[int] = np.flatnonzero(np.isfinite(values)).tolist()
    identifier = key_id(connection, key, source)
    connection.executemany(
        "INSERT INTO cells VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        [(identifier, start + index * CELL_SECONDS, float(values[index])) for index in there],
    )
