"""Before traces are replayed: enough requests on every chain that the engines' performance is known."""

import asyncio

from enchain.client import Client
from examples.demo_scaling.requests import Sender
from examples.demo_scaling.stage import LARGE, METERED, Stage, keep, release, switch

REQUESTS = 36
"""Through each chain: enough for its figures to be taken as they are."""

AT_ONCE = {"default": 6, METERED: 12, LARGE: 12}


async def prime(client: Client) -> None:
    """Send requests through all chains of `enchain`.

    Raises:
        RuntimeError: One failed.
    """
    stage, sender = Stage("enchain"), Sender(client)
    await keep(client, stage, AT_ONCE["default"], "measuring")
    for chain, at_once in reversed(AT_ONCE.items()):
        await switch(client, stage, chain, "measuring")
        await _send(sender, stage, asyncio.Semaphore(at_once))
    await release(client, stage)
    if failed := [request.failed for request in sender.done if request.failed]:
        raise RuntimeError(f"{len(failed)} requests failed, the first: {failed[0]}")


async def _send(sender: Sender, stage: Stage, gate: asyncio.Semaphore) -> None:
    async def one() -> None:
        async with gate:
            await sender.send(stage.policy, 0.0)

    await asyncio.gather(*(one() for _ in range(REQUESTS)))
