"""The Store port in memory: the fake that ships, with the whole meaning of the real thing.

Tests, simulations and engine authors use it. It keeps revisions, history, compaction, leases and watches
as etcd does, and passes the same conformance suite. It forgets everything when its process ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from enchain.chains.errors import UnavailableError
from enchain.process.clock import Clock, SystemClock
from enchain.state.memory_state import MemoryState, lies_under, without_value
from enchain.state.store import (
    Batch,
    CompactedError,
    DisplacedError,
    KeyValue,
    Listing,
    StoreStatus,
    Txn,
    TxnResult,
)


class MemoryStore:
    """A `Store` in memory.

    Args:
        clock: Ends leases; None takes the system's.
        cluster_id: Which cluster it says it is.
    """

    def __init__(self, *, clock: Clock | None = None, cluster_id: int = 1) -> None:
        self._clock = clock or SystemClock()
        self._cluster_id = cluster_id
        self._state = MemoryState()
        self._generation = 0
        self._changed = asyncio.Event()
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._closed = False

    async def get(self, key: str) -> KeyValue | None:
        """Read one key; None where it does not exist."""
        return self._now().items.get(key)

    async def list(
        self,
        prefix: str,
        *,
        limit: int = 0,
        start_after: str = "",
        revision: int = 0,
        keys_only: bool = False,
    ) -> Listing:
        """Read the keys under a prefix, in key order, as they were at one revision."""
        state = self._now()
        if revision and revision < state.compacted:
            raise CompactedError(state.compacted)
        if revision > state.revision:
            raise UnavailableError(f"the store is at revision {state.revision}", reason="STORE_BEHIND")
        items = state.as_of(revision or state.revision)
        names = sorted(key for key in items if lies_under(key, prefix) and key > start_after)
        taken = names[:limit] if limit else names
        found = tuple(without_value(items[key]) if keys_only else items[key] for key in taken)
        return Listing(
            found, revision or state.revision, more=len(taken) < len(names), cluster_id=self._cluster_id
        )

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction."""
        result = self._now().commit(txn)
        self._wake()
        return result

    async def grant(self, ttl_seconds: int) -> int:
        """Grant a lease and answer its id."""
        lease = self._now().grant(ttl_seconds, self._clock.monotonic())
        self._ending[lease] = asyncio.create_task(
            self._end_in_time(lease), name=f"end lease {lease} of the memory store"
        )
        return lease

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease; answer the seconds it has now, or 0 where it is gone."""
        return self._now().renew(lease, self._clock.monotonic())

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys. A lease that is gone already is no fault."""
        self._now().end_lease(lease)
        self._wake()

    async def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        cluster_id: int = 0,
        heard: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Batch, None]:
        """Deliver all revisions from `start_revision` that change keys under a prefix (or one key)."""
        state, generation, position = self._now(), self._generation, start_revision
        if (cluster_id and cluster_id != self._cluster_id) or start_revision > state.revision + 1:
            raise DisplacedError("the store is another one, or has lost revisions")
        while True:
            if generation != self._generation:
                raise UnavailableError("the watch was cut", reason="STORE_SILENT")
            changed, state = self._changed, self._now()
            if position < state.compacted:
                raise CompactedError(state.compacted)
            heard()
            for batch in state.since(position):
                events = tuple(event for event in batch.events if lies_under(event.item.key, prefix))
                position = batch.revision + 1
                if events:
                    yield Batch(batch.revision, events, newest=state.revision)
                    break  # the caller may have taken its time: look again whether the watch may go on
            else:
                await changed.wait()

    async def status(self) -> StoreStatus:
        """Say what it is."""
        return StoreStatus("memory", self._cluster_id, 1, self._now().revision)

    async def close(self) -> None:
        """End all watches and forget the leases' ends."""
        self._closed = True
        self.cut_watches()
        tasks = list(self._ending.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def compact(self, revision: int) -> None:
        """Forget what keys were before a revision."""
        self._now().compact(revision)
        self._wake()

    def cut_watches(self) -> None:
        """End all watches as a lost connection does."""
        self._generation += 1
        self._wake()

    def backup(self) -> MemoryState:
        """Answer a copy of everything, for `restore`."""
        return self._now().copy()

    def restore(self, backup: MemoryState, *, cluster_id: int | None = None) -> None:
        """Become what a backup holds; later revisions are lost. It may become a new cluster, too."""
        self._state = backup.copy()
        self._cluster_id = self._cluster_id if cluster_id is None else cluster_id
        self.cut_watches()

    def _now(self) -> MemoryState:
        """Answer the state with nothing in it whose lease is over."""
        if self._closed:
            raise UnavailableError("the store is closed", reason="STORE_CLOSED")
        before = self._state.revision
        self._state.expire(self._clock.monotonic())
        if self._state.revision != before:
            self._wake()
        return self._state

    def _wake(self) -> None:
        """Let the watches look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _end_in_time(self, lease: int) -> None:
        """Make the end of a lease seen without anybody calling."""
        try:
            while (found := self._state.leases.get(lease)) is not None:
                left = found.ends_at - self._clock.monotonic()
                if left > 0:
                    await self._clock.sleep(left)
                else:
                    self._now()
        finally:
            self._ending.pop(lease, None)
