"""Folding the outbox exactly once, whatever becomes of transactions, and past whatever cannot be folded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.outbox import OutboxLoop
from controlplane.loops.readers import Reader
from controlplane.loops.refusing import CHARACTERS_MAX, KEPT_MAX
from enchain.chains.errors import UnavailableError
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.faults import CutStore, PassingStore
from enchain.state.memory import MemoryStore
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import learned_pb2
from tests.harness.fates import CrashError, Fate, FatefulStore, MeddledStore
from tests.harness.metering import recorded
from tests.harness.outbox import (
    START,
    Entry,
    HurriedClock,
    Statistics,
    counted,
    entry,
    folds,
    key_of,
    learned,
    waiting,
    write,
)
from tests.harness.waiting import eventually

T = TypeVar("T")

RATES = RequestRateReader()


def folding(*readers: Reader) -> OutboxLoop:
    """A loop for which no time passes."""
    clock = HurriedClock(START + timedelta(days=3))
    return OutboxLoop(readers or (RATES,), clock=clock, rng=Random(0))


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    """Let a loop run on a store, and end it."""
    loop = OutboxLoop((RATES,), clock=SystemClock(), rng=Random(0), gather_seconds=0)
    task = asyncio.create_task(loop.run(store), name="fold in a test")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def refused(store: Store) -> dict[str, learned_pb2.RefusedValue]:
    """What was set aside, by where it lay."""
    items = (await store.list(keys.REFUSED)).items
    values = [decode(learned_pb2.RefusedValue, item.value, key=item.key) for item in items]
    return {value.key: value for value in values}


async def test_entries_are_counted_and_leave_the_outbox(memory_store: MemoryStore) -> None:
    await write(memory_store, [*(entry(minute) for minute in range(120)), entry(workload="shop")])

    await folding().sweep(memory_store)

    assert await waiting(memory_store) == 0
    assert list((await learned(memory_store)).provisions) == [1] * 120
    assert (await learned(memory_store, "shop")).requests == 1


async def test_a_batch_takes_one_transaction(memory_store: MemoryStore) -> None:
    await write(memory_store, [entry() for _ in range(101)])
    before = (await memory_store.status()).revision

    await folding().sweep(memory_store)

    assert (await memory_store.status()).revision == before + 3


@settings(max_examples=150, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 3000), max_size=110),
    fates=st.lists(st.sampled_from(Fate), max_size=10),
)
def test_every_entry_counts_once_whatever_becomes_of_the_transactions(
    minutes: list[int], fates: list[Fate]
) -> None:
    entries = [entry(minute) for minute in minutes]
    clock = HurriedClock(START + timedelta(days=3))

    async def check() -> None:
        memory = MemoryStore()
        await write(memory, entries)
        store = FatefulStore(memory, fates, folds)
        while await waiting(memory):
            with contextlib.suppress(CrashError, UnavailableError):
                # Whoever dies is followed by another one, that knows nothing.
                await OutboxLoop((RATES,), clock=clock, rng=Random(0)).sweep(store)
        await store.arrive()

        expected = RATES.fold(RATES.empty("site"), entries) if entries else Statistics()
        assert await learned(memory) == expected
        assert await waiting(memory) == 0
        await memory.close()

    asyncio.run(check())


class YieldingStore(PassingStore):
    """A store at which callers take turns."""

    async def _pass(self, call: Awaitable[T]) -> T:
        await asyncio.sleep(0)
        return await call


async def test_two_that_fold_at_the_same_time_count_every_entry_once(memory_store: MemoryStore) -> None:
    await write(memory_store, [entry(minute) for minute in range(400)])
    store = YieldingStore(memory_store)

    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(folding().sweep(store), name=f"folder {number}")

    statistics = await learned(memory_store)
    assert (counted(statistics), statistics.requests) == (400, 400)
    assert await waiting(memory_store) == 0


async def test_what_comes_later_is_folded_too(memory_store: MemoryStore) -> None:
    async with running(memory_store):
        for total in (3, 6, 9):
            await write(memory_store, [entry() for _ in range(3)])
            await eventually(lambda total=total: _has(memory_store, total))  # type: ignore[misc]  # bound at once


async def _has(store: Store, requests: int) -> bool:
    return (await learned(store)).requests == requests and await waiting(store) == 0


async def test_a_store_that_is_away_for_a_while_costs_nothing(memory_store: MemoryStore) -> None:
    store = CutStore(memory_store)
    async with running(store):
        await write(memory_store, [entry()])
        await eventually(lambda: _has(memory_store, 1))
        store.cut()
        await write(memory_store, [entry() for _ in range(60)])
        store.mend()
        await eventually(lambda: _has(memory_store, 61))


async def test_a_running_loop_finds_again_what_it_could_not_fold(memory_store: MemoryStore) -> None:
    store = FatefulStore(memory_store, concerns=folds)
    async with running(store):
        await write(memory_store, [entry()])
        await eventually(lambda: _has(memory_store, 1))
        store.fates = [Fate.REFUSED, Fate.DROPPED, Fate.LATE, Fate.REFUSED]
        await write(memory_store, [entry() for _ in range(120)])
        await eventually(lambda: _has(memory_store, 121))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "MALFORMED_VALUE"),
        (b"{", "MALFORMED_VALUE"),
        (b"\xff\xfe", "MALFORMED_VALUE"),
        (b'{"colour": "red"}', "MALFORMED_VALUE"),
        (b'{"workload": "workloads/site"}', "NO_TIME"),
        (b'{"workload": "workloads/site", "createTime": "9999-01-01T00:00:00Z"}', "IMPOSSIBLE_TIME"),
        (b'{"workload": "Nonsense", "createTime": "2026-03-01T12:00:00Z"}', "NO_WORKLOAD"),
        (b'{"x": "' + b"\x01" * 60_000, "MALFORMED_VALUE"),
    ],
)
async def test_a_poisonous_entry_is_set_aside_and_blocks_nothing(
    memory_store: MemoryStore, content: bytes, reason: str
) -> None:
    before = recorded("enchain.folding.refused", reason=reason)
    poison = keys.outbox("00000000000000000000000000")
    await put(memory_store, [Put(poison, content)])
    await write(memory_store, [entry() for _ in range(60)])

    await folding().sweep(memory_store)

    assert await _has(memory_store, 60)
    aside = (await refused(memory_store))[poison]
    assert aside.reason == reason
    assert recorded("enchain.folding.refused", reason=reason) == before + 1
    assert aside.value == content.decode(errors="replace")[:CHARACTERS_MAX]
    assert aside.truncated == (len(content) > CHARACTERS_MAX)


class TrippingReader(RequestRateReader):
    """Trips over the entries of some operations.

    Args:
        stones: Those.
        folding: It trips when folding, else when asked for subjects.
    """

    def __init__(self, stones: Sequence[Entry], *, folding: bool) -> None:
        self._stones = stones
        self._folding = folding

    def subjects(self, entry: Entry) -> tuple[str, ...]:
        if not self._folding:
            self._trip([entry])
        return tuple(super().subjects(entry))

    def fold(self, statistics: Statistics, entries: Sequence[Entry]) -> Statistics:
        if self._folding:
            self._trip(entries)
        return super().fold(statistics, entries)

    def _trip(self, entries: Sequence[Entry]) -> None:
        if any(each in self._stones for each in entries):
            raise ZeroDivisionError("a fault of the reader")


@pytest.mark.parametrize("folding_trips", [False, True])
async def test_entries_on_which_a_reader_trips_are_found_and_set_aside(
    memory_store: MemoryStore, folding_trips: bool
) -> None:
    entries = [entry() for _ in range(70)]
    stones = [entries[3], entries[4], entries[60]]
    await write(memory_store, entries)

    await folding(TrippingReader(stones, folding=folding_trips)).sweep(memory_store)

    assert await _has(memory_store, 67)
    assert {key: each.reason for key, each in (await refused(memory_store)).items()} == {
        key_of(stone): "FOLDING_FAILED" for stone in stones
    }


async def test_an_entry_that_was_set_aside_can_be_put_back(memory_store: MemoryStore) -> None:
    mended = entry()
    await put(memory_store, [Put(key_of(mended), b"{")])
    await folding().sweep(memory_store)

    await put(memory_store, [Put(key_of(mended), encode(mended))])
    await folding().sweep(memory_store)

    assert await _has(memory_store, 1)


async def test_statistics_that_cannot_be_read_are_set_aside_and_begun_anew(
    memory_store: MemoryStore,
) -> None:
    broken = keys.learned("request-rate", "site")
    await put(memory_store, [Put(broken, b"oops")])
    await write(memory_store, [entry(), entry(workload="shop")])

    await folding().sweep(memory_store)

    assert (await learned(memory_store)).requests == (await learned(memory_store, "shop")).requests == 1
    assert (await refused(memory_store))[broken].value == "oops"


async def test_an_edit_in_between_is_not_overwritten(memory_store: MemoryStore) -> None:
    async def edit() -> None:
        edited = Statistics(workload="workloads/site", requests=1000)
        await put(memory_store, [Put(keys.learned("request-rate", "site"), encode(edited))])

    await write(memory_store, [entry()])

    await folding().sweep(MeddledStore(memory_store, edit, folds))

    assert await _has(memory_store, 1001)


async def test_an_entry_that_was_pruned_in_between_is_not_counted(memory_store: MemoryStore) -> None:
    entries = [entry() for _ in range(5)]
    await write(memory_store, entries)

    async def prune() -> None:
        await memory_store.commit(Txn(success=(Delete(key_of(entries[2])),)))

    await folding().sweep(MeddledStore(memory_store, prune, folds))

    assert await _has(memory_store, 4)


async def test_an_entry_that_was_edited_in_between_counts_as_it_is(memory_store: MemoryStore) -> None:
    edited = entry()
    await write(memory_store, [edited, entry()])

    async def edit() -> None:
        edited.workload = "workloads/shop"
        await write(memory_store, [edited])

    await folding().sweep(MeddledStore(memory_store, edit, folds))
    await folding().sweep(memory_store)

    assert await _has(memory_store, 1)
    assert (await learned(memory_store, "shop")).requests == 1


async def test_of_what_is_set_aside_only_the_newest_is_kept(memory_store: MemoryStore) -> None:
    for number in reversed(range(KEPT_MAX + 3)):
        await put(memory_store, [Put(f"{keys.REFUSED}outbox/{number:05}", b"{}")])

    await folding().sweep(memory_store)

    kept = [item.key[-5:] for item in (await memory_store.list(keys.REFUSED)).items]
    assert (len(kept), kept[0], kept[-1]) == (KEPT_MAX, "00000", "00999")


async def test_what_was_folded_and_what_went_wrong_is_counted(memory_store: MemoryStore) -> None:
    names = ("entries", "transactions", "unsettled", "conflicts")
    before = {name: recorded(f"enchain.folding.{name}") for name in names}
    await write(memory_store, [entry() for _ in range(75)])

    await folding().sweep(FatefulStore(memory_store, [Fate.UNANSWERED, Fate.DROPPED], folds))

    counts = {name: recorded(f"enchain.folding.{name}") - before[name] for name in names}
    assert counts == {"entries": 75, "transactions": 2, "unsettled": 2, "conflicts": 1}
