"""The file of the history: opening it, its schema, its lock, and setting it aside when it is damaged.

`history.py` calls it, in the thread that writes. One process has the file at a time: what the writer keeps in
memory beside it would else be wrong. A file that cannot be read is renamed, never deleted and never repaired
in silence; the history then begins anew.
"""

import fcntl
import sqlite3
from pathlib import Path
from typing import TextIO

from enchain.chains.errors import UnavailableError
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter

SCHEMA_VERSION = 1

BUSY_SECONDS = 5.0
"""How long a statement waits for a lock, should a person look into the file meanwhile."""

_SCHEMA = """
-- What was pushed lately, by line and cell, until it is settled. A value is total / weight.
CREATE TABLE lines (
    id INTEGER PRIMARY KEY, workload TEXT NOT NULL, signal TEXT NOT NULL, resource TEXT NOT NULL,
    part TEXT NOT NULL, rank INTEGER NOT NULL, UNIQUE (workload, signal, resource, part, rank)
);
CREATE TABLE newest (
    line INTEGER NOT NULL, reporter TEXT NOT NULL, time REAL NOT NULL, value REAL NOT NULL,
    start REAL NOT NULL, PRIMARY KEY (line, reporter)
) WITHOUT ROWID;
CREATE TABLE parts (
    line INTEGER NOT NULL, cell INTEGER NOT NULL, total REAL NOT NULL, weight REAL NOT NULL,
    PRIMARY KEY (line, cell)
) WITHOUT ROWID;
-- The demand of workloads, by source and cell. A cell that is not there is a gap.
CREATE TABLE keys (
    id INTEGER PRIMARY KEY, workload TEXT NOT NULL, signal TEXT NOT NULL, source TEXT NOT NULL,
    query TEXT NOT NULL DEFAULT '', UNIQUE (workload, signal, source)
);
CREATE TABLE cells (
    key INTEGER NOT NULL, cell INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (key, cell)
) WITHOUT ROWID;
CREATE TABLE rejected (
    workload TEXT NOT NULL, signal TEXT NOT NULL, hour INTEGER NOT NULL, reason TEXT NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (workload, signal, hour, reason)
) WITHOUT ROWID;
-- One row: cells before it are settled.
CREATE TABLE settled (until INTEGER NOT NULL);
INSERT INTO settled VALUES (0);
"""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = get_logger(__name__)
_set_aside = meter(__name__).create_counter(
    "enchain.demand.histories_set_aside", "{file}", "Files of the history that could not be read."
)


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is damaged."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


class HistoryFile:
    """The file, and the right to write it.

    Args:
        path: Where it is. Its folder is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: TextIO | None = None

    def open(self, stamp: str) -> sqlite3.Connection:
        """Take the file, and answer a connection that may write. Makes it, or sets it aside, where it must.

        Args:
            stamp: Part of the name that a damaged file gets.

        Raises:
            UnavailableError: Another process has the file, or it cannot be opened.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
            return self._ready(stamp)
        except (OSError, sqlite3.Error) as error:
            self.release()
            raise UnavailableError(
                f"cannot open the history {self._path}: {error}",
                reason="HISTORY_UNUSABLE",
                remedy="Give --history a file in a folder that this process may write to.",
                metadata={"path": str(self._path)},
                retry_after=1.0,
            ) from error

    def reading(self) -> sqlite3.Connection:
        """Answer a connection that only reads."""
        connection = _connect(self._path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def set_aside(self, stamp: str, why: str) -> None:
        """Rename the file, so that a new one can begin. All connections are closed before."""
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            beside = self._path.with_name(self._path.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
        _set_aside.add(1)
        _log.error("history set aside, demand begins anew", path=str(self._path), aside=str(aside), why=why)

    def _take(self) -> None:
        if self._lock is not None:
            return
        # Not the file itself: closing any handle of it would drop the locks that SQLite holds.
        lock = self._path.with_name(self._path.name + ".lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise UnavailableError(
                f"another process has the history {self._path}",
                reason="HISTORY_IN_USE",
                remedy="Wait until the replica that led before lets go of it, or give each its own file.",
                metadata={"path": str(self._path)},
                retry_after=1.0,
            ) from None
        self._lock = lock

    def _ready(self, stamp: str) -> sqlite3.Connection:
        connection = _connect(self._path)
        try:
            fault = _fault(connection)
        except sqlite3.Error as error:
            if not is_damage(error):
                connection.close()
                raise
            fault = str(error)
        if fault:
            connection.close()
            self.set_aside(stamp, fault)
            connection = _connect(self._path)
        if _version(connection) == 0:
            _create(connection)
        return connection


def _connect(path: Path) -> sqlite3.Connection:
    # It is used in one thread at a time, and opened and closed in others.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    # WAL: readers never wait for the writer. NORMAL: what was committed survives the end of the process,
    # however sudden, and the file stays whole even when the machine loses power, which may cost the last
    # seconds. Samples come again, so a sync of the disk for every push would buy nothing.
    connection.execute("PRAGMA journal_mode = WAL")
    _tune(connection)
    connection.executescript(f"BEGIN;{_SCHEMA};PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")


def _tune(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _fault(connection: sqlite3.Connection) -> str:
    """Answer why a file cannot be used; empty where it can, or is new.

    Raises:
        sqlite3.Error: It is no such file at all, or cannot be read.
    """
    version = _version(connection)
    if version not in (0, SCHEMA_VERSION):
        return f"its schema is version {version}, and this program knows {SCHEMA_VERSION}"
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables:
        return "it is a database of something else"
    _tune(connection)
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return "" if said == "ok" else str(said)
