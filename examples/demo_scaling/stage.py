"""What the demonstration runs on: three workloads that ask for the same, each under a policy of its own.

`enchain` plans by itself and has three chains to choose from: `default`, of instances that are paid by the
hour; `metered`, which takes whatever comes at once and is paid by the request; and `large`, of machines that
do a dozen requests at once and cost as much as six and a half instances. `reactive` and `static` have
instances alone, of an engine just like the first. All that is paid by the hour boots like a machine whose
image must be started and loaded: it waits before it serves. Nobody is told how long; profiles measure it.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from enchain.client import Client
from enchain.process.statuses import from_rpc_error
from enchain.v1 import (
    chain_pb2,
    diagnostic_pb2,
    engine_pb2,
    pool_pb2,
    recommendation_pb2,
    value_pb2,
    workload_pb2,
)

ENCHAIN, REACTIVE, STATIC = "enchain", "reactive", "static"
POLICIES = (ENCHAIN, REACTIVE, STATIC)

METERED, LARGE = "metered", "large"
"""Engines that `enchain` alone has, each with a chain of the same name."""

WORK_SECONDS = 2.5
"""Median of a step: 25 minutes of the trace. It is waited, not worked, so that two cores are enough."""

PROMISED_SECONDS = 4.4
"""P95 that the workloads promise; a request that takes longer has missed it."""

BOOT_SECONDS = 8.0
"""Of what is paid by the hour: 80 minutes of the trace."""

METERED_BOOT_SECONDS = 0.0
"""What is paid by the request is there already."""

INSTANCES_MAX = 16
LARGE_MAX = 3
LARGE_AT_ONCE = 12

PRICE_HOUR = 3.6
"""Of an instance: a thousandth a second."""

PRICE_LARGE_HOUR = 6.5 * PRICE_HOUR
"""Of a large machine: dearer than instances at night, cheaper by day."""

PRICE_REQUEST = 0.00375
"""Of the metered engine: cheaper than instances at night, dearer than a large machine by day."""

MISS_PRICE = 0.03
CURRENCY = "EUR"

METERED_AT_ONCE = 64

ENGINE = Path(__file__).parent / "engine.py"

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.2

APART_SECONDS = 2.0
"""Between first launches: two cores that start all engines at once would make every boot look long."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Names of what stands for one policy."""

    policy: str

    @property
    def workload(self) -> str:
        """Its workload's id."""
        return f"shop-{self.policy}"

    @property
    def engine(self) -> str:
        """The engine whose instances are paid by the hour."""
        return f"hourly-{self.policy}"

    @property
    def pool(self) -> str:
        """The name of that engine's pool."""
        return f"engines/{self.engine}/pools/1"


def money(amount: float) -> diagnostic_pb2.Money:
    """Answer an amount of money."""
    return diagnostic_pb2.Money(currency_code=CURRENCY, units=int(amount), nanos=round(amount % 1 * 1e9))


def engines() -> list[engine_pb2.Engine]:
    """Answer the documents of all engines."""
    hourly = [(Stage(policy).engine, 1, INSTANCES_MAX, PRICE_HOUR) for policy in POLICIES]
    hourly.append((LARGE, LARGE_AT_ONCE, LARGE_MAX, PRICE_LARGE_HOUR))
    made = [
        engine_pb2.Engine(
            name=f"engines/{name}",
            launch=engine_pb2.Launch(process=_command(name, at_once, BOOT_SECONDS)),
            pool=engine_pb2.PoolBounds(min=1, max=most),
            price=engine_pb2.Price(hour=money(price)),
        )
        for name, at_once, most, price in hourly
    ]
    metered = engine_pb2.Engine(
        name=f"engines/{METERED}",
        launch=engine_pb2.Launch(process=_command(METERED, METERED_AT_ONCE, METERED_BOOT_SECONDS)),
        pool=engine_pb2.PoolBounds(min=1, max=1),
        price=engine_pb2.Price(request=money(PRICE_REQUEST)),
    )
    return [*made, metered]


def _command(kind: str, at_once: int, boot: float) -> list[str]:
    return [
        sys.executable, str(ENGINE), "--kind", kind, "--capacity", str(at_once),
        "--work", str(WORK_SECONDS), "--boot", str(boot),
    ]  # fmt: skip


