"""Before a trace is replayed: every policy gets the time to have the instances that it wants.

The replay calls it. `reactive` and `static` are told how many; `enchain` plans by itself, from the forecast
with which the replay begins, as it would have done all the time before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from enchain.client import Client
from enchain.v1 import pool_pb2, recommendation_pb2
from examples.demo_scaling.stage import (
    BOOT_SECONDS,
    ENCHAIN,
    PATIENCE_SECONDS,
    POLL_SECONDS,
    Stage,
    keep,
    plan_by,
)

SETTLE_SECONDS = BOOT_SECONDS + 6.0
"""At least: to plan, to boot, and to move the route."""


async def set_out(client: Client, wanted: Mapping[str, int], foretell: Callable[[], Awaitable[None]]) -> None:
    """Give every policy what it would have had before the replay.

    Args:
        client: Of the cluster.
        wanted: How many instances each policy keeps that does not plan.
        foretell: Tells `enchain` the forecast of this moment.

    Raises:
        TimeoutError: Instances are not ready in time.
    """
    for policy, instances in wanted.items():
        await keep(client, Stage(policy), instances, "the replay begins")
    await foretell()
    await plan_by(client, Stage(ENCHAIN), recommendation_pb2.PLANNING_MODE_AUTO)
    began = time.monotonic()
    pools = {Stage(policy).pool: count for policy, count in wanted.items()}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while time.monotonic() < began + SETTLE_SECONDS or not await _ready(client, pools):
            await foretell()
            await asyncio.sleep(POLL_SECONDS)


async def _ready(client: Client, wanted: Mapping[str, int]) -> bool:
    found = await client.pools.ListPools(pool_pb2.ListPoolsRequest(parent="engines/-"))
    ready = {pool.name: pool.ready for pool in found.pools}
    return all(ready.get(name, 0) >= count for name, count in wanted.items())
