"""Stores whose transactions meet a fate, for tests of whoever must be exact all the same."""

from collections.abc import Awaitable, Callable, Iterable
from enum import Enum

from enchain.chains.errors import UnavailableError, UnsettledError
from enchain.state.faults import PassingStore
from enchain.state.store import Store, Txn, TxnResult


class Fate(Enum):
    """What becomes of a transaction."""

    DONE = "done"
    REFUSED = "it is not done, and that is known"
    DROPPED = "it is not done, and nobody knows"
    UNANSWERED = "it is done, and nobody knows"
    LATE = "nobody knows, and it is done before the next one, if it still can be"
    CRASH = "it is done, and whoever sent it dies"


class CrashError(Exception):
    """The process died."""


class FatefulStore(PassingStore):
    """A store whose transactions meet their fates in order; then all are done.

    Args:
        store: The store beneath.
        fates: What becomes of each.
        concerns: Which transactions they are for; the others are done.

    Attributes:
        fates: What will become of the next ones.
        late: Transactions that have not arrived yet.
    """

    def __init__(
        self, store: Store, fates: Iterable[Fate] = (), concerns: Callable[[Txn], bool] = lambda _: True
    ) -> None:
        super().__init__(store)
        self.fates = list(fates)
        self._concerns = concerns
        self.late: list[Txn] = []

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction, or not."""
        if not self._concerns(txn):
            return await super().commit(txn)
        fate = self.fates.pop(0) if self.fates else Fate.DONE
        if fate is not Fate.LATE:
            await self.arrive()
        if fate is Fate.REFUSED:
            raise UnavailableError("refused on purpose", reason="STORE_UNREACHABLE")
        if fate is Fate.LATE:
            self.late.append(txn)
        if fate in {Fate.LATE, Fate.DROPPED}:
            raise UnsettledError("lost on purpose", reason="STORE_UNSETTLED")
        result = await super().commit(txn)
        if fate is Fate.CRASH:
            raise CrashError
        if fate is Fate.UNANSWERED:
            raise UnsettledError("its answer was lost on purpose", reason="STORE_UNSETTLED")
        return result

    async def arrive(self) -> None:
        """Let what is late arrive now."""
        late, self.late = self.late, []
        for txn in late:
            await super().commit(txn)


class MeddledStore(PassingStore):
    """A store in which somebody does something just before the first transaction of a kind.

    Args:
        store: The store beneath.
        meddle: What is done.
        concerns: Before which transaction.
    """

    def __init__(
        self, store: Store, meddle: Callable[[], Awaitable[object]], concerns: Callable[[Txn], bool]
    ) -> None:
        super().__init__(store)
        self._meddle = [meddle]
        self._concerns = concerns

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction."""
        if self._meddle and self._concerns(txn):
            await self._meddle.pop()()
        return await super().commit(txn)
