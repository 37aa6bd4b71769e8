"""What the memory store knows and how it changes: revisions, history, compaction, leases. Pure.

`memory.py` calls it and adds waiting. Time is an argument: seconds of a monotonic clock.
"""

import copy
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from enchain.chains.errors import OurError, PreconditionError
from enchain.state.position import in_key_order
from enchain.state.store import (
    OPS_MAX,
    Batch,
    Compare,
    CompareTarget,
    Delete,
    Event,
    EventKind,
    Get,
    KeyValue,
    Op,
    Put,
    Txn,
    TxnResult,
    is_prefix,
)

FIRST_REVISION = 1
"""An empty etcd is at revision 1 too."""


def lies_under(key: str, name: str) -> bool:
    """Say whether a key is meant by a prefix, or by the name of one key."""
    return key.startswith(name) if is_prefix(name) else key == name


@dataclass(slots=True)
class LeaseState:
    """A lease: how long it was granted for, when it ends, what it holds."""

    ttl_seconds: int
    ends_at: float
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True)
class MemoryState:
    """All keys and leases at the newest revision, and the history since the last compaction.

    Attributes:
        revision: The newest revision.
        compacted: What came before this revision is forgotten.
        items: The keys now.
        base: The keys as they were at `compacted`.
        history: One batch per revision from `compacted` on.
        leases: The leases that have not ended.
        last_lease: The id given last.
    """

    revision: int = FIRST_REVISION
    compacted: int = 0
    items: dict[str, KeyValue] = field(default_factory=dict)
    base: dict[str, KeyValue] = field(default_factory=dict)
    history: list[Batch] = field(default_factory=list)
    leases: dict[int, LeaseState] = field(default_factory=dict)
    last_lease: int = 0

    def copy(self) -> Self:
        """Answer a copy that changes apart, as a backup does."""
        return copy.deepcopy(self)

    def as_of(self, revision: int) -> dict[str, KeyValue]:
        """Answer the keys as they were at a revision that is not compacted."""
        if revision >= self.revision:
            return self.items
        found = dict(self.base)
        for batch in self.since(self.compacted + 1):
            if batch.revision > revision:
                break
            _replay(found, batch)
        return found

    def since(self, revision: int) -> list[Batch]:
        """Answer the history from a revision on."""
        return self.history[bisect_left(self.history, revision, key=_revision_of) :]

    def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction.

        Raises:
            OurError: It writes a key twice or has too many operations.
            PreconditionError: A lease that it names is gone.
        """
        for branch in (txn.success, txn.otherwise):
            _check_branch(branch, len(txn.compares))
        succeeded = all(self._holds(compare) for compare in txn.compares)
        taken = txn.success if succeeded else txn.otherwise
        for op in taken:
            if isinstance(op, Put) and op.lease and op.lease not in self.leases:
                raise PreconditionError(f"lease {op.lease} is gone", reason="LEASE_GONE")
        got = self._apply(taken)
        return TxnResult(succeeded, self.revision, got)

    def grant(self, ttl_seconds: int, now: float) -> int:
        """Begin a lease and answer its id."""
        self.last_lease += 1
        self.leases[self.last_lease] = LeaseState(ttl_seconds, now + ttl_seconds)
        return self.last_lease

    def renew(self, lease: int, now: float) -> int:
        """Begin a lease's time anew; answer its seconds, or 0 where it is gone."""
        found = self.leases.get(lease)
        if found is None:
            return 0
        found.ends_at = now + found.ttl_seconds
        return found.ttl_seconds

    def end_lease(self, lease: int) -> None:
        """End a lease and delete its keys, in one revision; nothing where it is gone."""
        found = self.leases.pop(lease, None)
        if found is not None:
            self._apply([Delete(key) for key in sorted(found.keys)])

    def expire(self, now: float) -> None:
        """End the leases whose time is over."""
        for lease in [lease for lease, each in self.leases.items() if each.ends_at <= now]:
            self.end_lease(lease)

    def compact(self, revision: int) -> None:
        """Forget what keys were before a revision."""
        assert self.compacted < revision <= self.revision, "etcd refuses that too"
        self.base = dict(self.as_of(revision))
        self.history = self.since(revision)
        self.compacted = revision

    def _holds(self, compare: Compare) -> bool:
        item = self.items.get(compare.key)
        match compare.target:
            case CompareTarget.MOD_REVISION:
                found = item.mod_revision if item else 0
            case CompareTarget.CREATE_REVISION:
                found = item.create_revision if item else 0
            case CompareTarget.VERSION:
                found = item.version if item else 0
        return found == compare.equals

    def _apply(self, ops: Iterable[Op]) -> tuple[KeyValue | None, ...]:
        """Do the operations at the next revision; answer what the reads among them found."""
        revision = self.revision + 1
        events: list[Event] = []
        got: list[KeyValue | None] = []
        for op in ops:
            match op:
                case Put():
                    events.append(self._put(op, revision))
                case Delete():
                    events.extend(self._delete(op, revision))
                case Get(key):
                    got.append(self.items.get(key))
        if events:
            self.revision = revision
            self.history.append(Batch(revision, in_key_order(events)))
        return tuple(got)

    def _put(self, put: Put, revision: int) -> Event:
        old = self.items.get(put.key)
        if old is not None:
            self._detach(old)
        item = KeyValue(
            put.key,
            put.value,
            create_revision=old.create_revision if old else revision,
            mod_revision=revision,
            version=old.version + 1 if old else 1,
            lease=put.lease,
        )
        self.items[put.key] = item
        if put.lease:
            self.leases[put.lease].keys.add(put.key)
        return Event(EventKind.PUT, item)

    def _delete(self, delete: Delete, revision: int) -> list[Event]:
        keys = [key for key in self.items if delete.prefix and key.startswith(delete.key)]
        if not delete.prefix and delete.key in self.items:
            keys = [delete.key]
        for key in keys:
            self._detach(self.items.pop(key))
        return [Event(EventKind.DELETE, deleted(key, revision)) for key in keys]

    def _detach(self, item: KeyValue) -> None:
        lease = self.leases.get(item.lease)
        if lease is not None:
            lease.keys.discard(item.key)


def deleted(key: str, revision: int) -> KeyValue:
    """Answer how a deleted key is told."""
    return KeyValue(key, b"", create_revision=0, mod_revision=revision, version=0)


def without_value(item: KeyValue) -> KeyValue:
    """Answer a key as it is told where only keys were asked for."""
    return replace(item, value=b"")


def _replay(items: dict[str, KeyValue], batch: Batch) -> None:
    for event in batch.events:
        if event.kind is EventKind.PUT:
            items[event.item.key] = event.item
        else:
            items.pop(event.item.key, None)


def _check_branch(ops: Sequence[Op], compares: int) -> None:
    """Refuse what etcd refuses."""
    if max(len(ops), compares) > OPS_MAX:
        raise OurError(
            f"a transaction has {len(ops)} operations and {compares} compares, of {OPS_MAX}",
            reason="BAD_TRANSACTION",
        )
    puts = [op.key for op in ops if isinstance(op, Put)]
    deletes = [op for op in ops if isinstance(op, Delete)]
    overlaps = any(
        put == each.key or (each.prefix and put.startswith(each.key)) for put in puts for each in deletes
    )
    if len(set(puts)) < len(puts) or overlaps:
        raise OurError("a transaction writes a key twice", reason="BAD_TRANSACTION")


def _revision_of(batch: Batch) -> int:
    return batch.revision
