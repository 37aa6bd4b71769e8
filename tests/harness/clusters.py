"""Clusters of real etcd members: waiting until they answer, and finding who leads.

Tests that kill and freeze members call it, over `enchain.state.server.cluster_of`.
"""

from collections.abc import Sequence

import grpc

from enchain.chains.errors import EnchainError
from enchain.etcd import rpc_pb2, rpc_pb2_grpc
from enchain.process.channels import open_channel
from enchain.state.server import LocalEtcd
from enchain.state.store import Store
from tests.harness.waiting import eventually

STATUS_SECONDS = 1.0


async def launch(members: Sequence[LocalEtcd]) -> LocalEtcd:
    """Launch all members and wait until they agree on a leader; answer that one."""
    for member in members:
        member.launch()

    async def leads() -> list[LocalEtcd]:
        leader = await leader_of(members)
        return [] if leader is None else [leader]

    return (await eventually(leads, within=60))[0]


async def leader_of(members: Sequence[LocalEtcd]) -> LocalEtcd | None:
    """Answer the member that all members take for the leader; None where they do not agree yet."""
    said = [await _status(member) for member in members]
    leaders = {status.leader if status is not None else 0 for status in said}
    if len(leaders) != 1 or 0 in leaders:
        return None
    (leader,) = leaders
    led = [m for m, s in zip(members, said, strict=True) if s is not None and s.header.member_id == leader]
    return led[0] if led else None


async def answers(store: Store) -> bool:
    """Say whether a store takes part in a quorum."""
    try:
        await store.get("/")
    except EnchainError:
        return False
    return True


async def _status(member: LocalEtcd) -> rpc_pb2.StatusResponse | None:
    async with open_channel(member.address, local_pool=True, traced=False) as channel:
        try:
            return await rpc_pb2_grpc.MaintenanceStub(channel).Status(
                rpc_pb2.StatusRequest(), timeout=STATUS_SECONDS
            )
        except grpc.aio.AioRpcError:
            return None
