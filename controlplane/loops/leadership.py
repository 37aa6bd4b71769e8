"""One term of a leader: how it is fenced, and how its end is told.

The election makes a `Leadership` and hands its loops a `FencedStore`. Every transaction through that
compares the create revision of the leader's key, so that a leader which was deposed and has not noticed yet,
because it was frozen or cut off, can write nothing, however late a write of it arrives.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import NoReturn

from enchain.chains.errors import ConflictError, OurError
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state.leases import Lease
from enchain.state.store import (
    Batch,
    Compare,
    Get,
    KeyValue,
    Listing,
    Store,
    StoreStatus,
    Txn,
    TxnResult,
    created_at,
)

MARGIN_SECONDS = 3.0
"""A leader stops so long before its lease may end, or a quarter of the lease's time where that is less."""

_log = get_logger(__name__)
_refused = meter(__name__).create_counter(
    "enchain.leader.refused_writes", "{transaction}", "Transactions refused because their leader was deposed."
)


class LeadershipLostError(ConflictError):
    """The term is over; nothing was written."""

    default_reason = "LEADERSHIP_LOST"


class Leadership:
    """The term of one leader.

    Args:
        key: The leader's key.
        fence: Its create revision. No other term has the same.
        lease: What the key stands under.

    Attributes:
        over: Set when the term is over. It never comes back.
        reason: Why it is over.
    """

    def __init__(self, key: str, fence: int, lease: Lease) -> None:
        self.key = key
        self.fence = fence
        self._lease = lease
        self._margin = min(MARGIN_SECONDS, lease.ttl_seconds / 4)
        self.over = asyncio.Event()
        self.reason = ""

    def holds(self) -> Compare:
        """Condition of every write of this term."""
        return created_at(self.key, self.fence)

    def remaining(self) -> float:
        """For how many seconds more it may act; 0 or less where it must not."""
        return 0.0 if self.over.is_set() else self._lease.remaining() - self._margin

    def end(self, reason: str) -> None:
        """Say that the term is over. Only the first reason counts."""
        if not self.over.is_set():
            self.reason = reason
            self.over.set()

    def check(self) -> None:
        """Go on only within the term.

        Raises:
            LeadershipLostError: It is over, or its lease may be.
        """
        if self.remaining() <= 0:
            self.end("its lease may be over")
            self.refuse()

    def refuse(self) -> NoReturn:
        """Tell whoever wants to write that the term is over.

        Raises:
            LeadershipLostError: Always.
        """
        _refused.add(1)
        raise LeadershipLostError(f"this replica leads no more: {self.reason}")


class FencedStore:
    """A `Store` whose every transaction holds only within one term.

    Reads and watches go through as they are. Leases are refused: what a loop writes outlives its leader.

    Args:
        store: The store beneath.
        leadership: The term.
    """

    def __init__(self, store: Store, leadership: Leadership) -> None:
        self._store = store
        self._leadership = leadership

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction within the term.

        Raises:
            LeadershipLostError: The term is over; nothing was done.
            UnsettledError: No answer came; it may or may not have been done.
            UnavailableError: It certainly was not done.
            OurError: It would write where its compares fail, which no fence could hold back.
        """
        if not all(isinstance(op, Get) for op in txn.otherwise):
            raise OurError(
                "a leader's transaction may only read where its compares fail", reason="UNFENCED_WRITE"
            )
        self._leadership.check()
        key = self._leadership.key
        fenced = replace(
            txn, compares=(self._leadership.holds(), *txn.compares), otherwise=(Get(key), *txn.otherwise)
        )
        result = await self._store.commit(fenced)
        if result.succeeded:
            return result
        leader, *got = result.got
        if leader is None or leader.create_revision != self._leadership.fence:
            self._leadership.end("another one was elected" if leader else "its key is gone")
            _log.warning("write of a deposed leader refused", fence=self._leadership.fence)
            self._leadership.refuse()
        return replace(result, got=tuple(got))

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        return await self._store.get(key)

    async def list(
        self,
        prefix: str,
        *,
        limit: int = 0,
        start_after: str = "",
        revision: int = 0,
        keys_only: bool = False,
    ) -> Listing:
        """Read the keys under a prefix."""
        return await self._store.list(
            prefix, limit=limit, start_after=start_after, revision=revision, keys_only=keys_only
        )

    def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        cluster_id: int = 0,
        heard: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Batch, None]:
        """Deliver revisions."""
        return self._store.watch(prefix, start_revision, cluster_id=cluster_id, heard=heard)

    async def status(self) -> StoreStatus:
        """Ask the store what it is."""
        return await self._store.status()

    async def grant(self, ttl_seconds: int) -> int:
        """Refuse.

        Raises:
            OurError: Always.
        """
        raise _no_lease(f"a lease of {ttl_seconds} s")

    async def keep_alive(self, lease: int) -> int:
        """Refuse.

        Raises:
            OurError: Always.
        """
        raise _no_lease(f"to renew lease {lease}")

    async def revoke(self, lease: int) -> None:
        """Refuse: it would delete keys, and no fence could hold it back.

        Raises:
            OurError: Always.
        """
        raise _no_lease(f"to end lease {lease}")

    async def close(self) -> None:
        """Do nothing: the store beneath is not the loop's."""


def _no_lease(wanted: str) -> OurError:
    return OurError(f"a leader's loop wants {wanted}, and may hold none", reason="LEASE_IN_LEADER_LOOP")
