"""Following a real etcd through crashes, cut and silent connections, compactions and backlogs.

What is checked everywhere is the same: every revision that changed something under the prefix is delivered
once, whole and in order. The ground truth is what the writer was answered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest

from enchain.chains.errors import UnavailableError
from enchain.etcd import rpc_pb2, rpc_pb2_grpc
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.etcd_connection import answered
from enchain.state.follow import Health, follow
from enchain.state.server import LocalEtcd
from enchain.state.store import Batch, Delete, Put, Store, Txn, put
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually

ROOT = "/followed/"
BACKLOG = 3500
"""More than three of the answers of 1000 revisions in which etcd catches a watcher up."""


class Follower:
    """A follow loop in a task, what it delivered, and how it stands."""

    def __init__(self, store: Store) -> None:
        self.health = Health()
        self.batches: list[Batch] = []
        self._task = asyncio.create_task(self._run(store), name="follow in a test")

    async def _run(self, store: Store) -> None:
        loop = follow(store, ROOT, clock=SystemClock(), rng=Random(7), health=self.health)
        async with aclosing(loop) as batches:
            async for batch in batches:
                self.batches.append(batch)

    @property
    def revisions(self) -> list[int]:
        """The revisions that came one by one."""
        return [batch.revision for batch in self.batches if not batch.resync]

    @property
    def state(self) -> dict[str, bytes]:
        """What whoever applies the batches holds."""
        state: dict[str, bytes] = {}
        for batch in self.batches:
            for event in batch.events:
                if event.kind.value == "put":
                    state[event.item.key] = event.item.value
                else:
                    state.pop(event.item.key, None)
        return state

    async def begun(self) -> None:
        """Wait until it has listed and its watch stands."""
        await eventually(lambda: self.batches, within=30)

    async def has_reached(self, revision: int) -> None:
        """Wait until a revision is delivered."""
        await eventually(lambda: self.health.revision >= revision, within=60)

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalEtcd]:
    """An etcd of this test's own, which it may kill."""
    async with LocalEtcd(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def writer(server: LocalEtcd) -> AsyncIterator[EtcdStore]:
    """A store that goes straight to the server."""
    store = await open_store([server.address])
    yield store
    await store.close()


@pytest.fixture
async def proxy(server: LocalEtcd) -> AsyncIterator[Proxy]:
    async with Proxy(server.address) as proxy:
        yield proxy


@pytest.fixture
async def follower(proxy: Proxy) -> AsyncIterator[Follower]:
    """A follower that goes through the proxy."""
    store = await open_store([proxy.address])
    follower = Follower(store)
    yield follower
    await follower.stop()
    await store.close()


async def write(store: Store, count: int, *, size: int = 10) -> list[int]:
    """Write so many revisions, eight at a time; answer those that the store acknowledged, in order."""
    revisions: list[int] = []

    async def some(start: int) -> None:
        for n in range(start, count, 8):
            value = f"{n}".encode().ljust(size, b".")
            revisions.append(await put(store, [Put(f"{ROOT}{n % 50:03}", value)]))

    await asyncio.gather(*(some(start) for start in range(8)))
    return sorted(revisions)


async def holds(store: Store) -> dict[str, bytes]:
    """Answer what the store holds."""
    return {item.key: item.value for item in (await store.list(ROOT)).items}


async def test_a_killed_and_restarted_server_loses_and_doubles_nothing(
    server: LocalEtcd, writer: EtcdStore, follower: Follower
) -> None:
    await follower.begun()
    before = await write(writer, 40)
    await follower.has_reached(before[-1])

    server.kill()
    await server.restart()
    after = await write(writer, 40)

    await follower.has_reached(after[-1])
    assert follower.revisions == before + after
    assert follower.state == await holds(writer)
    assert follower.health.relists == 1


async def test_a_server_killed_while_it_is_written_to_loses_and_doubles_nothing(
    server: LocalEtcd, writer: EtcdStore, follower: Follower
) -> None:
    """Some of the writes go unanswered; whether they were done, the history of the store tells."""
    await follower.begun()
    start = (await writer.list(ROOT)).revision + 1
    writing = asyncio.create_task(write(writer, 2000), name="write until the server dies")
    await eventually(lambda: len(follower.batches) > 100)

    server.kill()
    with pytest.raises(Exception, match="etcd"):
        await writing
    await server.restart()
    last = await put(writer, [Put(f"{ROOT}last", b"")])

    await follower.has_reached(last)
    async with aclosing(writer.watch(ROOT, start)) as history:
        truth = [await anext(history)]
        while truth[-1].revision < last:
            truth.append(await anext(history))
    assert [batch for batch in follower.batches if not batch.resync] == truth


async def test_a_cut_in_the_middle_of_catching_up_loses_nothing(
    proxy: Proxy, writer: EtcdStore, follower: Follower
) -> None:
    """Etcd catches up in answers of 1000 revisions, each with the newest revision of all in its header.

    The proxy holds the stream in the second answer, waits until the first one is delivered, and cuts. Whoever
    goes on from a header's revision then misses all the rest, and nothing tells.
    """
    await follower.begun()
    proxy.refuse()
    revisions = await write(writer, BACKLOG, size=100)
    # An event takes about 160 bytes, so that an answer of 1000 of them ends well before and the next one
    # after.
    proxy.hold_after(250_000)
    proxy.accept()
    await eventually(lambda: proxy.is_holding and follower.revisions, within=60)
    assert len(follower.revisions) < BACKLOG
    before = follower.health.reconnects

    proxy.cut()
    proxy.resume()
    # Shows that the follower is connected again, also where it lost its place.
    await eventually(lambda: follower.health.failures == 0 and follower.health.reconnects > before)
    revisions += await write(writer, 1)

    await follower.has_reached(revisions[-1])
    assert follower.revisions == revisions
    assert follower.state == await holds(writer)
    assert follower.health.relists == 1


async def test_a_backlog_of_thousands_of_revisions_comes_whole_and_in_order(
    proxy: Proxy, writer: EtcdStore, follower: Follower
) -> None:
    await follower.begun()
    proxy.refuse()
    revisions = await write(writer, BACKLOG)

    proxy.accept()

    await follower.has_reached(revisions[-1])
    assert follower.revisions == revisions


async def test_a_compaction_behind_the_follower_costs_nothing_but_what_differs(
    proxy: Proxy, writer: EtcdStore, follower: Follower
) -> None:
    await put(writer, [Put(f"{ROOT}{name}", b"1") for name in ("same", "changed", "gone")])
    await follower.begun()
    await eventually(lambda: len(follower.state) == 3)
    proxy.refuse()
    await put(writer, [Put(f"{ROOT}changed", b"2")])
    await writer.commit(Txn(success=(Delete(f"{ROOT}gone"),)))
    newest = await put(writer, [Put(f"{ROOT}new", b"1")])
    await writer.compact(newest)
    delivered = len(follower.batches)

    proxy.accept()

    await follower.has_reached(newest)
    (batch,) = follower.batches[delivered:]
    assert batch.resync
    assert [(event.kind.value, event.item.key.removeprefix(ROOT)) for event in batch.events] == [
        ("put", "changed"),
        ("delete", "gone"),
        ("put", "new"),
    ]
    later = await write(writer, 3)
    await follower.has_reached(later[-1])
    assert follower.revisions[-3:] == later


async def test_a_transaction_over_many_keys_is_one_batch_also_in_fragments(
    writer: EtcdStore, follower: Follower
) -> None:
    """100 keys of 30 KiB are more than etcd puts into one answer; it sends them in several."""
    await follower.begun()
    size = 30 * 1024
    small = await put(writer, [Put(f"{ROOT}small", b"")])
    keys = [f"{ROOT}{n:03}" for n in range(100)]
    halves = [keys[:45], keys[45:90]]
    large = [await put(writer, [Put(key, b"x" * size) for key in half]) for half in halves]
    last = await put(writer, [Put(f"{ROOT}last", b"")])

    await follower.has_reached(last)

    sizes = {batch.revision: len(batch.events) for batch in follower.batches if not batch.resync}
    assert sizes == {small: 1, large[0]: 45, large[1]: 45, last: 1}


async def test_a_connection_that_falls_silent_is_replaced(
    proxy: Proxy, writer: EtcdStore, follower: Follower
) -> None:
    await follower.begun()
    await eventually(lambda: follower.health.heard_at)
    proxy.stall()
    revisions = await write(writer, 5)

    await eventually(lambda: follower.health.failures > 0, within=60)
    proxy.cut()
    proxy.resume()

    await follower.has_reached(revisions[-1])
    assert follower.revisions == revisions


async def test_a_quiet_watch_shows_signs_of_life(writer: EtcdStore, follower: Follower) -> None:
    await follower.begun()
    begun = follower.health.heard_at
    assert begun is not None

    await eventually(lambda: (follower.health.heard_at or 0) > begun + 2, within=60)

    assert follower.health.reconnects == 0


async def test_a_new_cluster_at_the_same_address_is_listed_anew(
    server: LocalEtcd, tmp_path: Path, writer: EtcdStore, follower: Follower
) -> None:
    await follower.begun()
    await write(writer, 20)
    await follower.has_reached((await writer.list(ROOT)).revision)

    server.kill()
    server.data_dir = tmp_path / "another"
    await server.restart()
    revision = await put(writer, [Put(f"{ROOT}other", b"1")])

    await eventually(lambda: follower.state == {f"{ROOT}other": b"1"}, within=60)
    assert follower.health.revision == revision
    assert follower.health.relists == 2


@pytest.mark.parametrize(("members", "connections"), [(1, 2), (2, 1)])
async def test_calls_leave_a_connection_to_a_member_whose_stream_went_silent(
    server: LocalEtcd, members: int, connections: int
) -> None:
    """With one member the stream and the calls share it; with two they begin on different ones."""
    async with Proxy(server.address) as one, Proxy(server.address) as other:
        store = await open_store([one.address, other.address][:members], rng=Random(1))
        await store.get(ROOT)
        async with store._connection.channel_of_its_own() as stream:
            store._connection.doubt(stream, UnavailableError("silent", reason="STORE_SILENT"))
        await store.get(ROOT)

        assert one.connections + other.connections == connections
        await store.close()


async def test_a_stream_that_ends_while_it_is_written_to_is_trouble_like_any_other(
    server: LocalEtcd,
) -> None:
    """Nothing but the errors of the port may come out of the adapter, or whoever follows would end."""
    async with open_channel(server.address, local_pool=True) as channel:
        call = rpc_pb2_grpc.WatchStub(channel).Watch(None)
        await answered(call.write(rpc_pb2.WatchRequest()), mutation=False)
        call.cancel()

        with pytest.raises(UnavailableError):
            await answered(call.write(rpc_pb2.WatchRequest()), mutation=False)