def workload(stage: Stage, mode: recommendation_pb2.PlanningMode.ValueType) -> workload_pb2.Workload:
    """Answer a workload's document."""
    made = workload_pb2.Workload(
        name=f"workloads/{stage.workload}",
        slo=workload_pb2.ServiceLevel(p95=_seconds(PROMISED_SECONDS), success=0.99),
        cost=workload_pb2.CostWeights(miss_price=MISS_PRICE, currency_code=CURRENCY),
        planning=recommendation_pb2.PlanningPolicy(
            mode=mode,
            hysteresis=0.03,
            cool_down=_seconds(6),
            watch=_seconds(3),
            scale_in_hold=_seconds(3),  # half an hour of the trace
        ),
    )
    made.inputs.update({"type": "object", "properties": {"name": {"type": "string"}}})
    step = made.steps.add(name="make")
    for engine in (stage.engine, METERED, LARGE) if stage.policy == "enchain" else (stage.engine,):
        by = step.implementations.add(engine=engine)
        by.inputs["name"].CopyFrom(value_pb2.Value(string_value="${inputs.name}"))
    return made


def _seconds(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


async def furnish(client: Client) -> None:
    """Save engines, wait for their first instances, and save workloads and chains."""
    for engine in engines():
        request = engine_pb2.CreateEngineRequest(engine_id=engine.name.rpartition("/")[2], engine=engine)
        await client.engines.CreateEngine(request)
        await asyncio.sleep(APART_SECONDS)
    await until_ready(client, [engine.name.rpartition("/")[2] for engine in engines()])
    for policy in POLICIES:
        await plan_by(client, Stage(policy), recommendation_pb2.PLANNING_MODE_FORECAST_ONLY)
    for chain in (METERED, LARGE):
        await client.chains.CreateChain(
            chain_pb2.CreateChainRequest(
                parent=f"workloads/{Stage('enchain').workload}",
                chain_id=chain,
                chain=chain_pb2.Chain(use={"make": chain}),
            )
        )


async def plan_by(client: Client, stage: Stage, mode: recommendation_pb2.PlanningMode.ValueType) -> None:
    """Save a workload with another mode of planning."""
    document = workload(stage, mode)
    await client.workloads.UpdateWorkload(
        workload_pb2.UpdateWorkloadRequest(workload=document, allow_missing=True)
    )


async def until_ready(client: Client, wanted: Sequence[str]) -> None:
    """Wait until each engine has a ready instance.

    Raises:
        TimeoutError: One has none in time.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await client.engines.ListEngineInstances(
                engine_pb2.ListEngineInstancesRequest(parent="engines/-")
            )
            ready = {
                each.engine
                for each in found.engine_instances
                if each.state == engine_pb2.EngineInstance.STATE_READY
            }
            if ready >= set(wanted):
                return
            await asyncio.sleep(POLL_SECONDS)


async def keep(client: Client, stage: Stage, instances: int, reason: str, *, pinned: bool = True) -> None:
    """Set how many instances a policy wants, as people do; where it is not pinned, plans may want more."""
    pool = pool_pb2.Pool(name=stage.pool, target=instances, pinned=pinned)
    await client.pools.UpdatePool(pool_pb2.UpdatePoolRequest(pool=pool, reason=reason))


async def release(client: Client, stage: Stage) -> None:
    """Leave it to plans how many instances there are, none included."""
    for name in (stage.engine, LARGE):
        engine = await client.engines.GetEngine(engine_pb2.GetEngineRequest(name=f"engines/{name}"))
        engine.pool.min = 0
        await client.engines.UpdateEngine(engine_pb2.UpdateEngineRequest(engine=engine))
        pool = pool_pb2.Pool(name=f"engines/{name}/pools/1", target=0, pinned=False)
        await client.pools.UpdatePool(pool_pb2.UpdatePoolRequest(pool=pool, reason="planned"))


async def switch(client: Client, stage: Stage, chain: str, reason: str) -> None:
    """Switch by hand, as soon as no other switch runs.

    Raises:
        TimeoutError: One runs on and on.
    """
    request = chain_pb2.SwitchChainRequest(
        name=f"workloads/{stage.workload}/route",
        chain=f"workloads/{stage.workload}/chains/{chain}",
        reason=reason,
    )
    for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        if await _switched(client, request):
            return
        await asyncio.sleep(POLL_SECONDS)
    raise TimeoutError(f"another switch of {stage.workload} runs on and on")


async def _switched(client: Client, request: chain_pb2.SwitchChainRequest) -> bool:
    try:
        await client.chains.SwitchChain(request)
    except grpc.aio.AioRpcError as failure:
        if from_rpc_error(failure).reason != "SWITCH_RUNNING":
            raise
        return False
    return True
