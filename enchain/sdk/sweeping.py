"""Sweeping: ledgers of things long destroyed are deleted, so that a scope does not grow for ever.

`enchain.sdk.serve` does it at start and every hour. A ledger is also a tombstone that refuses late callers,
so it goes only once no call that it must refuse can still come.
"""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

from enchain.chains.errors import MalformedError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.sdk.ledger_file import TOMBSTONE_AGE, LedgerFile, is_spent
from enchain.sdk.scope import FileLock, Scope, WorkPaths, is_held

INTERVAL_SECONDS = 3600.0

_log = get_logger("enchain.sdk.sweeping")


async def sweep_for_ever(scope: Scope, clock: Clock) -> None:
    """Sweep now and every hour. Never ends."""
    while True:
        swept = await asyncio.to_thread(sweep, scope, clock.now())
        if swept:
            _log.info("ledgers swept", count=swept)
        await clock.sleep(INTERVAL_SECONDS)


def sweep(scope: Scope, now: datetime) -> int:
    """Delete the directories of spent ledgers, and of plans that nobody applied; answer how many."""
    return sum(_sweep_one(WorkPaths(path), now) for path in scope.root.glob("work/*/*/*"))


def _sweep_one(paths: WorkPaths, now: datetime) -> bool:
    if _touched(paths) + TOMBSTONE_AGE > now:  # before the lock, which touches the directory
        return False
    lock = FileLock(paths.ledger_lock)
    if is_held(paths.task_lock) or is_held(paths.tool_lock) or not lock.try_acquire():
        return False
    try:
        if not _is_spent(paths, now):
            return False
        shutil.rmtree(paths.root)  # whoever waits for the lock finds its file gone and takes a new one
    finally:
        lock.release()
    _remove_empty(paths.root.parent)
    return True


def _touched(paths: WorkPaths) -> datetime:
    """Answer when the work was last touched: its ledger, or its directory where it was only planned."""
    marker = paths.ledger if paths.ledger.exists() else paths.root
    return datetime.fromtimestamp(marker.stat().st_mtime, UTC)


def _is_spent(paths: WorkPaths, now: datetime) -> bool:
    try:
        return is_spent(LedgerFile(paths, f"{paths.root.parent.name}/{paths.root.name}").read(), now)
    except MalformedError:
        return False  # a person has to look at it


def _remove_empty(directory: Path) -> None:
    if not any(directory.iterdir()):
        directory.rmdir()
