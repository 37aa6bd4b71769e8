"""Writes a run's history, and reads back from etcd what really became of it.

A run owns one. What etcd acknowledged must be in the history that it tells afterwards, at that revision; what
went unanswered may be there as a whole, or not at all.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.following.lives import Life
from benchmarks.following.planning import Change
from enchain.chains.errors import PreconditionError, UnavailableError, UnsettledError
from enchain.state.etcd import EtcdStore
from enchain.state.store import Batch, Delete, EventKind, Op, Put, Txn

WRITERS = 16
PAUSE_SECONDS = 0.02


@dataclass(slots=True)
class Written:
    """What became of the history, as the writer was told.

    Attributes:
        changes: Every change that was sent, by its number.
        acknowledged: By revision, in the present life: the number of the change that it was.
        unanswered: How many changes nobody answered.
        leased: How many stood under a lease.
    """

    changes: dict[int, Change] = field(default_factory=dict)
    acknowledged: dict[int, int] = field(default_factory=dict)
    unanswered: int = 0
    leased: int = 0


class Writer:
    """Writes changes below a root, several at a time.

    Args:
        store: Goes straight to the servers.
        root: Where to write.
    """

    def __init__(self, store: EtcdStore, root: str) -> None:
        self._store = store
        self._root = root
        self.written = Written()
        self.done = 0

    async def write(self, changes: Sequence[Change]) -> None:
        """Send every change once; what certainly was not done is sent again."""
        waiting = deque(changes)

        async def some() -> None:
            while waiting:
                await self._write(waiting.popleft())
                self.done += 1

        async with asyncio.TaskGroup() as group:
            for n in range(min(WRITERS, len(changes))):
                group.create_task(some(), name=f"writer {n}")

    def has_done(self, count: float) -> bool:
        """Say whether so many changes were sent and answered, or given up."""
        return self.done >= count

    async def mark(self, name: str) -> int:
        """Write a key that nothing else writes, and answer its revision."""
        key = f"{self._root}{name}"
        while True:
            try:
                await self._store.commit(Txn(success=(Put(key, b"mark"),)))
                item = await self._store.get(key)
            except (UnavailableError, UnsettledError):
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if item is not None:
                return item.mod_revision

    async def _write(self, change: Change) -> None:
        self.written.changes[change.number] = change
        while True:
            try:
                lease = await self._store.grant(change.ttl_seconds) if change.ttl_seconds else 0
                result = await self._store.commit(Txn(success=self._ops(change, lease)))
            except UnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
            except PreconditionError:
                return  # its lease ended before it could be used
            except UnsettledError:
                self.written.unanswered += 1
                return
            else:
                self.written.leased += bool(lease)
                if change.puts and not change.elsewhere:
                    self.written.acknowledged[result.revision] = change.number
                return

    def _ops(self, change: Change, lease: int) -> tuple[Op, ...]:
        root = f"/elsewhere{self._root}" if change.elsewhere else self._root
        puts = [Put(f"{root}{key}", value, lease) for key, value in change.puts]
        deletes = [Delete(f"{root}{key}", prefix=key.endswith("/")) for key in change.deletes]
        return (*puts, *deletes)


def check_history(life: Life, written: Written, root: str) -> str:
    """Answer what is wrong with the store itself: its history against what the writer was told. Pure."""
    found: dict[int, int] = {}
    for batch in life.batches:
        number = _number(batch)
        if number is None:
            continue
        puts = {e.item.key: e.item.value for e in batch.events if e.kind is EventKind.PUT}
        if puts != {f"{root}{key}": value for key, value in written.changes[number].puts}:
            return f"etcd tells revision {batch.revision} in part, or mixed with another"
        found[batch.revision] = number
    lost = {r: n for r, n in written.acknowledged.items() if found.get(r) != n}
    if lost:
        return f"etcd lost what it acknowledged: revisions {sorted(lost)[:5]}"
    if len(set(found.values())) < len(found):
        return "etcd did a transaction twice"
    return ""


def _number(batch: Batch) -> int | None:
    """Answer the change that a revision is of; None for marks and for what has nothing but deletions."""
    for event in batch.events:
        if event.kind is EventKind.PUT and event.item.value != b"mark":
            return int(event.item.value.partition(b".")[0])
    return None
