"""Following the table: the shell around `table.next_table`, which reads, swaps and tells.

The router's `main` owns the task `run`. Readers take `table` once and keep what they took; nobody but `run`
replaces it.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from random import Random

from dataplane.table import documents
from dataplane.table.documents import Read
from dataplane.table.table import Decisions, Table, next_table
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.follow import Health, follow
from enchain.state.store import Batch, Store

LARGE_BATCH_EVENTS = 16
"""More documents than this are checked off the event loop: compiling their expressions takes a while, and
open streams must not wait for it."""

_log = get_logger(__name__)
_meter = meter(__name__)
_refused = _meter.create_counter(
    "enchain.table.refused", "{document}", "Documents of the table that were refused, by why."
)
_refusals = _meter.create_gauge("enchain.table.refusals", "{document}", "Refusals that stand now.")
_applied = _meter.create_gauge("enchain.table.revision", "1", "The newest revision of the table decided on.")


class Swaps:
    """Tells waiters that something was swapped. They look again; it holds no queue."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Wake all who wait now."""
        told, self._next = self._next, asyncio.Event()
        told.set()

    async def wait(self) -> None:
        """Wait for the next one. Look before: what was swapped earlier is not told again."""
        await self._next.wait()


class TableFollower:
    """The table as this router knows it.

    Args:
        store: The store.
        clock: Waits between attempts to reach it.
        rng: Spreads them.
        read: Reads and checks one document.

    Attributes:
        table: The snapshot in force. Take it once and keep it for the length of a request.
        synced: Set once everything was read for the first time; never cleared, since a table never expires.
        health: How the following itself stands.
    """

    def __init__(self, store: Store, *, clock: Clock, rng: Random, read: Read = documents.read) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._next_table = partial(next_table, read=read)
        self._swaps = Swaps()
        self._listeners: list[Callable[[], None]] = []
        self.table = Table()
        self.synced = asyncio.Event()
        self.health = Health()

    def on_swap(self, tell: Callable[[], None]) -> None:
        """Call `tell` after every swap, on the event loop. It must not block; it looks at `table` itself."""
        self._listeners.append(tell)

    async def run(self) -> None:
        """Follow for ever."""
        batches = follow(self._store, keys.TABLE, clock=self._clock, rng=self._rng, health=self.health)
        async with aclosing(batches):
            async for batch in batches:
                table, decisions = await self._decided(batch)
                self.table = table
                self._tell(decisions)

    async def wait_for(self, revision: int) -> Table:
        """Wait until the table has decided on a revision, and answer it."""
        while self.table.revision < revision:
            await self._swaps.wait()
        return self.table

    async def changed(self, seen: Table) -> Table:
        """Wait until the table is another than the one seen, and answer it."""
        while self.table is seen:
            await self._swaps.wait()
        return self.table

    async def _decided(self, batch: Batch) -> tuple[Table, Decisions]:
        if len(batch.events) > LARGE_BATCH_EVENTS:
            return await asyncio.to_thread(self._next_table, self.table, batch)
        return self._next_table(self.table, batch)

    def _tell(self, decisions: Decisions) -> None:
        _applied.set(self.table.revision)
        _refusals.set(len(self.table.refusals))
        for refusal in decisions.refused:
            _refused.add(1, {"reason": refusal.reason.partition(":")[0]})
            _log.error(
                "document refused",
                key=refusal.key,
                workload=refusal.workload,
                reason=refusal.reason,
                revision=refusal.revision,
            )
        for workload in decisions.mended:
            _log.info("workload mended", workload=workload, revision=self.table.revision)
        for name in decisions.applied:
            _log.info("table changed", name=name, revision=self.table.revision)
        self.synced.set()
        self._swaps.tell()
        for tell in self._listeners:
            tell()
