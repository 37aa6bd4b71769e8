"""The router's one lease: its owner keys and its presence stand under it.

The router owns the task `run`. A lease that is gone is replaced by another; everything that stood under
the old one belongs to others then.
"""

from collections.abc import Awaitable, Callable
from random import Random

from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state.follow import full_jitter
from enchain.state.leases import Lease
from enchain.state.store import Store

_log = get_logger(__name__)
_lost = meter(__name__).create_counter(
    "enchain.router.leases_lost", "{lease}", "Leases that this router lost."
)

Then = Callable[[], Awaitable[None]]


class RouterLease:
    """A lease that is replaced when it is lost.

    Args:
        store: Grants.
        ttl_seconds: How long it outlives its router.
        clock: Time.
        rng: Jitter.
        name: The router's name.
    """

    def __init__(self, store: Store, ttl_seconds: int, *, clock: Clock, rng: Random, name: str) -> None:
        self._store = store
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._rng = rng
        self._name = name
        self._lease = Lease(store, ttl_seconds, clock=clock, name=name)

    @property
    def id(self) -> int:
        """The lease's id."""
        return self._lease.id

    def remaining(self) -> float:
        """For how many seconds it certainly stands."""
        return self._lease.remaining()

    def stands(self, lease: int) -> bool:
        """Whether a lease of this router, by id, is neither known to be gone nor replaced by another."""
        return lease == self._lease.id and not self._lease.lost.is_set()

    async def start(self) -> None:
        """Get a lease, however long that takes."""
        failures = 0
        while True:
            lease = Lease(self._store, self._ttl_seconds, clock=self._clock, name=self._name)
            try:
                await lease.start()
            except EnchainError as error:
                failures += 1
                _log.warning("no lease yet", reason=error.message)
                await self._clock.sleep(full_jitter(failures, self._rng))
            else:
                self._lease = lease
                return

    async def run(self, *, on_lost: Then, on_replaced: Then) -> None:
        """Replace the lease whenever it is lost, for ever."""
        while True:
            await self._lease.lost.wait()
            _lost.add(1)
            _log.error("lease lost", router=self._name)
            await on_lost()
            await self._lease.stop(revoke=False)
            await self.start()
            await on_replaced()

    async def stop(self, *, revoke: bool) -> None:
        """Stop keeping it alive; with `revoke`, end it."""
        await self._lease.stop(revoke=revoke)
