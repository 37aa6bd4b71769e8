"""A fold that reaches etcd after its leader was deposed does nothing, whatever it would have written."""

import asyncio
from random import Random

import pytest

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.election import LEADER_KEY
from controlplane.loops.leadership import FencedStore, Leadership, LeadershipLostError
from controlplane.loops.outbox import OutboxLoop
from enchain.process.clock import SystemClock
from enchain.state.faults import PassingStore
from enchain.state.leases import Lease
from enchain.state.store import Delete, Put, Store, Txn, TxnResult, put
from tests.harness.outbox import counted, entry, folds, learned, waiting, write


class SlowNetwork(PassingStore):
    """A store whose folds stay under way until they are let through."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.under_way = asyncio.Event()
        self.through = asyncio.Event()

    async def commit(self, txn: Txn) -> TxnResult:
        if folds(txn):
            self.under_way.set()
            await self.through.wait()
        return await super().commit(txn)


async def elected(store: Store, lease: Lease) -> Leadership:
    """Become leader by hand."""
    return Leadership(LEADER_KEY, await put(store, [Put(LEADER_KEY, b"{}", lease.id)]), lease)


def folding() -> OutboxLoop:
    return OutboxLoop((RequestRateReader(),), clock=SystemClock(), rng=Random(0))


@pytest.mark.parametrize("others_fold", [True, False])
async def test_a_fold_of_a_deposed_leader_that_arrives_late_does_nothing(
    store: Store, others_fold: bool
) -> None:
    network = SlowNetwork(store)
    await write(store, [entry() for _ in range(40)])
    async with (
        Lease(store, 60, clock=SystemClock(), name="old") as old,
        Lease(store, 60, clock=SystemClock(), name="new") as new,
    ):
        late = asyncio.create_task(
            folding().sweep(FencedStore(network, await elected(store, old))), name="fold late"
        )
        await network.under_way.wait()
        await store.commit(Txn(success=(Delete(LEADER_KEY),)))
        successor = FencedStore(store, await elected(store, new))
        if others_fold:
            await folding().sweep(successor)
        before = (await store.status()).revision

        network.through.set()
        with pytest.raises(LeadershipLostError):
            await late

        assert (await store.status()).revision == before
        await folding().sweep(successor)
    statistics = await learned(store)
    assert (statistics.requests, counted(statistics), await waiting(store)) == (40, 40, 0)
