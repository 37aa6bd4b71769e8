"""Real replicas on real etcd: leaders are killed amid folding, and arms count every outcome just once."""

import asyncio
from functools import partial

from controlplane.experiments.outcomes import OutcomeReader, Statistics
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Store
from tests.harness.outbox import Entry, waiting, write
from tests.harness.outcomes import CANCELLED, FAILED, SUCCEEDED, assigned
from tests.harness.replicas import Replicas, leading
from tests.harness.waiting import eventually

ENTRIES = 3000
ARMS = ("control", "quick")
NAMES = ("one", "two", "three")


def outcome(number: int) -> Entry:
    """One of two arms; some fail, some are cancelled."""
    state = FAILED if number % 23 == 0 else CANCELLED if number % 91 == 0 else SUCCEEDED
    return assigned(
        number,
        arm=ARMS[number % 3 % 2],
        state=state,
        seconds=1 + number % 97 / 10,
        cost=0.001 * (number % 13),
        code="NO_QUOTA" if state == FAILED else "",
        measures={"size": number % 17 / 7},
    )


async def statistics(store: Store, arm: str) -> Statistics:
    item = await store.get(keys.learned("experiments", f"site/faster.1.{arm}"))
    return decode(Statistics, item.value, key=item.key) if item is not None else Statistics()


async def counted(store: Store) -> int:
    """How many outcomes are in both arms."""
    return sum([(await statistics(store, arm)).operations for arm in ARMS])


async def test_leaders_killed_amid_folding_leave_no_outcome_out_and_none_twice(
    replicas: Replicas, store: Store
) -> None:
    entries = [outcome(number) for number in range(ENTRIES)]
    running = {name: await replicas.start(name) for name in NAMES}

    async def writing() -> None:
        for start in range(0, ENTRIES, 50):
            await write(store, entries[start : start + 50])

    task = asyncio.create_task(writing(), name="write entries")
    for share in (ENTRIES // 10, ENTRIES // 2):
        await eventually(partial(reached, store, share), within=60)
        leader = await leading(store)
        if leader in running:
            await running.pop(leader).kill()
    await task
    assert len(running) == 1, "two leaders were killed"

    await eventually(lambda: emptied(store), within=90)
    reader = OutcomeReader()
    for arm in ARMS:
        subject = f"site/faster.1.{arm}"
        mine = [entry for entry in entries if entry.arm == arm]
        assert encode(await statistics(store, arm)) == encode(reader.fold(reader.empty(subject), mine))
    assert await counted(store) == ENTRIES


async def reached(store: Store, count: int) -> bool:
    """Whether so many were counted."""
    return await counted(store) >= count


async def emptied(store: Store) -> bool:
    """Whether all was folded."""
    return not await waiting(store)
