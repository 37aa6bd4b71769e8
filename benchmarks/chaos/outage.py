"""The scenario `etcd-outage`: all members of etcd are away for two minutes under fifty running operations.

`__main__` plays it with `--scenario etcd-outage`. Tools are to finish meanwhile, streams to stay, nothing new
to be admitted; a router that is started again meanwhile waits; and everything ends once etcd is back.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.chaos.house import House, open_house
from benchmarks.chaos.telling import Told, take
from benchmarks.chaos.witness import read_witness
from enchain.chains.errors import EnchainError, UnavailableError
from enchain.client import Client
from enchain.process.channels import open_channel
from enchain.process.statuses import from_rpc_error
from enchain.v1 import provisioning_pb2, provisioning_pb2_grpc, value_pb2

SCALES = {"full": (50, 120.0), "small": (12, 20.0)}
"""Operations, and seconds for which etcd is away."""

CAPACITY = 20
"""Of each of three script instances: every operation's tool runs at once."""

PATIENCE_SECONDS = 120.0
ASK_SECONDS = 5.0

NOT_SERVING = int(health_pb2.HealthCheckResponse.NOT_SERVING)


async def play(data: Path, operations: int, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play it in a folder of its own; answer what was found."""
    async with open_house(data, 3, CAPACITY) as house:
        told = [
            Told(f"outage-{n}", "quick", "provision", f"outage-{n}", "STATE_SUCCEEDED")
            for n in range(operations)
        ]
        async with house.client() as first, house.client(1) as second, asyncio.TaskGroup() as group:
            for number, each in enumerate(told):
                # Their tools end at the beginning, in the middle and at the end of the outage.
                takes = 5 + seconds * 0.8 * number / operations
                client = (first, second)[number % 2]
                group.create_task(_provision(house, client, each, takes), name=each.story)
            await _until(lambda: len(read_witness(house.world / "witness").begun) == operations)
            tell(f"{operations} tools run; stopping all of etcd for {seconds:g} s")
            during = await _away(house, seconds, told)
            tell("etcd is back")
        await _until(house.cluster.children["router-3"].ready_file.exists)
        seen = read_witness(house.world / "witness")
        found = {
            "operations": operations,
            "succeeded": len([each for each in told if each.as_meant]),
            "reattached_in_the_end": sum(each.reattached for each in told),
            "adopted": len([each for each in told if each.adopted]),
            "effects": sum(seen.made.values()),
            **during,
            "wrong": _wrong(told, seen.repeated, during, operations),
        }
        tell("deprovisioning")
        async with house.client() as client:
            for each in told:
                async for _ in client.deprovision(each.story):
                    pass
    return found


async def _provision(house: House, client: Client, told: Told, takes: float) -> None:
    inputs = {"world": str(house.world), "round": told.round, "seconds": takes}
    try:
        async for happening in client.provision("quick", inputs, resource_id=told.story):
            take(told, happening)
    except EnchainError as error:
        told.error = f"{error.reason}: {error.message}"


async def _away(house: House, seconds: float, told: list[Told]) -> dict[str, Any]:
    """Stop all of etcd for a while, and watch what happens meanwhile."""
    until = time.monotonic() + seconds
    await asyncio.gather(*(member.stop() for member in house.members))
    before = {each.story: (each.state, each.reattached) for each in told}
    house.killed.add(house.cluster.kill("router-3"))
    house.cluster.launch(house.cluster.children["router-3"].planned)
    waiting = house.cluster.layout.routers[2]
    refusals: list[str] = []
    states: set[int] = set()
    while time.monotonic() < until:
        refusals += [await _refusal(address) for address in house.cluster.routers[:2]]
        states.add(await _health(waiting))
        await asyncio.sleep(min(ASK_SECONDS, max(0.0, until - time.monotonic())))
    made = read_witness(house.world / "witness").made
    after = {each.story: (each.state, each.reattached) for each in told}
    await asyncio.gather(*(member.start() for member in house.members))
    return {
        "tools_ended_meanwhile": sum(made.values()),
        "streams_broken_meanwhile": len([name for name in before if before[name] != after[name]]),
        "refusals": len(refusals),
        "refusals_wrong": sorted({each for each in refusals if each != "UNAVAILABLE with RetryInfo"}),
        "waiting_router_served": any(state not in {0, NOT_SERVING} for state in states),
        "waiting_router_answered": NOT_SERVING in states,
    }


async def _refusal(address: str) -> str:
    """Ask a router for something new; say what it answers."""
    request = provisioning_pb2.ProvisionRequest(
        parent="tenants/default",
        workload="workloads/quick",
        request_id="while-etcd-is-away",
        inputs={name: value_pb2.Value(string_value="x") for name in ("world", "round")},
    )
    async with open_channel(address, local_pool=True) as channel:
        try:
            stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
            async for _ in stub.Provision(request, timeout=30):
                return "admitted"
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            good = isinstance(error, UnavailableError) and error.retry_after is not None
            return "UNAVAILABLE with RetryInfo" if good else f"{failure.code().name}: {error.message}"
    return "nothing"


async def _health(address: str) -> int:
    async with open_channel(address, local_pool=True) as channel:
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            return int((await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status)
        except grpc.aio.AioRpcError:
            return 0


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.1)


def _wrong(told: list[Told], repeated: list[str], during: dict[str, Any], operations: int) -> list[str]:
    wrong = [f"{each.story} ended {each.state} {each.error}" for each in told if not each.as_meant]
    wrong += repeated
    wrong += [f"a router answered {each} while etcd was away" for each in during["refusals_wrong"]]
    if during["tools_ended_meanwhile"] != operations:
        wrong.append(f"only {during['tools_ended_meanwhile']} tools ended while etcd was away")
    if during["streams_broken_meanwhile"]:
        wrong.append(f"{during['streams_broken_meanwhile']} streams broke or ended while etcd was away")
    if during["waiting_router_served"] or not during["waiting_router_answered"]:
        wrong.append("a router started while etcd was away did not wait NOT_SERVING")
    return wrong
