"""Before traces are replayed: enough requests on every chain that the engines' performance is known."""

import asyncio

from enchain.client import Client
from enchain.v1 import chain_pb2
from examples.demo_scaling.requests import Sender
from examples.demo_scaling.stage import LARGE, METERED, Stage, keep, release, switch

REQUESTS = 96
"""Through each chain: of fewer, how slow the slowest are would be luck, and what it misses with it."""

AT_ONCE = {"default": 8, METERED: 24, LARGE: 12}
"""Instances take one, large machines a dozen: they are measured as full as they are planned to be."""


async def prime(client: Client) -> None:
    """Send requests through all chains of `enchain`.

    Raises:
        RuntimeError: One failed.
    """
    stage, sender = Stage("enchain"), Sender(client)
    await keep(client, stage, AT_ONCE["default"], "measuring")
    for engine in (LARGE, METERED):
        await _measure(client, stage, sender, await _alike(client, stage, engine), AT_ONCE[engine])
    await _measure(client, stage, sender, "default", AT_ONCE["default"])
    await release(client, stage)
    if failed := [request.failed for request in sender.done if request.failed]:
        raise RuntimeError(f"{len(failed)} requests failed, the first: {failed[0]}")


async def _alike(client: Client, stage: Stage, engine: str) -> str:
    """Create a chain to measure an engine by: for a day no plan goes back to one that was left by hand."""
    name = f"measure-{engine}"
    await client.chains.CreateChain(
        chain_pb2.CreateChainRequest(
            parent=f"workloads/{stage.workload}", chain_id=name, chain=chain_pb2.Chain(use={"make": engine})
        )
    )
    return name


async def _measure(client: Client, stage: Stage, sender: Sender, chain: str, at_once: int) -> None:
    await switch(client, stage, chain, "measuring")
    await _send(sender, stage, asyncio.Semaphore(at_once))


async def _send(sender: Sender, stage: Stage, gate: asyncio.Semaphore) -> None:
    async def one() -> None:
        async with gate:
            await sender.send(stage.policy, 0.0)

    await asyncio.gather(*(one() for _ in range(REQUESTS)))
