"""Two real replicas on real etcd: the leader is killed and frozen amid folding, and all count once."""

import asyncio

from enchain.state.server import find_etcd
from enchain.state.store import Store
from tests.harness.outbox import counted, entry, learned, waiting, write
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.waiting import eventually

ENTRIES = 3000


async def pair(replicas: Replicas, store: Store) -> tuple[Replica, Replica]:
    """Start two, of which the first leads."""
    first = await replicas.start("one")
    await eventually(lambda: _leads(store, first), within=30)
    second = await replicas.start("two")
    await eventually(lambda: second.said("serving"), within=30)
    return first, second


async def _leads(store: Store, replica: Replica) -> bool:
    return await leading(store) == replica.name


async def _folded(store: Store, count: int) -> bool:
    statistics = await learned(store)
    assert statistics.requests == counted(statistics) == count
    return await waiting(store) == 0


async def amid_folding(store: Store) -> asyncio.Task[None]:
    """Begin to write entries, and wait until some of them, and not all, are folded; answer the writing."""

    async def writing() -> None:
        for minute in range(ENTRIES // 100):
            await write(store, [entry(minute) for _ in range(100)])

    async def some() -> bool:
        return (await learned(store)).requests > 0

    task = asyncio.create_task(writing(), name="write entries")
    await eventually(some, within=30)
    return task


async def test_a_leader_killed_amid_folding_leaves_nothing_undone_and_nothing_twice(
    replicas: Replicas, store: Store
) -> None:
    first, second = await pair(replicas, store)
    writing = await amid_folding(store)

    await first.kill()

    assert 0 < (await learned(store)).requests < ENTRIES, "it was killed before it had folded all"
    await writing
    await eventually(lambda: _folded(store, ENTRIES), within=30)
    assert await leading(store) == second.name
    assert list((await learned(store)).provisions) == [100] * (ENTRIES // 100)


async def test_a_leader_frozen_past_its_lease_writes_nothing_when_it_is_thawed(
    replicas: Replicas, store: Store
) -> None:
    first, second = await pair(replicas, store)
    writing = await amid_folding(store)

    first.freeze()

    assert 0 < (await learned(store)).requests < ENTRIES, "it was frozen before it had folded all"
    await writing
    await eventually(lambda: _folded(store, ENTRIES), within=30)
    assert await leading(store) == second.name
    before = (await store.status()).revision
    first.thaw()
    # Its loops have ended when it says so; another leader with nothing to do writes nothing either.
    await eventually(lambda: first.said("leading no more"), within=30)
    assert (await store.status()).revision == before

    # It is of use again: the next leader, should the second one die.
    await second.kill()
    await write(store, [entry() for _ in range(70)])
    await eventually(lambda: _folded(store, ENTRIES + 70), within=30)
    assert first.said("elected") == 2


async def test_a_leader_that_is_told_to_stop_hands_on_at_once(replicas: Replicas, store: Store) -> None:
    first, second = await pair(replicas, store)

    first.process.terminate()
    await first.process.wait()

    # Its lease was ended: the key went before the process did, not when its time was over.
    assert await leading(store) in {"", second.name}
    await eventually(lambda: _leads(store, second))


async def test_what_was_learned_reads_well_with_etcdctl(replicas: Replicas, store: Store, etcd: str) -> None:
    await replicas.start("one")
    await write(store, [entry(0), entry(2), entry(2)])
    await eventually(lambda: _folded(store, 3), within=30)

    etcdctl = await asyncio.create_subprocess_exec(
        find_etcd("etcdctl"),
        f"--endpoints={etcd}",
        "get",
        "--prefix",
        "/enchain/v1/learned/",
        env={"ETCDCTL_API": "3"},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await etcdctl.communicate()

    assert told.decode() == (
        "/enchain/v1/learned/request-rate/site\n"
        '{"deprovisions":[0,0,0],"firstMinute":"2026-03-01T12:00:00Z","provisions":[1,0,2],'
        '"requests":"3","updates":[0,0,0],"workload":"workloads/site"}\n'
    )
