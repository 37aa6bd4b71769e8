"""A control plane that takes demand in, for tests: a real server with its history, and who leads by hand.

No election runs: a test makes a replica the leader, or hands the office on, so that it sees each moment.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from controlplane.demand.house import DemandHouse, furnished
from controlplane.demand.signals import Signal
from controlplane.forecast.series import Series
from controlplane.loops.election import LEADER_KEY
from controlplane.rpc.leader import Leader
from controlplane.rpc.metrics import LeadersMetrics
from controlplane.services import receive_metrics
from enchain.process.clock import Clock, SystemClock
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import presence_pb2, workload_pb2


class Receiver:
    """One replica that receives metrics.

    Args:
        store: The store.
        history: Its file.
        clock: Its time.
        prometheus: Address of a Prometheus.
    """

    def __init__(
        self, store: Store, history: Path, *, clock: Clock | None = None, prometheus: str = ""
    ) -> None:
        self.store = store
        self.address = ""
        self.house: DemandHouse = furnished(
            history, clock=clock or SystemClock(), rng=Random(1), prometheus=prometheus
        )
        self._stack = AsyncExitStack()
        self._term: asyncio.Task[None] | None = None

    async def start(self) -> "Receiver":
        """Serve, and lead nothing yet."""
        server = Server("127.0.0.1:0")
        receive_metrics(server, self.house, LeadersMetrics(Leader(self.store)))
        self.address = await server.start()
        self._stack.push_async_callback(server.stop, 0)
        return self

    async def lead(self) -> None:
        """Become leader."""
        presence = presence_pb2.LeaderPresence(name="controlplanes/test", address=self.address)
        await put(self.store, [Put(LEADER_KEY, encode(presence))])
        self._term = asyncio.create_task(self.house.loop.run(self.store), name="a leader's term")

    async def resign(self) -> None:
        """Lead no more."""
        await self.store.commit(Txn(success=(Delete(LEADER_KEY),)))
        await self.end_term()

    async def end_term(self) -> None:
        """End the loop, and say nothing of it to anybody."""
        if self._term is not None:
            self._term.cancel()
            await asyncio.gather(self._term, return_exceptions=True)
            self._term = None

    async def close(self) -> None:
        """End everything."""
        await self.end_term()
        await self._stack.aclose()

    async def series(self, workload: str, signal: Signal, *, until: float, window: int = 3600) -> Series:
        """What was measured of a workload on the 5 min grid."""
        return await self.house.demand.series(workload, signal, 300, int(until), window)


async def save_workload(store: Store, workload: str, prometheus: dict[str, str] | None = None) -> None:
    """Write a workload, with as little as demand needs of it."""
    made = workload_pb2.Workload(
        name=f"workloads/{workload}", demand=workload_pb2.DemandProfile(prometheus=prometheus or {})
    )
    await put(store, [Put(keys.workload(workload), encode(made))])


def finite(series: Series) -> Sequence[float]:
    """The values of a series, gaps left out."""
    return [float(value) for value in series.values if value == value]  # noqa: PLR0124 - NaN differs from itself
