"""Engine instances on a real etcd: there while they are registered, gone with their lease."""

from random import Random

from dataplane.table.instances import InstanceFollower
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import engine_pb2
from tests.harness.metering import recorded
from tests.harness.waiting import eventually

NAME = "engines/process/instances/p1"


def registration(state: engine_pb2.EngineInstance.State.ValueType) -> bytes:
    return encode(
        engine_pb2.EngineInstance(
            name=NAME, engine="process", version="1", address="127.0.0.1:1", state=state
        )
    )


async def test_an_instance_is_known_while_its_lease_lasts(store: Store) -> None:
    ready, draining = engine_pb2.EngineInstance.STATE_READY, engine_pb2.EngineInstance.STATE_DRAINING
    key = keys.instance("process", "p1")
    lease = await store.grant(60)
    follower = InstanceFollower(store, clock=SystemClock(), rng=Random(1))
    async with Tasks() as tasks:
        tasks.start("follow the instances", follower.run())
        await follower.synced.wait()
        assert dict(follower.instances) == {}

        seen = follower.snapshot
        revision = await put(store, [Put(key, registration(ready), lease)])
        await follower.changed(seen)
        assert [found.name for found in follower.instances["process"]] == [NAME]
        assert follower.revision_of(NAME) == follower.revision == revision

        await put(store, [Put(key, registration(draining), lease)])
        assert await eventually(lambda: follower.instances["process"][0].state == draining)

        before = recorded("enchain.instances.refused")
        await put(store, [Put(key, b"{", lease)])
        assert await eventually(lambda: recorded("enchain.instances.refused") == before + 1)
        assert follower.instances["process"][0].state == draining

        await store.revoke(lease)
        assert await eventually(lambda: not follower.instances)
        assert follower.revision_of(NAME) == 0
