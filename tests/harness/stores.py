"""What tests of stores share: writing under a prefix, reading a watch, telling batches short."""

import asyncio
from contextlib import aclosing
from typing import Protocol

from enchain.process.clock import ManualClock
from enchain.state.store import Batch, Put, Store, put

ROOT = "/conformance/"


class Subject(Store, Protocol):
    """A store under test: it can also be compacted."""

    async def compact(self, revision: int) -> None:
        """Forget what keys were before a revision."""


class Aging:
    """Lets time pass for a store whose clock is ours; for others time passes by itself."""

    def __init__(self) -> None:
        self.clock = ManualClock()

    def by(self, seconds: float) -> None:
        """Let so much time pass."""
        self.clock.advance(seconds)


async def write(store: Store, **values: str) -> int:
    """Put keys under the root in one transaction; answer the revision."""
    return await put(store, [Put(f"{ROOT}{name}", value.encode()) for name, value in values.items()])


async def first(store: Store, count: int, *, start: int, name: str = ROOT) -> list[Batch]:
    """Answer the first batches of a watch."""
    found: list[Batch] = []
    async with aclosing(store.watch(name, start)) as batches, asyncio.timeout(20):
        async for batch in batches:
            found.append(batch)
            if len(found) == count:
                break
    return found


def told(batches: list[Batch]) -> list[tuple[int, str, str, bytes]]:
    """Answer what batches say, short enough to compare."""
    return [
        (batch.revision, event.kind.value, event.item.key.removeprefix(ROOT), event.item.value)
        for batch in batches
        for event in batch.events
    ]
