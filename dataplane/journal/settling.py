"""Committing a transaction whose answer may get lost.

The journal calls it. An answer that is missing is settled by reading, never by sending the transaction
again blindly; it is sent again only where reading shows that it has not been done and its conditions
still hold.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from enchain.chains.errors import PreconditionError, UnavailableError, UnsettledError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state.store import Store, Txn, TxnResult

T = TypeVar("T")

READ_BACKOFF_SECONDS = 0.2
READ_BACKOFF_SECONDS_MAX = 3.0

_log = get_logger(__name__)
_transactions = meter(__name__).create_counter(
    "enchain.journal.transactions", "{transaction}", "Transactions of the journal."
)


class Settler:
    """Commits transactions, and finds out what became of those that nobody answered.

    Args:
        store: The store.
        clock: Waits between readings.
        rng: Jitter.
    """

    def __init__(self, store: Store, clock: Clock, rng: Random) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng

    async def commit(self, txn: Txn, settle: Callable[[], Awaitable[TxnResult | None]]) -> TxnResult:
        """Commit; where no answer comes, ask `settle` for what happened, None meaning that nothing did.

        Raises:
            UnavailableError: It certainly was not done.
        """
        while True:
            _transactions.add(1)
            try:
                return await self._store.commit(txn)
            except PreconditionError as error:
                if error.reason != "LEASE_GONE":
                    raise
                raise UnavailableError(
                    "this router has lost its lease and is getting another",
                    reason="ROUTER_LEASE_LOST",
                    remedy="Ask another router, or try again.",
                    retry_after=0.5,
                ) from error
            except UnsettledError as error:
                _log.warning("transaction unanswered", reason=error.reason)
            found = await self._read(settle)
            if found is not None:
                return found

    async def _read(self, settle: Callable[[], Awaitable[T]]) -> T:
        """Read until there is an answer: the owner can do nothing else before it knows."""
        pause = READ_BACKOFF_SECONDS
        while True:
            try:
                return await settle()
            except (UnavailableError, UnsettledError):
                await self._clock.sleep(pause * self._rng.random())
                pause = min(pause * 2, READ_BACKOFF_SECONDS_MAX)
