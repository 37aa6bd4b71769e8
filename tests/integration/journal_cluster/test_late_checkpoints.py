"""A checkpoint that a frozen member of a real cluster commits late overwrites nothing newer.

A router sends its checkpoint to a member that is stopped (SIGSTOP) just then. The operation is adopted and
checkpointed by another router through another member. Then the member runs on and does what it was asked.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from dataplane.journal.admitting import Claim
from dataplane.journal.journal import Journal
from dataplane.journal.ownership import DisplacedError, Owned
from dataplane.routing import records, resuming
from dataplane.routing.runs import Operation
from enchain.chains.errors import EnchainError
from enchain.process.clock import SystemClock
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.server import LocalEtcd, cluster_of
from enchain.state.store import Put, put
from enchain.v1 import operation_pb2
from tests.harness.clusters import answers, launch, leader_of
from tests.harness.pipelines import NOW, chain_of, provision_of
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually

CLOCK = SystemClock()
BESIDE = "/beside"
PATIENT, HASTY = 60.0, 0.5
"""How long a router waits for an answer: until the member runs on, or not."""


@dataclass
class Router:
    """A router's journal and lease, on members of its own."""

    store: EtcdStore
    lease: int
    journal: Journal

    @classmethod
    async def on(cls, name: str, *endpoints: str, call_seconds: float = 5.0) -> "Router":
        """Connect a router to members."""
        store = await open_store(endpoints, rng=Random(1), call_seconds=call_seconds)
        await eventually(lambda: answers(store), within=60)
        lease = await store.grant(60)
        owner = operation_pb2.OperationOwner(router=f"routers/{name}", address="127.0.0.1:1")
        return cls(store, lease, Journal(store, clock=CLOCK, rng=Random(1), owner=owner, lease=lambda: lease))


@dataclass
class Cluster:
    """Three members, and who leads."""

    members: list[LocalEtcd]
    leader: LocalEtcd

    def pick(self, role: str) -> LocalEtcd:
        """Answer the leader, or a member that follows it."""
        following = [member for member in self.members if member is not self.leader]
        return self.leader if role == "leader" else following[0]

    def others(self, frozen: LocalEtcd) -> list[LocalEtcd]:
        """Answer the members that still run."""
        return [member for member in self.members if member is not frozen]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    with cluster_of(3, tmp_path) as members:
        yield Cluster(members, await launch(members))


async def admitted(router: Router) -> tuple[Owned, Operation]:
    """Admit an operation on a router."""
    run = provision_of(chain_of())
    made = records.Admission(run.operation, run.resource)
    owned = await router.journal.admit(made, Claim(await router.journal.epoch()))
    assert isinstance(owned, Owned)
    return owned, made.operation


def at_attempt(operation: Operation, attempt: int) -> Operation:
    """Answer the record as it is at an attempt of its first step."""
    later = Operation()
    later.CopyFrom(operation)
    later.steps[0].attempt = attempt
    return later


async def adopted(router: Router, before: Router, owned: Owned) -> tuple[Owned, Operation]:
    """Let the first router's lease end, adopt its operation, and checkpoint it."""

    async def lease_has_ended() -> bool:
        try:
            await router.store.revoke(before.lease)
        except EnchainError:
            return False  # the other members may have to elect a leader first
        return True

    await eventually(lease_has_ended, within=60)
    taken, operation = await router.journal.claim(
        owned.name, lambda stored: resuming.adopt(stored, "routers/b", "its router is gone", NOW)
    )
    newest = at_attempt(operation, 3)
    return await router.journal.checkpoint(taken, newest), newest


async def test_a_checkpoint_that_a_frozen_follower_commits_late_overwrites_nothing(cluster: Cluster) -> None:
    """A write without conditions goes the same way at the same time: it shows that the member does commit."""
    frozen = cluster.pick("follower")
    async with Proxy(frozen.address) as proxy:
        a = await Router.on("a", proxy.address, call_seconds=PATIENT)
        b = await Router.on("b", *(member.address for member in cluster.others(frozen)))
        owned, operation = await admitted(a)
        early = await put(b.store, [Put(BESIDE, b"early")])
        frozen.freeze()
        before = proxy.sent
        late = asyncio.create_task(a.journal.checkpoint(owned, at_attempt(operation, 2)), name="checkpoint")
        await eventually(lambda: proxy.sent - before > operation.ByteSize())
        beside = asyncio.create_task(put(a.store, [Put(BESIDE, b"late" * 1000)]), name="write beside it")
        await eventually(lambda: proxy.sent - before > operation.ByteSize() + 4000)

        taken, newest = await adopted(b, a, owned)
        assert not late.done()
        assert not beside.done()
        frozen.thaw()

        assert await asyncio.wait_for(beside, PATIENT) > taken.record_revision > early
        with pytest.raises(DisplacedError):
            await asyncio.wait_for(late, PATIENT)
        stored = await b.journal.read(owned.name)
        assert (stored.operation, stored.revision) == (newest, taken.record_revision)
        await a.store.close()
        await b.store.close()


@pytest.mark.parametrize("role", ["follower", "leader"])
async def test_an_owner_that_got_no_answer_from_a_frozen_member_learns_that_it_was_adopted_from(
    cluster: Cluster, role: str
) -> None:
    """It cannot tell whether its checkpoint was done; reading tells it, once the member runs on."""
    frozen = cluster.pick(role)
    others = cluster.others(frozen)
    a = await Router.on("a", frozen.address, call_seconds=HASTY)
    b = await Router.on("b", *(member.address for member in others))
    owned, operation = await admitted(a)
    frozen.freeze()
    late = asyncio.create_task(a.journal.checkpoint(owned, at_attempt(operation, 2)), name="checkpoint late")
    await eventually(lambda: leader_of(others), within=60)

    taken, newest = await adopted(b, a, owned)
    assert not late.done()
    frozen.thaw()

    with pytest.raises(DisplacedError):
        await asyncio.wait_for(late, PATIENT)
    stored = await b.journal.read(owned.name)
    assert (stored.operation, stored.revision) == (newest, taken.record_revision)
    await a.store.close()
    await b.store.close()
