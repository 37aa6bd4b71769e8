"""The store of a simulation: the pure state of the memory store, behind messages that get lost or come late.

`StoreServer` is the store itself, which neither fails nor forgets; `StoreLink` is one process's connection
to it and keeps the `Store` port. Everything that is committed is shown to the observers at once, with who
sent it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from enchain.chains.errors import EnchainError, UnavailableError, UnsettledError
from enchain.state.memory_state import MemoryState, lies_under, without_value
from enchain.state.store import Batch, CompactedError, KeyValue, Listing, StoreStatus, Txn, TxnResult
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.trace import Trace
from tests.simulation.weather import CALL_SECONDS, INSTANT_SECONDS, Fate, Weather

Observe = Callable[[Batch, str], None]
"""Told of every revision and of who sent it; `lease` where a lease ended."""

LEASE = "lease"


class StoreServer:
    """The store."""

    def __init__(self, loop: VirtualLoop, trace: Trace) -> None:
        self.loop = loop
        self.trace = trace
        self.state = MemoryState()
        self.observers: list[Observe] = []
        self.watches: list[_Watch] = []
        self.refused = 0

    def do(self, work: Callable[[MemoryState], Any], writer: str) -> Any:
        """Do something, and tell what it changed."""
        self._expire()
        before = self.state.revision
        result = work(self.state)
        self._told(before, writer)
        return result

    def expire_at(self, seconds: float) -> None:
        """Look again when a lease may be over."""
        self.loop.outside(seconds - self.loop.time(), self._expire)

    def _expire(self) -> None:
        before = self.state.revision
        self.state.expire(self.loop.time())
        self._told(before, LEASE)

    def _told(self, before: int, writer: str) -> None:
        if self.state.revision == before:
            return
        for batch in self.state.since(before + 1):
            for observe in self.observers:
                observe(batch, writer)
            for watch in self.watches:
                watch.push(batch)

    def lease_stands(self, lease: int) -> bool:
        """Say whether a lease has not ended."""
        found = self.state.leases.get(lease)
        return found is not None and found.ends_at > self.loop.time()


class _Watch:
    """One watch of one link; batches arrive in order, each after its own delay."""

    def __init__(self, link: "StoreLink", prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._arrival = 0.0
        self.arrived: deque[Batch] = deque()
        self.more = asyncio.Event()
        self.broken = False

    def push(self, batch: Batch) -> None:
        """Send a batch, where it has anything for this watch."""
        prefix = self._prefix
        events = tuple(event for event in batch.events if lies_under(event.item.key, prefix))
        if not events or self.broken:
            return
        loop = self._link.server.loop
        self._arrival = max(self._arrival + INSTANT_SECONDS, loop.time() + self._link.weather.delay())
        self._link.process.later(self._arrival - loop.time(), self._arrive, Batch(batch.revision, events))

    def _arrive(self, batch: Batch) -> None:
        self.arrived.append(batch)
        self.more.set()

    def cut(self) -> None:
        """Break the connection."""
        self.broken = True
        self._link.process.later(0, self.more.set)


class StoreLink:
    """One process's connection to the store.

    Attributes:
        is_cut: No call gets through.
    """

    def __init__(self, server: StoreServer, process: Process, weather: Weather) -> None:
        self.server = server
        self.process = process
        self.weather = weather
        self.is_cut = False
        self._watches: list[_Watch] = []

    # --- messages

    async def _ask(self, work: Callable[[MemoryState], Any]) -> Any:
        """Ask something that changes nothing, or nothing that matters twice."""
        if self.is_cut or self.weather.read_fails():
            await self._silence(self.weather.delay())
            raise UnavailableError("the store cannot be reached", reason="STORE_UNREACHABLE")
        return await self._answered(work, UnavailableError)

    async def _answered(self, work: Callable[[MemoryState], Any], silent: type[EnchainError]) -> Any:
        """Send a question or a change and wait for its answer, but not for ever."""
        there, back = self.weather.delay(), self.weather.delay()
        answer: asyncio.Future[Any] = self.server.loop.create_future()
        self.server.loop.outside(there, self._served, work, answer, back)
        if there + back >= CALL_SECONDS:
            error = silent("the store does not answer", reason="STORE_SILENT")
            self.process.later(CALL_SECONDS, _fail, answer, error)
        return await answer

    def _served(self, work: Callable[[MemoryState], Any], answer: "asyncio.Future[Any]", back: float) -> None:
        """Do it at the server and send the answer back, which the process gets when it runs."""
        try:
            result = self.server.do(work, self.process.name)
        except (EnchainError, CompactedError) as error:
            self.process.later(back, _fail, answer, error)
        else:
            self.process.later(back, _answer, answer, result)

    def _quietly(self, work: Callable[[MemoryState], Any]) -> None:
        """Do what nobody waits for any more."""
        try:
            self.server.do(work, self.process.name)
        except EnchainError as error:
            self.server.trace.add(self.process.name, "store", f"late: {error.reason}")

    async def _silence(self, seconds: float) -> None:
        gone: asyncio.Future[None] = self.server.loop.create_future()
        self.process.later(seconds, _answer, gone, None)
        await gone

    async def _change(self, work: Callable[[MemoryState], Any], what: str) -> Any:
        fate = Fate.REFUSED if self.is_cut else self.weather.fate()
        if fate is Fate.FINE:
            # Where the answer takes too long, nobody knows what became of it.
            return await self._answered(work, UnsettledError)
        self.server.trace.add(self.process.name, "store", f"{what} {fate.value}")
        if fate is Fate.REFUSED:
            await self._silence(self.weather.delay())
            raise UnavailableError("the store cannot be reached", reason="STORE_UNREACHABLE")
        patience = self.weather.given_up_after()
        if fate is Fate.LOST:
            self.server.loop.outside(min(self.weather.delay(), patience), self._quietly, work)
        elif fate is Fate.LATE:
            self.server.loop.outside(patience + self.weather.lateness(), self._quietly, work)
        await self._silence(patience)
        raise UnsettledError("the store did not answer", reason="STORE_UNSETTLED")

    # --- the port

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        found: KeyValue | None = await self._ask(lambda state: state.items.get(key))
        return found

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

        def work(state: MemoryState) -> Listing:
            items = state.as_of(revision or state.revision)
            names = sorted(key for key in items if lies_under(key, prefix) and key > start_after)
            taken = names[:limit] if limit else names
            found = tuple(without_value(items[key]) if keys_only else items[key] for key in taken)
            return Listing(found, revision or state.revision, more=len(taken) < len(names), cluster_id=1)

        listing: Listing = await self._ask(work)
        return listing

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction; its answer may get lost, and it may be done late."""
        result: TxnResult = await self._change(lambda state: self._commit(state, txn), "transaction")
        return result

    def _commit(self, state: MemoryState, txn: Txn) -> TxnResult:
        result = state.commit(txn)
        if not result.succeeded:
            self.server.refused += 1
            self.server.trace.add(self.process.name, "store", "a transaction's conditions do not hold")
        return result

    async def grant(self, ttl_seconds: int) -> int:
        """Grant a lease."""

        def work(state: MemoryState) -> int:
            lease = state.grant(ttl_seconds, self.server.loop.time())
            self.server.expire_at(state.leases[lease].ends_at)
            return lease

        lease: int = await self._ask(work)
        return lease

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease."""

        def work(state: MemoryState) -> int:
            seconds = state.renew(lease, self.server.loop.time())
            if seconds:
                self.server.expire_at(state.leases[lease].ends_at)
            return seconds

        seconds: int = await self._ask(work)
        return seconds

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        await self._ask(lambda state: state.end_lease(lease))

    async def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        cluster_id: int = 0,
        heard: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Batch, None]:
        """Deliver revisions until the connection is cut."""
        del cluster_id
        watch = _Watch(self, prefix)
        if self.is_cut:
            watch.broken = True
        for batch in self.server.state.since(start_revision):
            watch.push(batch)
        self.server.watches.append(watch)
        self._watches.append(watch)
        try:
            while True:
                if watch.broken:
                    raise UnavailableError("the watch was cut", reason="STORE_SILENT")
                heard()
                while watch.arrived:
                    yield watch.arrived.popleft()
                watch.more.clear()
                if not watch.broken:
                    await watch.more.wait()
        finally:
            self._forget(watch)

    def _forget(self, watch: _Watch) -> None:
        for watches in (self.server.watches, self._watches):
            if watch in watches:
                watches.remove(watch)

    async def status(self) -> StoreStatus:
        """Say what it is."""
        return StoreStatus("simulated", 1, 1, self.server.state.revision)

    async def close(self) -> None:
        """Nothing is kept."""

    # --- faults

    def cut(self) -> None:
        """Let no call through, and end the watches."""
        self.is_cut = True
        self.cut_watches()

    def cut_watches(self) -> None:
        """End the watches, as a lost connection does."""
        for watch in self._watches:
            watch.cut()

    def mend(self) -> None:
        """Let calls through again."""
        self.is_cut = False

    def leave(self) -> None:
        """The process is dead: its watches are forgotten."""
        for watch in list(self._watches):
            watch.broken = True
            self._forget(watch)


def _answer(future: "asyncio.Future[Any]", result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def keys_of(batch: Batch) -> Sequence[str]:
    """The keys that a revision changed."""
    return [event.item.key for event in batch.events]
