"""The follow loop over the memory store, in manual time: what it does after each kind of trouble."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from random import Random

import pytest

from enchain.process.clock import ManualClock
from enchain.state.faults import CutStore
from enchain.state.follow import LONGEST_DELAY_SECONDS, Health, follow, full_jitter
from enchain.state.memory import MemoryStore
from enchain.state.store import Batch, Delete, Put, Store, Txn, put
from tests.harness.waiting import eventually

ROOT = "/followed/"


class Follower:
    """A follow loop in a task, begun when it is first asked, and what it delivered."""

    def __init__(self, store: Store) -> None:
        self.clock = ManualClock()
        self.health = Health()
        self.batches: list[Batch] = []
        self._store = store
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="follow in a test")

    async def _run(self) -> None:
        loop = follow(self._store, ROOT, clock=self.clock, rng=Random(7), health=self.health)
        async with aclosing(loop) as batches:
            async for batch in batches:
                self.batches.append(batch)

    async def delivered(self, count: int) -> list[Batch]:
        """Wait for so many batches, moving the clock wherever the loop waits."""

        def enough() -> bool:
            if self.clock.sleepers:
                self.clock.advance(LONGEST_DELAY_SECONDS)
            return len(self.batches) >= count

        self.start()
        await eventually(enough)
        return self.batches

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    yield store
    await store.close()


@pytest.fixture
async def cuttable(memory: MemoryStore) -> CutStore:
    return CutStore(memory)


@pytest.fixture
async def follower(cuttable: CutStore) -> AsyncIterator[Follower]:
    follower = Follower(cuttable)
    yield follower
    await follower.stop()


async def write(store: Store, **values: str) -> int:
    return await put(store, [Put(f"{ROOT}{key}", value.encode()) for key, value in values.items()])


def told(batch: Batch) -> list[tuple[str, str, bytes]]:
    return [(event.kind.value, event.item.key.removeprefix(ROOT), event.item.value) for event in batch.events]


async def test_it_begins_with_everything_that_is_there(memory: MemoryStore, follower: Follower) -> None:
    revision = await write(memory, a="1", b="1")

    (batch,) = await follower.delivered(1)

    assert batch.resync
    assert batch.revision == revision
    assert told(batch) == [("put", "a", b"1"), ("put", "b", b"1")]
    assert (follower.health.relists, follower.health.reconnects) == (1, 0)


async def test_it_begins_with_an_empty_batch_where_nothing_is_there(follower: Follower) -> None:
    assert await follower.delivered(1) == [Batch(1, (), resync=True)]


async def test_what_happened_while_it_was_cut_off_comes_once_and_in_order(
    memory: MemoryStore, cuttable: CutStore, follower: Follower
) -> None:
    await write(memory, a="1")
    await follower.delivered(1)
    cuttable.cut()
    start = await write(memory, a="2")
    await memory.commit(Txn(success=(Delete(f"{ROOT}a"),)))
    await write(memory, a="3", b="3")
    await eventually(lambda: follower.health.failures > 0)
    assert follower.health.last_error

    cuttable.mend()

    found = (await follower.delivered(4))[1:]
    assert [(batch.revision, batch.resync) for batch in found] == [
        (start, False),
        (start + 1, False),
        (start + 2, False),
    ]
    assert told(found[-1]) == [("put", "a", b"3"), ("put", "b", b"3")]
    assert (follower.health.relists, follower.health.failures) == (1, 0)
    assert follower.health.last_error == ""


async def test_it_waits_for_a_store_that_is_not_there_yet(memory: MemoryStore) -> None:
    cuttable = CutStore(memory)
    cuttable.cut()
    follower = Follower(cuttable)
    follower.start()
    await follower.clock.asleep()
    assert follower.health.silence(follower.clock.monotonic()) == float("inf")
    cuttable.mend()

    assert (await follower.delivered(1))[0].resync

    await follower.stop()


async def test_after_a_compaction_behind_it_only_what_differs_comes(
    memory: MemoryStore, cuttable: CutStore, follower: Follower
) -> None:
    await write(memory, same="1", changed="1", gone="1")
    await follower.delivered(1)
    cuttable.cut()
    await write(memory, changed="2")
    await memory.commit(Txn(success=(Delete(f"{ROOT}gone"),)))
    newest = await write(memory, new="2")
    await memory.compact(newest)
    cuttable.mend()

    found = (await follower.delivered(2))[1]

    assert found.resync
    assert found.revision == newest
    assert told(found) == [("put", "changed", b"2"), ("delete", "gone", b""), ("put", "new", b"2")]
    await write(memory, new="3")
    assert told((await follower.delivered(3))[2]) == [("put", "new", b"3")]


async def test_after_a_restore_from_a_backup_it_holds_what_the_backup_holds(
    memory: MemoryStore, follower: Follower
) -> None:
    await write(memory, a="1", kept="1")
    backup = memory.backup()
    await write(memory, a="2")
    await write(memory, b="2")
    await follower.delivered(1)

    memory.restore(backup)
    restored = await write(memory, a="after")

    found = await follower.delivered(2)
    await eventually(lambda: follower.health.revision == restored)
    state = replay(found)
    assert state == {"a": b"after", "kept": b"1"}
    assert not any("kept" in [key for _, key, _ in told(batch)] for batch in found[1:])


async def test_another_cluster_at_the_same_address_is_noticed_even_if_it_is_ahead(
    memory: MemoryStore, follower: Follower
) -> None:
    empty = memory.backup()
    await write(memory, a="1")
    await follower.delivered(1)
    memory.restore(empty, cluster_id=2)
    for n in range(20):
        newest = await write(memory, b=str(n))

    await eventually(lambda: bool(follower.clock.sleepers))
    await follower.delivered(2)
    await eventually(lambda: follower.health.revision == newest)

    assert replay(follower.batches) == {"b": b"19"}
    assert follower.health.relists == 2


async def test_a_restored_store_that_is_already_past_the_follower_is_noticed(
    memory: MemoryStore, cuttable: CutStore, follower: Follower
) -> None:
    """Its id is the same and its revision is higher: only what it holds tells."""
    await write(memory, kept="1")
    backup = memory.backup()
    await follower.delivered(1)
    await write(memory, a="lost")
    await follower.delivered(2)
    cuttable.cut()
    memory.restore(backup)
    for n in range(20):
        newest = await write(memory, b=str(n))
    cuttable.mend()

    await follower.delivered(3)
    await eventually(lambda: follower.health.revision == newest)

    assert follower.health.relists == 2
    assert replay(follower.batches) == {"kept": b"1", "b": b"19"}


async def test_a_restored_store_is_noticed_also_where_nothing_was_written_at_the_followers_revision(
    memory: MemoryStore, cuttable: CutStore, follower: Follower
) -> None:
    """The follower stands at the revision of its list, at which another key was written."""
    await write(memory, kept="1")
    backup = memory.backup()
    for _ in range(5):
        await put(memory, [Put("/elsewhere/", b"")])
    await follower.delivered(1)
    cuttable.cut()
    memory.restore(backup)
    await write(memory, new="1")
    for _ in range(10):
        newest = await put(memory, [Put("/elsewhere/", b"")])
    cuttable.mend()

    (found,) = (await follower.delivered(2))[1:]

    assert (found.resync, found.revision, told(found)) == (True, newest, [("put", "new", b"1")])


async def test_a_restored_store_in_which_the_lost_change_was_made_anew_otherwise_is_noticed(
    memory: MemoryStore, cuttable: CutStore, follower: Follower
) -> None:
    """Key, revisions and version are the same then; the value is not."""
    await write(memory, kept="1")
    backup = memory.backup()
    lost = await write(memory, a="lost")
    await put(memory, [Put("/elsewhere/", b"")])
    await follower.delivered(1)
    cuttable.cut()
    memory.restore(backup)
    assert await write(memory, a="anew") == lost
    for _ in range(10):
        await put(memory, [Put("/elsewhere/", b"")])
    cuttable.mend()

    (found,) = (await follower.delivered(2))[1:]

    assert (found.resync, told(found)) == (True, [("put", "a", b"anew")])


@pytest.mark.parametrize("last", ["put", "delete", "elsewhere"])
async def test_a_store_that_is_still_the_same_is_not_listed_again(
    memory: MemoryStore, cuttable: CutStore, follower: Follower, last: str
) -> None:
    await write(memory, a="1", b="1")
    await put(memory, [Put("/elsewhere/", b"")])
    await follower.delivered(1)
    if last == "put":
        await write(memory, a="2")
    if last == "delete":
        await memory.commit(Txn(success=(Delete(f"{ROOT}a"),)))
    before = len(await follower.delivered(1 if last == "elsewhere" else 2))
    cuttable.cut()
    await eventually(lambda: follower.health.failures > 0)
    newest = await write(memory, c="3")
    cuttable.mend()

    (found,) = (await follower.delivered(before + 1))[before:]

    assert (found.resync, found.revision) == (False, newest)
    assert follower.health.relists == 1


async def test_signs_of_life_are_dated(memory: MemoryStore, follower: Follower) -> None:
    await follower.delivered(1)
    follower.clock.advance(5)
    assert follower.health.silence(follower.clock.monotonic()) == 5

    await write(memory, a="1")
    await follower.delivered(2)

    assert follower.health.silence(follower.clock.monotonic()) == 0


def test_attempts_are_spread_over_a_time_that_doubles_up_to_a_limit() -> None:
    rng = Random(3)

    for failures, limit in [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 3.0), (500, 3.0)]:
        delays = [full_jitter(failures, rng) for _ in range(300)]
        assert 0 <= min(delays) < limit / 4
        assert limit * 3 / 4 < max(delays) <= limit


def replay(batches: list[Batch]) -> dict[str, bytes]:
    state: dict[str, bytes] = {}
    for batch in batches:
        for kind, key, value in told(batch):
            if kind == "put":
                state[key] = value
            else:
                state.pop(key, None)
    return state
