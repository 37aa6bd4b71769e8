"""File locks between the instances of a scope. They are free when their holder dies, and not inherited.

Two per service: `change` (held while a step or a supervisor decides over the service) and `watch` (held by
the one instance that supervises it); one per scope for allotting ports. It must never block the event loop.
"""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from enchain.process.clock import Clock

_POLL_SECONDS = 0.02


class FileLock:
    """A lock that is held. Made by `try_lock` and `locked` only."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def release(self) -> None:
        """Let go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Remove the lock's file and let go: whoever waits for it finds that it is another one."""
        self._path.unlink(missing_ok=True)
        self.release()


def try_lock(path: Path, *, create: bool = True) -> FileLock | None:
    """Take a lock if it is free, else answer None. Without `create`, None where its file is missing too."""
    while True:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return FileLock(descriptor, path)
        os.close(descriptor)  # it was discarded while we took it


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@asynccontextmanager
async def locked(path: Path, clock: Clock) -> AsyncIterator[FileLock]:
    """Hold a lock, having waited for it as long as it takes; the caller's deadline bounds the wait."""
    while (lock := try_lock(path)) is None:
        await clock.sleep(_POLL_SECONDS)
    try:
        yield lock
    finally:
        lock.release()
