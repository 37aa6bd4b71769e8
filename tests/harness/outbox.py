"""Outbox entries for tests of folding, what was learned of them, and a store that loses transactions."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum

from ulid import ULID

from enchain.chains.errors import UnavailableError, UnsettledError
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.faults import PassingStore
from enchain.state.store import OPS_MAX, Delete, Put, Store, Txn, TxnResult, put
from enchain.v1 import learned_pb2, operation_pb2

Entry = operation_pb2.OutboxEntry
Statistics = learned_pb2.RequestRateStatistics

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""The minute in which the first entries were admitted."""


def entry(
    minute: int = 0,
    *,
    workload: str = "site",
    verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
) -> Entry:
    """What an operation leaves that was admitted so many minutes after the start."""
    made = Entry(
        operation=f"tenants/default/operations/{ULID()}",
        verb=verb,
        state=operation_pb2.Operation.STATE_SUCCEEDED,
        tenant="default",
        workload=f"workloads/{workload}",
    )
    admitted = START + timedelta(minutes=minute, seconds=20)
    made.create_time.FromDatetime(admitted)
    made.end_time.FromDatetime(admitted + timedelta(seconds=10))
    return made


def key_of(made: Entry) -> str:
    """Where an entry lies."""
    return keys.outbox(made.operation.rpartition("/")[2])


async def write(store: Store, entries: Sequence[Entry]) -> None:
    """Put entries into the outbox, as many in a transaction as it takes."""
    for start in range(0, len(entries), OPS_MAX):
        some = entries[start : start + OPS_MAX]
        await put(store, [Put(key_of(each), encode(each)) for each in some])


async def waiting(store: Store) -> int:
    """How many entries are in the outbox."""
    return len((await store.list(keys.OUTBOX, keys_only=True)).items)


async def learned(store: Store, workload: str = "site") -> Statistics:
    """The request rate of a workload."""
    item = await store.get(keys.learned("request-rate", workload))
    return decode(Statistics, item.value, key=item.key) if item is not None else Statistics()


def counted(statistics: Statistics) -> int:
    """How many requests the minutes of statistics hold."""
    return sum(statistics.provisions) + sum(statistics.updates) + sum(statistics.deprovisions)


class HurriedClock(ManualClock):
    """A clock on which nobody waits: sleeping moves it on."""

    async def sleep(self, seconds: float) -> None:
        """Be woken at the next turn of the loop, later."""
        self.advance(max(seconds, 0))
        await asyncio.sleep(0)


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
    """

    def __init__(
        self, store: Store, fates: Iterable[Fate] = (), concerns: Callable[[Txn], bool] = lambda _: True
    ) -> None:
        super().__init__(store)
        self._fates = list(fates)
        self._concerns = concerns
        self.late: list[Txn] = []

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction, or not."""
        if not self._concerns(txn):
            return await super().commit(txn)
        fate = self._fates.pop(0) if self._fates else Fate.DONE
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


def folds(txn: Txn) -> bool:
    """Whether a transaction takes entries out of the outbox."""
    return any(isinstance(op, Delete) and op.key.startswith(keys.OUTBOX) for op in txn.success)
