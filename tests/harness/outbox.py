"""Outbox entries for tests of folding, and what was learned of them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ulid import ULID

from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import OPS_MAX, Delete, Put, Store, Txn, put
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


def folds(txn: Txn) -> bool:
    """Whether a transaction takes entries out of the outbox."""
    return any(isinstance(op, Delete) and op.key.startswith(keys.OUTBOX) for op in txn.success)
