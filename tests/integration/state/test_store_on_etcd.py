"""What only a real etcd can show of the store: lost answers, dying members, restarted servers."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest

from enchain.chains.errors import EnchainError, UnavailableError, UnsettledError
from enchain.process.clock import SystemClock
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.follow import Health, follow
from enchain.state.leases import Lease
from enchain.state.server import LocalEtcd, cluster_of
from enchain.state.store import Put, Store, Txn, absent, put
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually

KEY = "/enchain/test/key"
ONCE = Txn(compares=(absent(KEY),), success=(Put(KEY, b"1"),), otherwise=(Put(KEY, b"again"),))


@pytest.fixture
async def proxy(etcd: str) -> AsyncIterator[Proxy]:
    async with Proxy(etcd) as proxy:
        yield proxy


@pytest.fixture
async def through_proxy(proxy: Proxy, store: Store) -> AsyncIterator[EtcdStore]:
    """A store whose connection goes through the proxy and stands; `store` goes straight."""
    through_proxy = await open_store([proxy.address], call_seconds=1.0)
    await through_proxy.get(KEY)
    yield through_proxy
    await through_proxy.close()


async def test_a_change_whose_answer_is_cut_off_is_unsettled_and_was_done_once(
    proxy: Proxy, through_proxy: EtcdStore, store: Store
) -> None:
    proxy.mute()
    committing = asyncio.create_task(through_proxy.commit(ONCE))
    await eventually(lambda: store.get(KEY))

    proxy.cut()

    with pytest.raises(UnsettledError):
        await committing
    proxy.resume()
    found = await through_proxy.get(KEY)
    assert found is not None
    assert (found.value, found.version) == (b"1", 1)


async def test_a_change_whose_answer_never_comes_is_unsettled_and_was_done_once(
    proxy: Proxy, through_proxy: EtcdStore, store: Store
) -> None:
    proxy.mute()

    with pytest.raises(UnsettledError):
        await through_proxy.commit(ONCE)

    found = await store.get(KEY)
    assert found is not None
    assert (found.value, found.version) == (b"1", 1)


async def test_after_a_silent_connection_the_next_call_takes_a_new_one(
    proxy: Proxy, through_proxy: EtcdStore, store: Store
) -> None:
    proxy.stall()
    before = proxy.connections
    with pytest.raises(UnsettledError):
        await through_proxy.commit(ONCE)
    proxy.resume()

    await put(through_proxy, [Put(f"{KEY}2", b"1")])

    assert proxy.connections == before + 1


async def test_a_change_that_cannot_leave_is_unavailable_and_was_not_done(
    proxy: Proxy, through_proxy: EtcdStore, store: Store
) -> None:
    proxy.refuse()
    with pytest.raises(UnavailableError):
        await through_proxy.get(KEY)  # from here on it knows that the connection is gone
    for _ in range(3):
        with pytest.raises(UnavailableError) as caught:
            await through_proxy.commit(ONCE)
        assert caught.value.retry_after

    proxy.accept()

    assert await store.get(KEY) is None
    assert (await through_proxy.commit(ONCE)).succeeded


async def test_reads_go_on_where_a_connection_broke(
    proxy: Proxy, through_proxy: EtcdStore, store: Store
) -> None:
    await put(store, [Put(KEY, b"1")])
    for _ in range(5):
        proxy.cut()
        assert await through_proxy.get(KEY) is not None


async def test_a_task_that_is_cancelled_in_a_call_ends_as_cancelled(
    proxy: Proxy, through_proxy: EtcdStore
) -> None:
    proxy.mute()
    committing = asyncio.create_task(through_proxy.commit(ONCE))
    await asyncio.sleep(0)

    committing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await committing


async def test_a_change_that_is_under_way_when_its_store_is_closed_is_unsettled(
    proxy: Proxy, through_proxy: EtcdStore, store: Store
) -> None:
    proxy.mute()
    committing = asyncio.create_task(through_proxy.commit(ONCE))
    await eventually(lambda: store.get(KEY))

    await through_proxy.close()

    with pytest.raises(UnsettledError):
        await committing


async def test_a_store_opens_before_there_is_an_etcd_and_works_once_there_is(tmp_path: Path) -> None:
    server = LocalEtcd(tmp_path / "data")
    async with server:
        address = server.address
    store = await open_store([address])
    with pytest.raises(UnavailableError):
        await store.status()

    await server.restart()

    assert (await store.status()).version
    await store.close()
    await server.stop()


async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    async with LocalEtcd(tmp_path / "data") as server:
        store = await open_store([server.address])
        revision = await put(store, [Put(KEY, b"1")])
        address = server.address

        server.kill()
        assert await server.restart() == address

        found = await store.get(KEY)
        assert found is not None
        assert found.mod_revision == revision
        await store.close()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = LocalEtcd(tmp_path / "data", flags=["--no-such-flag"])

    with pytest.raises(UnavailableError, match="no-such-flag") as caught:
        await server.start()

    assert caught.value.reason == "ETCD_NOT_STARTED"
    assert server.pid == 0


async def test_a_lease_that_is_kept_alive_outlives_its_time(store: Store) -> None:
    async with Lease(store, 2, clock=SystemClock(), name="a test") as lease:
        await put(store, [Put(f"{KEY}/kept", b"", lease.id)])
        # A lease that nobody keeps alive tells when more than its time has passed.
        other = await store.grant(4)
        await put(store, [Put(f"{KEY}/other", b"", other)])

        await eventually(lambda: _is_gone(store, f"{KEY}/other"), within=60)

        assert await store.get(f"{KEY}/kept") is not None
        assert not lease.lost.is_set()
        assert lease.remaining() > 0
    assert await store.get(f"{KEY}/kept") is None


async def _is_gone(store: Store, key: str) -> bool:
    return await store.get(key) is None


async def test_a_member_that_does_not_answer_is_passed_over(etcd: str, store: Store) -> None:
    for seed in range(4):
        others = await open_store(["127.0.0.1:1", etcd, "127.0.0.1:2"], rng=Random(seed))

        await put(others, [Put(f"{KEY}{seed}", b"1")])
        assert await others.get(f"{KEY}{seed}") is not None

        await others.close()


async def test_while_members_of_a_cluster_die_in_turn_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    with cluster_of(3, tmp_path) as members:
        for member in members:
            member.launch()
        endpoints = [member.address for member in members]
        store = await open_store(endpoints, rng=Random(1))
        await eventually(lambda: _answers(store), within=60)
        revisions: list[int] = []
        health = Health()
        loop = follow(store, "/turns/", clock=SystemClock(), rng=Random(1), health=health)
        async with aclosing(loop) as batches:
            assert (await anext(batches)).resync
            written = 0
            for member in members:
                member.kill()
                for _ in range(5):
                    written += 1
                    await _put_settled(store, f"/turns/{written:02}")
                member.launch()
                await eventually(lambda: _answers(store), within=60)
            keys: list[str] = []
            while len(keys) < written:
                batch = await asyncio.wait_for(anext(batches), 60)
                revisions.append(batch.revision)
                keys.extend(event.item.key for event in batch.events)

        assert keys == [f"/turns/{n:02}" for n in range(1, written + 1)]
        assert revisions == sorted(set(revisions))
        await store.close()


async def _answers(store: Store) -> bool:
    try:
        await store.list("/")
    except EnchainError:
        return False
    return True


async def _put_settled(store: Store, key: str) -> None:
    """Make a key exactly once, whatever answers are lost: what the port asks of its callers."""

    async def made() -> bool:
        try:
            await store.commit(Txn((absent(key),), (Put(key, b"1"),)))
            found = await store.get(key)
        except EnchainError:
            return False
        return found is not None

    await eventually(made, within=60)


async def test_a_local_etcd_ends_with_whoever_started_it(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, pathlib, sys\n"
        "from enchain.state.server import LocalEtcd\n"
        "async def main():\n"
        "    server = LocalEtcd(pathlib.Path(sys.argv[1]))\n"
        "    print(await server.start(), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path / "data"), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await started.communicate()
    host, _, port = said.decode().strip().rpartition(":")

    async def nobody_listens() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await eventually(nobody_listens, within=60)
