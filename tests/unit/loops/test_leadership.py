"""A leader's store: its writes hold only within its term."""

from collections.abc import AsyncIterator

import pytest

from controlplane.loops.leadership import FencedStore, Leadership, LeadershipLostError
from enchain.chains.errors import OurError
from enchain.process.clock import ManualClock
from enchain.state.faults import CutStore
from enchain.state.leases import Lease
from enchain.state.memory import MemoryStore
from enchain.state.store import Delete, Get, Put, Store, Txn, absent, put

KEY = "/enchain/v1/live/leader/test"
WRITE = Txn(success=(Put("/written", b"1"),))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def leadership(memory_store: MemoryStore, clock: ManualClock) -> AsyncIterator[Leadership]:
    """A term that has just begun."""
    async with Lease(memory_store, 20, clock=clock, name="a test") as lease:
        revision = await put(memory_store, [Put(KEY, b"me", lease.id)])
        yield Leadership(KEY, revision, lease)


@pytest.fixture
def fenced(memory_store: MemoryStore, leadership: Leadership) -> FencedStore:
    return FencedStore(memory_store, leadership)


async def displace(store: Store) -> int:
    """Elect another one; answer the revision."""
    await store.commit(Txn(success=(Delete(KEY),)))
    return await put(store, [Put(KEY, b"another")])


async def test_a_leader_writes(memory_store: MemoryStore, fenced: FencedStore) -> None:
    result = await fenced.commit(WRITE)

    assert result.succeeded
    assert await memory_store.get("/written") is not None


async def test_a_deposed_leader_writes_nothing(
    memory_store: MemoryStore, fenced: FencedStore, leadership: Leadership
) -> None:
    revision = await displace(memory_store)

    with pytest.raises(LeadershipLostError):
        await fenced.commit(WRITE)

    assert (await memory_store.status()).revision == revision
    assert (leadership.over.is_set(), leadership.reason) == (True, "another one was elected")


async def test_a_leader_whose_key_is_gone_writes_nothing(
    memory_store: MemoryStore, fenced: FencedStore
) -> None:
    await memory_store.commit(Txn(success=(Delete(KEY),)))

    with pytest.raises(LeadershipLostError, match="its key is gone"):
        await fenced.commit(WRITE)

    assert await memory_store.get("/written") is None


async def test_a_condition_of_its_own_that_fails_is_told_as_everywhere(
    memory_store: MemoryStore, fenced: FencedStore, leadership: Leadership
) -> None:
    await put(memory_store, [Put("/there", b"1")])
    guarded = Txn((absent("/there"),), (Put("/written", b"1"),), (Get("/there"), Get("/nowhere")))

    result = await fenced.commit(guarded)

    assert not result.succeeded
    assert [item.key if item else None for item in result.got] == ["/there", None]
    assert not leadership.over.is_set()


async def test_what_it_reads_in_a_transaction_is_told_as_everywhere(
    memory_store: MemoryStore, fenced: FencedStore
) -> None:
    await put(memory_store, [Put("/there", b"1")])

    result = await fenced.commit(Txn(success=(Get("/nowhere"), Get("/there"))))

    assert [item.key if item else None for item in result.got] == [None, "/there"]


@pytest.mark.parametrize("op", [Put("/written", b"1"), Delete("/there")])
async def test_a_write_where_compares_fail_is_refused_since_no_fence_would_hold_it(
    memory_store: MemoryStore, fenced: FencedStore, op: Put | Delete
) -> None:
    before = (await memory_store.status()).revision

    with pytest.raises(OurError, match="only read"):
        await fenced.commit(Txn((absent("/there"),), (), (op,)))

    assert (await memory_store.status()).revision == before


async def test_a_leader_whose_lease_may_be_over_does_not_even_ask(
    memory_store: MemoryStore, leadership: Leadership, clock: ManualClock
) -> None:
    cut = CutStore(memory_store)
    fenced = FencedStore(cut, leadership)
    await clock.asleep()
    cut.cut()
    clock.advance(18)  # one keepalive comes due; the lease's own store still answers it, in a moment

    with pytest.raises(LeadershipLostError, match="may be over"):
        await fenced.commit(WRITE)


async def test_a_term_that_is_over_never_comes_back(leadership: Leadership) -> None:
    leadership.end("a first reason")
    leadership.end("a second one")

    assert leadership.reason == "a first reason"
    assert leadership.remaining() == 0
    with pytest.raises(LeadershipLostError, match="a first reason"):
        leadership.check()


async def test_reads_go_through_after_the_term_too(
    memory_store: MemoryStore, fenced: FencedStore, leadership: Leadership
) -> None:
    await put(memory_store, [Put("/there/a", b"1")])
    leadership.end("a test")

    assert await fenced.get("/there/a") is not None
    assert len((await fenced.list("/there/")).items) == 1
    assert (await fenced.status()).version == "memory"


async def test_a_loop_holds_no_lease_of_its_own(fenced: FencedStore) -> None:
    for call in (fenced.grant(5), fenced.keep_alive(1), fenced.revoke(1)):
        with pytest.raises(OurError):
            await call


async def test_closing_it_leaves_the_store_open(memory_store: MemoryStore, fenced: FencedStore) -> None:
    await fenced.close()

    assert (await memory_store.status()).version == "memory"
