"""What is looked at while a trace is replayed: instances that are paid, the chain in force, forecasts."""

from dataclasses import dataclass, field

from controlplane.forecast.series import FloatArray
from enchain.client import Client
from enchain.v1 import chain_pb2, pool_pb2
from examples.demo_scaling.stage import (
    ENCHAIN,
    LARGE,
    LARGE_AT_ONCE,
    POLICIES,
    PRICE_HOUR,
    PRICE_LARGE_HOUR,
    PRICE_REQUEST,
    Stage,
)

HOUR = 3600.0

KINDS = (*POLICIES, LARGE)
"""What is paid by the hour: instances of each policy, and `enchain`'s large machines."""


@dataclass(slots=True)
class Watched:
    """What was seen of one replay.

    Attributes:
        times: When was looked, seconds from the beginning.
        paid: By kind, instances that are there or on their way, at those times.
        ready: By kind, instances that take work.
        chains: The chain of `enchain` in force, at those times.
        fans: By step, what was forecast for the steps to come; shape (horizon, levels).
    """

    times: list[float] = field(default_factory=list)
    paid: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    ready: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    chains: list[str] = field(default_factory=list)
    fans: dict[int, FloatArray] = field(default_factory=dict)

    async def look(self, client: Client, at: float) -> None:
        """Look once."""
        found = await client.pools.ListPools(pool_pb2.ListPoolsRequest(parent="engines/-"))
        pools = {pool.name: pool for pool in found.pools}
        route = await client.chains.GetRoute(
            chain_pb2.GetRouteRequest(name=f"workloads/{Stage('enchain').workload}/route")
        )
        self.times.append(at)
        self.chains.append(short(route.shares[0].chain))
        for kind in KINDS:
            name = Stage(kind).pool if kind in POLICIES else f"engines/{kind}/pools/1"
            pool = pools.get(name, pool_pb2.Pool())
            self.paid[kind].append(pool.ready + pool.starting + pool.draining)
            self.ready[kind].append(pool.ready)

    def places(self, policy: str) -> list[int]:
        """Answer how many requests a policy's ready instances take at once, large machines included."""
        if policy != ENCHAIN:
            return self.ready[policy]
        pairs = zip(self.ready[policy], self.ready[LARGE], strict=True)
        return [small + LARGE_AT_ONCE * large for small, large in pairs]

    def instance_hours(self, kind: str) -> float:
        """Answer for how long instances were paid, from launch to end."""
        pairs = zip(self.times, [*self.times[1:], self.times[-1]], self.paid[kind], strict=True)
        return sum((after - before) * count for before, after, count in pairs) / HOUR

    def cost(self, policy: str, metered: int) -> float:
        """Answer what a policy cost, its metered requests and large machines included."""
        large = self.instance_hours(LARGE) if policy == ENCHAIN else 0.0
        return self.instance_hours(policy) * PRICE_HOUR + large * PRICE_LARGE_HOUR + metered * PRICE_REQUEST


def short(chain: str) -> str:
    """Answer a chain's id."""
    return chain.partition("@")[0].rpartition("/")[2]
