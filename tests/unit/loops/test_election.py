"""Who leads: one at a time, noticed when it ends, and never two whose loops run in one term."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from controlplane.loops.election import LEADER_KEY, Election, LeaderLoop
from controlplane.loops.leadership import LeadershipLostError
from enchain.process.clock import Clock, ManualClock, SystemClock
from enchain.state.faults import CutStore
from enchain.state.memory import MemoryStore
from enchain.state.store import Delete, KeyValue, Put, Store, Txn, put
from tests.harness.fates import Fate, FatefulStore, MeddledStore
from tests.harness.metering import recorded
from tests.harness.waiting import eventually

TTL = 20


class Witness:
    """A loop that does nothing but tell when it runs.

    Args:
        failures: How often it fails before it runs.
        slow_end: What it waits for when it is cancelled.
    """

    name = "witness"

    def __init__(self, failures: int = 0, slow_end: asyncio.Event | None = None) -> None:
        self.failures = failures
        self.slow_end = slow_end
        self.running = 0
        self.ending = 0
        self.terms = 0
        self.store: Store | None = None

    async def run(self, store: Store) -> None:
        self.terms += 1
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError("a fault of the loop")
        self.running += 1
        self.store = store
        try:
            await asyncio.Event().wait()
        finally:
            self.ending += 1
            if self.slow_end is not None:
                await self.slow_end.wait()
            self.ending -= 1
            self.running -= 1


class Replicas:
    """Starts and stops replicas."""

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, store: Store, *loops: LeaderLoop, clock: Clock | None = None) -> None:
        election = Election(
            store, name, f"{name}:7400", ttl_seconds=TTL, clock=clock or SystemClock(), rng=Random(0)
        )
        self.tasks[name] = asyncio.create_task(election.run(loops), name=f"election of {name}")

    async def stop(self, name: str) -> None:
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def replicas() -> AsyncIterator[Replicas]:
    replicas = Replicas()
    yield replicas
    for name in list(replicas.tasks):
        await replicas.stop(name)


def runs(witness: Witness, terms: int = 1) -> Callable[[], bool]:
    """Whether a witness runs, in that term of its."""
    return lambda: witness.running == 1 and witness.terms == terms


async def leader(store: Store) -> KeyValue | None:
    return await store.get(LEADER_KEY)


async def test_one_leads_and_the_others_stand_by(memory_store: MemoryStore, replicas: Replicas) -> None:
    first, second = Witness(), Witness()
    replicas.start("one", memory_store, first)
    await eventually(runs(first))
    replicas.start("two", memory_store, second)
    for _ in range(50):
        await asyncio.sleep(0)

    assert (first.running, second.terms) == (1, 0)


async def test_who_leads_can_be_read(memory_store: MemoryStore, replicas: Replicas) -> None:
    witness = Witness()
    replicas.start("one", memory_store, witness)
    await eventually(runs(witness))

    item = await leader(memory_store)

    assert item is not None
    assert item.lease
    told = json.loads(item.value)
    assert told.pop("time")
    assert told == {"name": "controlplanes/one", "address": "one:7400"}


async def test_a_leader_that_stops_hands_the_office_on_at_once(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    first, second = Witness(), Witness()
    replicas.start("one", memory_store, first)
    await eventually(runs(first))
    replicas.start("two", memory_store, second)

    await replicas.stop("one")

    await eventually(runs(second))
    assert first.running == 0


async def test_a_leader_that_dies_is_followed_when_its_lease_is_over(replicas: Replicas) -> None:
    clock = ManualClock()
    memory = MemoryStore(clock=clock)
    dead = CutStore(memory)
    first, second = Witness(), Witness()
    # Its own clock stands still, as that of a frozen process does.
    replicas.start("one", dead, first, clock=ManualClock())
    await eventually(runs(first))
    replicas.start("two", memory, second, clock=clock)
    dead.cut()

    await clock.asleep()
    clock.advance(TTL)

    await eventually(runs(second))
    await memory.close()


async def test_a_leader_that_is_cut_off_ends_its_loops_before_its_lease_is_over(replicas: Replicas) -> None:
    clock = ManualClock()
    memory = MemoryStore(clock=clock)
    cut = CutStore(memory)
    witness = Witness()
    replicas.start("one", cut, witness, clock=clock)
    await eventually(runs(witness))
    before = await leader(memory)
    cut.cut()

    for _ in range(TTL - 3):
        clock.advance(1)
        await asyncio.sleep(0)
    await eventually(lambda: witness.running == 0)

    assert await leader(memory) == before, "the key must still stand when the loops have ended"
    await replicas.stop("one")
    await memory.close()


async def test_a_leader_that_was_cut_off_gives_its_office_up_as_soon_as_it_can(replicas: Replicas) -> None:
    clock = ManualClock()
    memory = MemoryStore(clock=ManualClock())  # leases that do not age, as after a failover
    cut = CutStore(memory)
    first, second = Witness(), Witness()
    replicas.start("one", cut, first, clock=clock)
    await eventually(runs(first))
    replicas.start("two", memory, second)
    cut.cut()
    for _ in range(TTL):
        clock.advance(1)
        await asyncio.sleep(0)
    await eventually(lambda: first.running == 0)
    for _ in range(50):  # it has tried by now, in vain
        await asyncio.sleep(0)

    cut.mend()

    def one_of_them_leads() -> bool:
        clock.advance(1)
        return first.running + second.running == 1

    await eventually(one_of_them_leads)
    await memory.close()


async def test_deleting_the_key_ends_the_term(memory_store: MemoryStore, replicas: Replicas) -> None:
    witness = Witness()
    replicas.start("one", memory_store, witness)
    await eventually(runs(witness))
    before = await leader(memory_store)
    assert before is not None

    await memory_store.commit(Txn(success=(Delete(LEADER_KEY),)))

    await eventually(runs(witness, terms=2))
    after = await leader(memory_store)
    assert after is not None
    assert after.create_revision > before.create_revision
    assert after.lease != before.lease


async def test_a_replica_stands_again_only_when_its_loops_have_ended(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    ended = asyncio.Event()
    witness = Witness(slow_end=ended)
    replicas.start("one", memory_store, witness)
    await eventually(runs(witness))

    await memory_store.commit(Txn(success=(Delete(LEADER_KEY),)))
    await eventually(lambda: witness.ending == 1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert await leader(memory_store) is None
    ended.set()

    await eventually(runs(witness, terms=2))


async def test_the_store_of_a_term_that_is_over_writes_nothing_in_the_next_one(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    witness = Witness()
    replicas.start("one", memory_store, witness)
    await eventually(runs(witness))
    old = witness.store
    assert old is not None
    await memory_store.commit(Txn(success=(Delete(LEADER_KEY),)))
    await eventually(runs(witness, terms=2))

    with pytest.raises(LeadershipLostError):
        await put(old, [Put("/written", b"1")])

    assert await memory_store.get("/written") is None


def creates(txn: Txn) -> bool:
    """Whether a transaction elects somebody."""
    return any(isinstance(op, Put) and op.key == LEADER_KEY for op in txn.success)


async def test_an_election_that_was_won_without_an_answer_is_not_held_again(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    witness = Witness()
    before = (await memory_store.status()).revision

    replicas.start("one", FatefulStore(memory_store, [Fate.UNANSWERED], creates), witness)

    await eventually(runs(witness))
    assert (await memory_store.status()).revision == before + 1


@pytest.mark.parametrize("fates", [[], [Fate.DROPPED], [Fate.LATE]])
async def test_a_replica_that_another_one_outran_does_not_lead(
    memory_store: MemoryStore, replicas: Replicas, fates: list[Fate]
) -> None:
    async def outrun() -> None:
        await put(memory_store, [Put(LEADER_KEY, b"{}")])

    witness = Witness()
    unlucky = FatefulStore(memory_store, fates, creates)
    replicas.start("one", MeddledStore(unlucky, outrun, creates), witness)

    await eventually(lambda: leader(memory_store))
    for _ in range(100):
        await asyncio.sleep(0)
    await unlucky.arrive()

    assert witness.terms == 0
    item = await leader(memory_store)
    assert item is not None
    assert item.value == b"{}"


@pytest.mark.parametrize("fate", [Fate.UNANSWERED, Fate.DROPPED, Fate.LATE, Fate.REFUSED])
async def test_an_election_without_an_answer_is_settled_by_reading(
    memory_store: MemoryStore, replicas: Replicas, fate: Fate
) -> None:
    witness = Witness()
    store = FatefulStore(memory_store, [fate], creates)

    replicas.start("one", store, witness)

    await eventually(runs(witness))
    item = await leader(memory_store)
    assert item is not None
    assert json.loads(item.value)["name"] == "controlplanes/one"


async def test_a_loop_that_fails_gives_the_office_up_and_the_replica_goes_on(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    before = recorded("enchain.leader.loop_failures")
    witness, other = Witness(failures=2), Witness()
    replicas.start("one", memory_store, witness, other)

    await eventually(runs(witness, terms=3))

    assert other.running == 1
    assert recorded("enchain.leader.loop_failures") == before + 2


class Deposed(Witness):
    """A loop that learns of the end of its first term by a write of its.

    Args:
        memory: The store, to depose it in.
    """

    def __init__(self, memory: Store) -> None:
        super().__init__()
        self._memory = memory

    async def run(self, store: Store) -> None:
        if not self.terms:
            self.terms += 1
            await self._memory.commit(Txn(success=(Delete(LEADER_KEY),)))
            await put(store, [Put("/written", b"1")])
        await super().run(store)


class Ending(Witness):
    """A loop that ends by itself in its first term, as none should."""

    async def run(self, store: Store) -> None:
        if self.terms:
            await super().run(store)
        self.terms += 1


async def test_a_loop_that_ends_within_the_term_has_failed(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    before = recorded("enchain.leader.loop_failures")
    witness = Ending()
    replicas.start("one", memory_store, witness)

    await eventually(runs(witness, terms=2))

    assert recorded("enchain.leader.loop_failures") == before + 1


async def test_a_loop_that_finds_its_write_refused_is_no_failure(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    before = recorded("enchain.leader.loop_failures")
    witness = Deposed(memory_store)

    replicas.start("one", memory_store, witness)

    await eventually(runs(witness, terms=2))
    assert recorded("enchain.leader.loop_failures") == before
    assert await memory_store.get("/written") is None


async def test_whether_a_replica_leads_is_on_its_metrics_page(
    memory_store: MemoryStore, replicas: Replicas
) -> None:
    before, terms = recorded("enchain.leader.leading"), recorded("enchain.leader.terms")
    witness = Witness()
    replicas.start("one", memory_store, witness)
    await eventually(runs(witness))
    assert recorded("enchain.leader.leading") == before + 1

    await replicas.stop("one")

    assert recorded("enchain.leader.leading") == before
    assert recorded("enchain.leader.terms") == terms + 1
