"""What a router says of itself: `live/routers/<id>`, under its lease.

The router's `main` owns the task `run`. It writes the applied revision and the refusals whenever they change,
often enough for a switch to see routers converge, and seldom enough for a storm of changes not to become a
storm of writes: what changes meanwhile is told together. Losing a write is no fault; the next one tells all.
"""

import asyncio
from typing import Protocol

from dataplane.table.following import TableFollower
from enchain.chains.errors import EnchainError
from enchain.chains.names import router_name
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import VALUE_BYTES_MAX, encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import origin_pb2, presence_pb2

WRITE_INTERVAL_SECONDS = 0.1
"""The least time between two writes."""

RETRY_SECONDS = 1.0
"""How long to wait after a write that failed."""

REFUSALS_MAX = 100
"""More of them are counted and left out: 100 at 400 characters stay well below the size of a value."""

_log = get_logger(__name__)
_failures = meter(__name__).create_counter(
    "enchain.presence.failures", "{write}", "Writes of a router's presence that failed."
)

assert REFUSALS_MAX * 600 < VALUE_BYTES_MAX, "a presence must always fit"


class HeldLease(Protocol):
    """The part of a lease that is needed here."""

    @property
    def id(self) -> int:
        """The lease's id."""


class Presence:
    """Tells the others what this router follows.

    Args:
        store: The store.
        lease: The router's lease; `hold` another when it is replaced.
        router_id: The router's id.
        address: Where it serves.
        follower: Whose table it tells about.
        clock: Paces the writes and dates the start.
        locality: Where the router runs.
    """

    def __init__(
        self,
        store: Store,
        lease: HeldLease,
        router_id: str,
        address: str,
        follower: TableFollower,
        *,
        clock: Clock,
        locality: origin_pb2.Locality | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._key = keys.router(router_id)
        self._name = router_name(router_id)
        self._address = address
        self._follower = follower
        self._clock = clock
        self._locality = locality
        self._started = clock.now()
        self._draining = False
        self._changed = asyncio.Event()
        self._written: tuple[presence_pb2.RouterPresence, int] | None = None
        follower.on_swap(self._changed.set)

    @property
    def revision(self) -> int:
        """The applied revision that was told last; 0 where nothing was told yet."""
        return self._written[0].applied_revision if self._written else 0

    def hold(self, lease: HeldLease) -> None:
        """Go on under another lease: the old one took the key with it."""
        self._lease = lease
        self._changed.set()

    def drain(self) -> None:
        """Say from now on that this router admits nothing new."""
        self._draining = True
        self._changed.set()

    async def run(self) -> None:
        """Write it now and whenever it changes, for ever."""
        while True:
            self._changed.clear()  # before looking, so that no change falls in between
            wanted = (self._message(), self._lease.id)
            if wanted == self._written:
                await self._changed.wait()
            elif await self._put(*wanted):
                self._written = wanted
                await self._clock.sleep(WRITE_INTERVAL_SECONDS)
            else:
                await self._clock.sleep(RETRY_SECONDS)

    async def withdraw(self) -> None:
        """Delete the key, once `run` has ended. Where the store is gone, the lease's end does it."""
        try:
            await self._store.commit(Txn(success=(Delete(self._key),)))
        except EnchainError as error:
            _log.warning("presence not withdrawn", key=self._key, reason=error.message)

    def _message(self) -> presence_pb2.RouterPresence:
        table = self._follower.table
        message = presence_pb2.RouterPresence(
            name=self._name,
            address=self._address,
            applied_revision=table.revision,
            refusals=table.refusals[:REFUSALS_MAX],
            draining=self._draining,
        )
        message.start_time.FromDatetime(self._started)
        if self._locality is not None:
            message.locality.CopyFrom(self._locality)
        return message

    async def _put(self, message: presence_pb2.RouterPresence, lease: int) -> bool:
        try:
            await put(self._store, [Put(self._key, encode(message), lease)])
        except EnchainError as error:
            _failures.add(1, {"reason": error.reason})
            _log.warning("presence not written", key=self._key, reason=error.message)
            return False
        return True
