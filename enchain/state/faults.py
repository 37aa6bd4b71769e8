"""Stores that fail on purpose, over any other store. They ship with the port, for tests and simulations.

Each is a named kind of trouble that a caller of `Store` must stand. Production code never imports it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from enchain.chains.errors import UnavailableError, UnsettledError
from enchain.state.store import Batch, Get, KeyValue, Listing, Store, StoreStatus, Txn, TxnResult

T = TypeVar("T")


class PassingStore:
    """Hands every call to another store; the others below change one thing each.

    Args:
        store: The store that does the work.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        return await self._pass(self._store.get(key))

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
        listing = self._store.list(
            prefix, limit=limit, start_after=start_after, revision=revision, keys_only=keys_only
        )
        return await self._pass(listing)

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction."""
        return await self._pass(self._store.commit(txn))

    async def grant(self, ttl_seconds: int) -> int:
        """Grant a lease."""
        return await self._pass(self._store.grant(ttl_seconds))

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease."""
        return await self._pass(self._store.keep_alive(lease))

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        await self._pass(self._store.revoke(lease))

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
        return await self._pass(self._store.status())

    async def close(self) -> None:
        """Close the store beneath."""
        await self._store.close()

    async def _pass(self, call: Awaitable[T]) -> T:
        return await call


class LosingStore(PassingStore):
    """Loses the answers of transactions: they are done, and nobody learns it.

    Attributes:
        losing: How many of the next transactions lose their answer.
        about: Only those that write a key with this prefix; empty for all.
        lost: How many did.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.losing = 0
        self.about = ""
        self.lost = 0

    def _loses(self, txn: Txn) -> bool:
        """Say whether this one is lost, and count it."""
        written = [op.key for op in txn.success if not isinstance(op, Get)]
        if not self.losing or (self.about and not any(key.startswith(self.about) for key in written)):
            return False
        self.losing -= 1
        self.lost += 1
        return True

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction, and perhaps lose the answer."""
        result = await super().commit(txn)
        if self._loses(txn):
            raise UnsettledError("the answer was lost on purpose", reason="STORE_UNSETTLED")
        return result


class DroppingStore(LosingStore):
    """Loses transactions themselves: they are not done, and nobody can tell that from a lost answer."""

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction, or lose it."""
        if self._loses(txn):
            raise UnsettledError("the transaction was lost on purpose", reason="STORE_UNSETTLED")
        return await super().commit(txn)


class CutStore(PassingStore):
    """Can be cut off: no call gets through, and open watches end."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._cut = asyncio.Event()

    @property
    def is_cut(self) -> bool:
        """It is cut off now."""
        return self._cut.is_set()

    def cut(self) -> None:
        """Cut it off."""
        self._cut.set()

    def mend(self) -> None:
        """Let calls through again. Watches that ended stay ended."""
        self._cut = asyncio.Event()

    async def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        cluster_id: int = 0,
        heard: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Batch, None]:
        """Deliver revisions until the store is cut off."""
        self._refuse_if_cut()
        batches = self._store.watch(prefix, start_revision, cluster_id=cluster_id, heard=heard)
        async with aclosing(batches):
            while True:
                yield await self._next(batches)

    async def _next(self, batches: AsyncGenerator[Batch, None]) -> Batch:
        """Wait for the next batch, or for the cut."""
        cut = asyncio.create_task(self._cut.wait(), name="wait for a store to be cut off")
        following = asyncio.ensure_future(anext(batches))
        try:
            await asyncio.wait([following, cut], return_when=asyncio.FIRST_COMPLETED)
            if cut.done():
                raise UnavailableError("the store was cut off on purpose", reason="STORE_SILENT")
            return following.result()
        finally:
            cut.cancel()
            following.cancel()
            await asyncio.wait([following, cut])

    async def _pass(self, call: Awaitable[T]) -> T:
        if self.is_cut:
            if asyncio.iscoroutine(call):
                call.close()
            self._refuse_if_cut()
        return await call

    def _refuse_if_cut(self) -> None:
        if self.is_cut:
            raise UnavailableError("the store is cut off on purpose", reason="STORE_UNREACHABLE")
