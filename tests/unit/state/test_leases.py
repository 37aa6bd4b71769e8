"""A lease and how long it certainly stands, in manual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from enchain.process.clock import ManualClock
from enchain.state.faults import CutStore, PassingStore
from enchain.state.leases import Lease
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, Store, put
from tests.harness.waiting import eventually

TTL = 9


class SlowStore(PassingStore):
    """A store whose keepalives take a while, on a clock of ours."""

    def __init__(self, store: Store, clock: ManualClock, seconds: float) -> None:
        super().__init__(store)
        self._clock = clock
        self._seconds = seconds

    async def keep_alive(self, lease: int) -> int:
        answer = await super().keep_alive(lease)
        self._clock.advance(self._seconds)
        return answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    """A store whose leases do not age, so that only the holder's own clock speaks."""
    store = MemoryStore(clock=ManualClock())
    yield store
    await store.close()


async def test_a_lease_that_is_acknowledged_stands_for_its_whole_time(
    memory: MemoryStore, clock: ManualClock
) -> None:
    async with Lease(memory, TTL, clock=clock, name="a test") as lease:
        assert lease.remaining() == TTL
        for _ in range(5):
            await clock.asleep()
            clock.advance(3)
            await eventually(lambda: lease.remaining() == TTL)
        assert not lease.lost.is_set()


async def test_the_time_counts_from_before_the_keepalive_was_sent(
    memory: MemoryStore, clock: ManualClock
) -> None:
    slow = SlowStore(memory, clock, 2)
    async with Lease(slow, TTL, clock=clock, name="a test") as lease:
        await clock.asleep()
        clock.advance(3)
        await clock.asleep()

        assert lease.remaining() == TTL - 2


async def test_while_the_store_is_silent_the_time_runs_out_and_the_lease_is_not_called_lost(
    memory: MemoryStore, clock: ManualClock
) -> None:
    cuttable = CutStore(memory)
    async with Lease(cuttable, TTL, clock=clock, name="a test") as lease:
        cuttable.cut()
        for _ in range(12):
            await clock.asleep()
            clock.advance(1)
        await clock.asleep()

        assert lease.remaining() == TTL - 12
        assert lease.last_error
        assert not lease.lost.is_set()

        cuttable.mend()
        clock.advance(TTL / 20)
        await eventually(lambda: lease.remaining() == pytest.approx(TTL))
        assert lease.last_error == ""


async def test_a_lease_that_the_store_ended_is_lost_for_good(memory: MemoryStore, clock: ManualClock) -> None:
    lease = Lease(memory, TTL, clock=clock, name="a test")
    await lease.start()
    await memory.revoke(lease.id)
    await clock.asleep()
    clock.advance(3)

    await asyncio.wait_for(lease.lost.wait(), 10)

    assert lease.remaining() == 0
    await lease.stop()


async def test_stopping_ends_the_lease_and_deletes_its_keys(memory: MemoryStore, clock: ManualClock) -> None:
    async with Lease(memory, TTL, clock=clock, name="a test") as lease:
        await put(memory, [Put("/presence", b"here", lease.id)])
        assert await memory.get("/presence") is not None

    assert await memory.get("/presence") is None


async def test_stopping_without_revoking_leaves_the_keys_until_the_lease_ends(
    memory: MemoryStore, clock: ManualClock
) -> None:
    lease = Lease(memory, TTL, clock=clock, name="a test")
    await lease.start()
    await put(memory, [Put("/presence", b"here", lease.id)])

    await lease.stop(revoke=False)

    assert await memory.get("/presence") is not None


async def test_stopping_without_a_store_is_no_fault(memory: MemoryStore, clock: ManualClock) -> None:
    cuttable = CutStore(memory)
    lease = Lease(cuttable, TTL, clock=clock, name="a test")
    await lease.start()
    cuttable.cut()

    await lease.stop()

    assert lease.last_error
