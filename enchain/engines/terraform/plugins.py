"""One cache of provider plugins for a state scope, used by one `init` at a time. `commands.py` calls it.

Terraform's plugin cache is not made for concurrent use: two runs that install the same provider break it.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_POLL_SECONDS = 0.1


class PluginCache:
    """The cache's directory and the right to fill it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = asyncio.Lock()

    def create(self) -> None:
        """Make the directory."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until no other run of the scope fills the cache, and keep others from it."""
        async with self._lock:
            fd = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                while not _try_lock(fd):  # noqa: ASYNC110 - other instances do not tell when they are done
                    await asyncio.sleep(_POLL_SECONDS)
                yield
            finally:
                os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
