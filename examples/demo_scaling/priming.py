"""Before traces are replayed: enough requests on every chain that the engines' performance is known."""

import asyncio

from enchain.client import Client
from examples.demo_scaling.requests import Sender
from examples.demo_scaling.stage import Stage, keep, release, switch

REQUESTS = 40
AT_ONCE = 3


async def prime(client: Client) -> None:
    """Send requests through both chains of `enchain`.

    Raises:
        RuntimeError: One failed.
    """
    stage, sender = Stage("enchain"), Sender(client)
    await keep(client, stage, AT_ONCE, "measuring")
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            await sender.send(stage.policy, 0.0)

    for chain in ("metered", "default"):
        await switch(client, stage, chain, "measuring")
        await asyncio.gather(*(one() for _ in range(REQUESTS)))
    await release(client, stage)
    if failed := [request.failed for request in sender.done if request.failed]:
        raise RuntimeError(f"{len(failed)} requests failed, the first: {failed[0]}")
