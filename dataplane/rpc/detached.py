"""Work that a call begins and that outlives it: the caller may go away, the work may not stop there.

Admission and steering use it between a claim in the store and the start of what was claimed.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Detached:
    """Holds on to its tasks until they have ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end, whatever becomes of the caller, who waits for it while there is one."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # where the caller has gone nobody else looks at it
