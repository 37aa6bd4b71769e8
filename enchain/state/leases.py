"""Keeping one lease alive, and knowing how long it certainly still stands.

Routers, engine instances and the control plane's leader hold one each. Whoever acts under a lease asks
`remaining` before each thing that only its holder may do. It counts from *before* the keepalive that was
last acknowledged was
sent: etcd began the lease's time anew some time after that, so the lease stands at least as long as we think.
"""

import asyncio
from types import TracebackType
from typing import Self

from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.state.store import Store

RENEWALS_PER_TTL = 3
"""A lease is renewed so often within its time, so that two keepalives may fail."""

RETRIES_PER_TTL = 20
"""A keepalive that failed is sent again after this part of the lease's time."""


class Lease:
    """One lease, kept alive by a task of its own from `start` to `stop`.

    Args:
        store: The store.
        ttl_seconds: The lease's time. etcd raises very short ones to about its election timeout.
        clock: Measures it.
        name: Whose lease it is, for the task's name.

    Attributes:
        lost: Set when the store said that the lease is gone: its keys are deleted, and it never comes
        back. Not
            set while the store is merely silent; `remaining` tells of that.
        last_error: Why the last keepalive failed; empty while all is well.
    """

    def __init__(self, store: Store, ttl_seconds: int, *, clock: Clock, name: str) -> None:
        self._store = store
        self.ttl_seconds = ttl_seconds
        self._clock = clock
        self._name = name
        self._id = 0
        self._expires_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()
        self.last_error = ""

    @property
    def id(self) -> int:
        """The id to put keys under."""
        assert self._id, "the lease is not granted yet"
        return self._id

    async def start(self) -> int:
        """Get the lease, begin to keep it alive, and answer its id.

        Raises:
            UnavailableError: There is no store.
            UnsettledError: The store did not answer. A lease that nobody knows ends by itself.
        """
        assert self._task is None, "a lease is started once"
        before = self._clock.monotonic()
        self._id = await self._store.grant(self.ttl_seconds)
        self._expires_at = before + self.ttl_seconds
        self._task = asyncio.create_task(self._keep_alive(), name=f"keep the lease of {self._name} alive")
        return self._id

    def remaining(self, monotonic: float | None = None) -> float:
        """Answer for how many seconds the lease certainly stands; 0 or less where it may be gone.

        Args:
            monotonic: The clock's monotonic seconds; None reads the clock.
        """
        if self.lost.is_set():
            return 0.0
        return self._expires_at - (self._clock.monotonic() if monotonic is None else monotonic)

    async def stop(self, *, revoke: bool = True) -> None:
        """Stop keeping it alive and, unless told otherwise, end it, which deletes its keys.

        A store that cannot be reached is no fault here: the lease then ends by itself.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._id and revoke and not self.lost.is_set():
            try:
                await self._store.revoke(self._id)
            except EnchainError as error:
                self.last_error = str(error)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _keep_alive(self) -> None:
        """Renew until the lease is gone."""
        while True:
            acknowledged = not self.last_error
            await self._clock.sleep(
                self.ttl_seconds / (RENEWALS_PER_TTL if acknowledged else RETRIES_PER_TTL)
            )
            before = self._clock.monotonic()
            try:
                seconds = await self._store.keep_alive(self._id)
            except EnchainError as error:
                self.last_error = str(error)
                continue
            if seconds == 0:
                self.last_error = "the store said that the lease is gone"
                self.lost.set()
                return
            self.last_error = ""
            self._expires_at = before + min(seconds, self.ttl_seconds)
