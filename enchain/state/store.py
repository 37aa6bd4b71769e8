"""The Store port: what enchain needs of a strongly consistent key-value store with leases and watches.

`etcd.py` is the adapter for etcd, `memory.py` the fake that ships beside it; both pass
`tests/conformance/store`. Callers hold a `Store` and nothing else. Keys are str, values bytes.

Rules that every implementation keeps:

* A transaction is never retried blindly. Where its answer is missing it raises `UnsettledError`, and the
  caller settles the matter by reading.
* What cannot be reached raises `UnavailableError`; foreign exceptions stop here.
* A watch delivers whole revisions, in order, each once.
* A prefix ends with a slash (or is empty: everything). Where one is asked for, a name that ends with none
means
  that one key.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as it was at one revision. Revisions are the store's; `version` counts writes since creation."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int = 1
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """Keys under a prefix, sorted by key, as they all were at `revision`.

    `more` is true where a limit cut the list; go on with `start_after` = the last key, at the same revision.
    `cluster_id` says whose revision it is; 0 where that is not known.
    """

    items: tuple[KeyValue, ...]
    revision: int
    more: bool = False
    cluster_id: int = 0


class CompareTarget(Enum):
    """What of a key is compared. A key that does not exist has revisions and version 0."""

    MOD_REVISION = "mod"
    CREATE_REVISION = "create"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition of a transaction: the target of `key` equals `equals`."""

    key: str
    target: CompareTarget
    equals: int


def absent(key: str) -> Compare:
    """Condition: the key does not exist."""
    return Compare(key, CompareTarget.CREATE_REVISION, 0)


def unchanged(key: str, mod_revision: int) -> Compare:
    """Condition: the key was last written at `mod_revision` (0: it does not exist)."""
    return Compare(key, CompareTarget.MOD_REVISION, mod_revision)


def created_at(key: str, create_revision: int) -> Compare:
    """Condition: the key is the one that was created at `create_revision`."""
    return Compare(key, CompareTarget.CREATE_REVISION, create_revision)


@dataclass(frozen=True, slots=True)
class Put:
    """Write a key; `lease` 0 means that it stays until it is deleted."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key, or every key under it where `prefix` is true. Absent keys are no fault."""

    key: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    """Read a key within a transaction."""

    key: str


Op = Put | Delete | Get

OPS_MAX = 128
"""The most operations that a transaction may have in a branch, and compares: etcd's own limit."""


def is_prefix(name: str) -> bool:
    """Say whether a name means all keys under it, or only itself."""
    return not name or name.endswith("/")


@dataclass(frozen=True, slots=True)
class Txn:
    """Atomic: where all `compares` hold, `success` is done, else `otherwise`. At most 128 of each."""

    compares: tuple[Compare, ...] = ()
    success: tuple[Op, ...] = ()
    otherwise: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class TxnResult:
    """What a transaction did.

    Attributes:
        succeeded: All compares held.
        revision: The store's revision after it; the mod revision of all that it wrote.
        got: What the `Get`s of the branch taken read, in order; None for an absent key.
    """

    succeeded: bool
    revision: int
    got: tuple[KeyValue | None, ...] = ()


class EventKind(Enum):
    """What happened to a key."""

    PUT = "put"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Event:
    """One key written or deleted. A deletion has an empty value and the revision of the deletion."""

    kind: EventKind
    item: KeyValue


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one revision changed under a prefix.

    Attributes:
        revision: The revision; greater than that of the batch before.
        events: In key order within the revision, never empty for a revision.
        resync: The follower lost its place and listed again (or has just begun): `events` hold only what
            differs from what was delivered before, and `revision` is that of the list. May be empty then.
        newest: The store's newest revision when it sent this, which may be far ahead. It tells how far
        behind a
            follower is, and is never a position; 0 where that is not known.
    """

    revision: int
    events: tuple[Event, ...] = field(default=())
    resync: bool = False
    newest: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What the store says of itself. `warnings` name what is unsafe about its version."""

    version: str
    cluster_id: int
    member_id: int
    revision: int
    warnings: tuple[str, ...] = ()


class DisplacedError(Exception):
    """A watch's start means nothing here: this is another cluster, or one that lost revisions.

    Only `follow` handles it: list again, compare.
    """


class CompactedError(Exception):
    """A watch or list asked for a revision that is compacted. `follow` handles it: list again, compare."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__(f"compacted up to revision {compact_revision}")
        self.compact_revision = compact_revision


class Store(Protocol):
    """A strongly consistent store. Every call is linearizable unless it says otherwise."""

    async def get(self, key: str) -> KeyValue | None:
        """Read one key; None where it does not exist."""

    async def list(
        self,
        prefix: str,
        *,
        limit: int = 0,
        start_after: str = "",
        revision: int = 0,
        keys_only: bool = False,
    ) -> Listing:
        """Read the keys under a prefix, in key order. `revision` 0 means now; `limit` 0 means all.

        Raises:
            CompactedError: `revision` is compacted.
        """

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction once.

        Raises:
            UnsettledError: No answer came; it may or may not have been done.
            UnavailableError: It certainly was not done.
            PreconditionError: A lease that it names is gone (reason `LEASE_GONE`); nothing was done.
            OurError: It writes a key twice or has too many operations; nothing was done.
        """

    async def grant(self, ttl_seconds: int) -> int:
        """Grant a lease and answer its id."""

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease; answer the seconds it has now, or 0 where it is gone."""

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys. A lease that is gone already is no fault."""

    def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        cluster_id: int = 0,
        heard: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Batch, None]:
        """Deliver all revisions from `start_revision` that change keys under a prefix (or one key).

        It has no buffer of its own: where the caller is slow, the store waits. Close it (`aclose`) when done.

        Args:
            prefix: The prefix, or one key.
            start_revision: The first revision to deliver, as far as it changed anything here.
            cluster_id: The cluster that `start_revision` is of, as a `Listing` told it; 0 where that is
            not known.
            heard: Called whenever the store showed that it is there, also where it had nothing to deliver.

        Raises:
            CompactedError: `start_revision` is compacted.
            DisplacedError: The store is another one, or has lost revisions.
            UnavailableError: The connection is lost. `follow` goes on from where it was.
        """

    async def status(self) -> StoreStatus:
        """Ask the store for its version, cluster and revision."""

    async def close(self) -> None:
        """Give up connections. Leases are left to expire."""


async def put(store: Store, items: Sequence[Put]) -> int:
    """Write keys without a condition, in one transaction; answer the revision."""
    return (await store.commit(Txn(success=tuple(items)))).revision
