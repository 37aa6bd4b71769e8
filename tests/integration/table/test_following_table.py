"""A router's table on a real etcd: followed, refused, reported, counted, mended.

Documents are put with `etcdctl`, as an operator would.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from random import Random

import pytest

from dataplane.table.following import TableFollower
from dataplane.table.presence import Presence
from enchain.chains import routes
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import canonical, decode
from enchain.state.leases import Lease
from enchain.state.server import find_etcd
from enchain.state.store import Put, Store, put
from enchain.v1 import presence_pb2
from tests.harness.metering import recorded
from tests.harness.tables import chain, chain_name, whole_workload
from tests.harness.waiting import eventually

ROUTER = "router-1"


async def etcdctl(etcd: str, *arguments: str, value: str | None = None) -> None:
    """Run etcdctl as somebody at a terminal would; the value comes by standard input."""
    process = await asyncio.create_subprocess_exec(
        *(str(find_etcd("etcdctl")), "--endpoints", etcd, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    await process.communicate(value.encode() if value is not None else None)
    assert process.returncode == 0


async def save(store: Store, workload: str, revision: str = "r1") -> int:
    return await put(store, [Put(key, value) for key, value in whole_workload(workload, revision).items()])


def switched(workload: str, revision: str) -> str:
    return canonical(routes.whole(chain_name(workload, revision)))


@pytest.fixture
async def follower(store: Store) -> AsyncIterator[TableFollower]:
    """A follower that runs."""
    follower = TableFollower(store, clock=SystemClock(), rng=Random(1))
    async with Tasks() as tasks:
        tasks.start("follow the table", follower.run())
        await follower.synced.wait()
        yield follower


@pytest.fixture
async def presence(store: Store, follower: TableFollower) -> AsyncIterator[Presence]:
    """The router's presence, kept up to date."""
    async with Lease(store, 10, clock=SystemClock(), name=ROUTER) as lease:
        presence = Presence(store, lease, ROUTER, "127.0.0.1:7000", follower, clock=SystemClock())
        async with Tasks() as tasks:
            tasks.start("write the presence", presence.run())
            yield presence


async def told(store: Store) -> presence_pb2.RouterPresence:
    item = await store.get(keys.router(ROUTER))
    assert item is not None
    return decode(presence_pb2.RouterPresence, item.value)


async def test_a_chain_put_with_etcdctl_is_followed(etcd: str, store: Store, follower: TableFollower) -> None:
    revision = await save(store, "site")
    table = await follower.wait_for(revision)
    assert [share.chain for share in table.routes["site"].shares] == [chain_name("site", "r1")]
    assert table.route_revision("site") == revision

    await etcdctl(etcd, "put", keys.chain("site", "default", "by-hand"), value=canonical(chain("fixed")))
    await etcdctl(etcd, "put", keys.route("site"), value=switched("site", "by-hand"))

    def is_switched() -> bool:
        return follower.table.routes["site"].shares[0].chain == chain_name("site", "by-hand")

    assert await eventually(is_switched)
    assert follower.table.chains[chain_name("site", "by-hand")].digest.startswith("sha256:")


async def test_a_broken_chain_is_refused_reported_and_counted_while_others_switch(
    etcd: str,
    store: Store,
    follower: TableFollower,
    presence: Presence,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = recorded("enchain.table.refused", reason="MALFORMED_VALUE")
    await save(store, "x")
    await follower.wait_for(await save(store, "y"))
    broken = keys.chain("x", "default", "r2")

    with caplog.at_level(logging.ERROR):
        await etcdctl(etcd, "put", broken, value='{"stages": []}')

        async def reported() -> presence_pb2.RouterPresence | None:
            message = await told(store)
            return message if message.refusals else None

        message = await eventually(reported)
    assert message is not None
    (refusal,) = message.refusals
    assert (refusal.workload, refusal.key) == ("workloads/x", broken)
    assert refusal.reason.startswith("MALFORMED_VALUE")
    assert message.applied_revision == refusal.revision == follower.table.revision
    assert recorded("enchain.table.refused", reason="MALFORMED_VALUE") == before + 1
    assert "document refused" in caplog.text

    await etcdctl(etcd, "put", keys.chain("y", "default", "r2"), value=canonical(chain("fixed")))
    await etcdctl(etcd, "put", keys.route("y"), value=switched("y", "r2"))
    assert await eventually(lambda: follower.table.routes["y"].shares[0].chain == chain_name("y", "r2"))
    assert follower.table.routes["x"].shares[0].chain == chain_name("x", "r1")
    assert chain_name("x", "r1") in follower.table.chains

    await etcdctl(etcd, "del", broken)

    async def mended() -> bool:
        return not (await told(store)).refusals

    assert await eventually(mended)
    assert await eventually(lambda: presence.revision == follower.table.revision)


async def test_a_transaction_is_followed_as_one(store: Store, follower: TableFollower) -> None:
    seen = follower.table
    revision = await save(store, "site")

    table = await follower.changed(seen)

    assert table.revision == revision
    assert (list(table.workloads), list(table.routes), len(table.chains)) == (["site"], ["site"], 1)


async def test_a_table_with_many_documents_is_there_once_it_is_synced(store: Store) -> None:
    for number in range(20):
        await save(store, f"w{number}")
    follower = TableFollower(store, clock=SystemClock(), rng=Random(1))
    assert not follower.synced.is_set()

    async with Tasks() as tasks:
        tasks.start("follow the table", follower.run())
        await follower.synced.wait()

        assert len(follower.table.routes) == len(follower.table.chains) == 20
        assert follower.table.refusals == ()


async def test_the_presence_goes_with_its_lease_and_comes_back_under_another(
    store: Store, follower: TableFollower
) -> None:
    clock = SystemClock()
    first, second = (Lease(store, 10, clock=clock, name=ROUTER) for _ in range(2))
    await first.start()
    presence = Presence(store, first, ROUTER, "127.0.0.1:7000", follower, clock=clock)

    async def gone() -> bool:
        return await store.get(keys.router(ROUTER)) is None

    async with Tasks() as tasks:
        tasks.start("write the presence", presence.run())
        assert await eventually(lambda: presence.revision == follower.table.revision)
        await first.stop()
        assert await eventually(gone)
        await second.start()
        presence.hold(second)
        item = await eventually(lambda: store.get(keys.router(ROUTER)))
        assert item is not None
        assert item.lease == second.id

        presence.drain()

        async def draining() -> bool:
            return (await told(store)).draining

        assert await eventually(draining)
    await presence.withdraw()
    assert await gone()
    await second.stop()
