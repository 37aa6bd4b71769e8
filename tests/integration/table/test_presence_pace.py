"""How often a router writes its presence: what changes meanwhile is told together.

In time that stands still, on the memory store, so that every write can be counted.
"""

import asyncio
from random import Random

from dataplane.table.following import TableFollower
from dataplane.table.presence import RETRY_SECONDS, WRITE_INTERVAL_SECONDS, Presence
from enchain.process.clock import ManualClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, Store, put
from enchain.v1 import presence_pb2
from tests.harness.tables import whole_workload
from tests.harness.waiting import eventually


class HeldLease:
    """A lease that the store has granted."""

    def __init__(self, lease: int) -> None:
        self.id = lease


async def written(store: Store) -> tuple[int, presence_pb2.RouterPresence]:
    """How often the presence was written since it was there, and what it says."""
    item = await store.get(keys.router("r"))
    assert item is not None
    return item.version, decode(presence_pb2.RouterPresence, item.value)


async def test_a_storm_of_changes_is_two_writes(memory_store: MemoryStore) -> None:
    clock = ManualClock()
    follower = TableFollower(memory_store, clock=clock, rng=Random(1))
    lease = HeldLease(await memory_store.grant(60))
    presence = Presence(memory_store, lease, "r", "127.0.0.1:1", follower, clock=clock)
    async with Tasks() as tasks:
        tasks.start("follow the table", follower.run())
        await follower.synced.wait()
        tasks.start("write the presence", presence.run())
        await eventually(lambda: presence.revision == follower.table.revision)
        await eventually(lambda: clock.sleepers)

        for number in range(30):
            revision = await put(
                memory_store, [Put(key, value) for key, value in whole_workload(f"w{number}").items()]
            )
        await follower.wait_for(revision)
        assert (await written(memory_store))[0] == 1

        clock.advance(WRITE_INTERVAL_SECONDS)
        await eventually(lambda: presence.revision == revision)
        version, message = await written(memory_store)
        assert (version, message.applied_revision) == (2, revision)


async def test_a_write_that_fails_is_tried_again(memory_store: MemoryStore) -> None:
    clock = ManualClock()
    follower = TableFollower(memory_store, clock=clock, rng=Random(1))
    lease = HeldLease(404)
    presence = Presence(memory_store, lease, "r", "127.0.0.1:1", follower, clock=clock)
    async with Tasks() as tasks:
        tasks.start("write the presence", presence.run())
        await clock.asleep()
        assert await memory_store.get(keys.router("r")) is None

        lease.id = await memory_store.grant(60)
        clock.advance(RETRY_SECONDS)

        async def there() -> bool:
            return await memory_store.get(keys.router("r")) is not None

        assert await eventually(there)


async def test_only_so_many_refusals_are_told_that_a_presence_fits(memory_store: MemoryStore) -> None:
    clock = ManualClock()
    follower = TableFollower(memory_store, clock=clock, rng=Random(1))
    lease = HeldLease(await memory_store.grant(60))
    presence = Presence(memory_store, lease, "r", "127.0.0.1:1", follower, clock=clock)
    for part in range(3):
        await put(
            memory_store,
            [
                Put(keys.chain("x" * 60, "c" * 60, f"r{part}-{n}"), b'{"' + b"y" * 900 + b'":1}')
                for n in range(100)
            ],
        )
    await put(memory_store, [Put(keys.route("zother"), b"{")])
    async with Tasks() as tasks:
        tasks.start("follow the table", follower.run())
        await follower.synced.wait()
        assert len(follower.table.refusals) == 301
        tasks.start("write the presence", presence.run())
        await asyncio.wait_for(eventually(lambda: presence.revision == follower.table.revision), 10)

    told = (await written(memory_store))[1].refusals
    assert 10 < len(told) < 300
    assert {refusal.workload for refusal in told} == {f"workloads/{'x' * 60}", "workloads/zother"}
