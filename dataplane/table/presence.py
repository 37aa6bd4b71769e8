"""What a router says of itself: `live/routers/<id>`, under its lease.

The router's `main` owns the task `run`. It writes the applied revision and the refusals whenever they change,
often enough for a switch to see routers converge, and seldom enough for a storm of changes not to become a
storm of writes: what changes meanwhile is told together. Losing a write is no fault; the next one tells all.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from dataplane.table.following import TableFollower
from enchain.chains.errors import EnchainError
from enchain.chains.names import router_name
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import canonical, encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import origin_pb2, presence_pb2

WRITE_INTERVAL_SECONDS = 0.1
"""The least time between two writes."""

RETRY_SECONDS = 1.0
"""How long to wait after a write that failed."""

REFUSALS_BYTES_MAX = 32 * 1024
"""What refusals may take, half of a value. More of them are left out; the log and the gauge have them all."""

_log = get_logger(__name__)
_failures = meter(__name__).create_counter(
    "enchain.presence.failures", "{write}", "Writes of a router's presence that failed."
)


def those_that_fit(refusals: Sequence[presence_pb2.Refusal]) -> list[presence_pb2.Refusal]:
    """Answer the first refusals, as many as a presence holds; of each workload one before any second."""
    first: dict[str, presence_pb2.Refusal] = {}
    for refusal in refusals:
        first.setdefault(refusal.workload or refusal.key, refusal)
    taken = {refusal.key for refusal in first.values()}
    others = [refusal for refusal in refusals if refusal.key not in taken]
    fitting: list[presence_pb2.Refusal] = []
    left = REFUSALS_BYTES_MAX
    for refusal in [*first.values(), *others]:
        left -= len(canonical(refusal).encode()) + 1
        if left < 0:
            break
        fitting.append(refusal)
    return fitting


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
            refusals=those_that_fit(table.refusals),
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
