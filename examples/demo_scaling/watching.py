"""What is looked at while a trace is replayed: instances that are paid, the chain in force, forecasts."""

from dataclasses import dataclass, field

from controlplane.forecast.series import FloatArray
from enchain.client import Client
from enchain.v1 import chain_pb2, pool_pb2
from examples.demo_scaling.stage import POLICIES, PRICE_HOUR, PRICE_REQUEST, Stage

HOUR = 3600.0


@dataclass(slots=True)
class Watched:
    """What was seen of one replay.

    Attributes:
        times: When was looked, seconds from the beginning.
        paid: By policy, instances that are there or on their way, at those times.
        ready: By policy, instances that take work.
        chains: The chain of `enchain` in force, at those times.
        fans: By step, what was forecast for the steps to come; shape (horizon, levels).
    """

    times: list[float] = field(default_factory=list)
    paid: dict[str, list[int]] = field(default_factory=lambda: {policy: [] for policy in POLICIES})
    ready: dict[str, list[int]] = field(default_factory=lambda: {policy: [] for policy in POLICIES})
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
        for policy in POLICIES:
            pool = pools.get(Stage(policy).pool, pool_pb2.Pool())
            self.paid[policy].append(pool.ready + pool.starting + pool.draining)
            self.ready[policy].append(pool.ready)

    def instance_hours(self, policy: str) -> float:
        """Answer what instances were paid for."""
        pairs = zip(self.times, [*self.times[1:], self.times[-1]], self.paid[policy], strict=True)
        return sum((after - before) * count for before, after, count in pairs) / HOUR

    def cost(self, policy: str, metered: int) -> float:
        """Answer what a policy cost, its metered requests included."""
        return self.instance_hours(policy) * PRICE_HOUR + metered * PRICE_REQUEST


def short(chain: str) -> str:
    """Answer a chain's id."""
    return chain.partition("@")[0].rpartition("/")[2]
