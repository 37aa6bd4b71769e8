"""Real replicas on real etcd: the leader is killed amid folding, and profiles count every call just once."""

import asyncio

from controlplane.profiles.reader import ProfileReader
from controlplane.profiles.statistics import Statistics
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from tests.harness.outbox import Entry, learned, waiting, write
from tests.harness.profiles import CLEAN, ended, step
from tests.harness.replicas import Replicas, leading
from tests.harness.waiting import eventually

ENTRIES = 3000
SUBJECTS = ("site/configure.terraform@1.15.0", "site/serve.process@0.1.0")


def operation(number: int) -> Entry:
    """One of two calls, spread over two weeks."""
    configured = step(1 + number % 97 / 10, in_flight=1 + number % 5)
    served = step(0.25, name="serve", engine="process", version="0.1.0")
    if number % 50 == 0:
        served = step(9, name="serve", engine="process", version="0.1.0", outcome=CLEAN, code="NO_PORT")
    return ended(configured, served, hour=number % 336)


async def profile(store: Store, subject: str) -> Statistics:
    item = await store.get(keys.learned("profiles", subject))
    return decode(Statistics, item.value, key=item.key) if item is not None else Statistics()


async def test_a_leader_killed_amid_folding_leaves_no_call_out_and_none_twice(
    replicas: Replicas, store: Store
) -> None:
    first = await replicas.start("one")
    await eventually(lambda: leads(store, "one"), within=30)
    await replicas.start("two")
    entries = [operation(number) for number in range(ENTRIES)]

    async def writing() -> None:
        for start in range(0, ENTRIES, 100):
            await write(store, entries[start : start + 100])

    async def some() -> bool:
        return (await profile(store, SUBJECTS[0])).provision.count > 0

    task = asyncio.create_task(writing(), name="write entries")
    await eventually(some, within=30)
    await first.kill()
    assert 0 < (await profile(store, SUBJECTS[0])).provision.count < ENTRIES, "it was killed amid folding"
    await task

    await eventually(lambda: leads(store, "two"), within=30)
    await eventually(lambda: emptied(store), within=60)
    reader = ProfileReader()
    for subject in SUBJECTS:
        assert await profile(store, subject) == reader.fold(reader.empty(subject), entries)
    assert (await learned(store)).requests == ENTRIES


async def emptied(store: Store) -> bool:
    """Whether all was folded."""
    return not await waiting(store)


async def leads(store: Store, name: str) -> bool:
    """Whether a replica leads."""
    return await leading(store) == name
