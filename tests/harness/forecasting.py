"""A forecasting leader for tests: a real history, real workers, the loops as a leader runs them.

A test writes what was measured, moves time by hand, and sees what is published in the store.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np

from controlplane.demand.history import History
from controlplane.demand.measured import Demand
from controlplane.demand.signals import CELL_SECONDS, DemandKey, Signal, Source
from controlplane.forecast.series import FloatArray
from controlplane.forecast.serving import Desk
from controlplane.forecast.shelf import Shelf
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.client import Worker
from controlplane.loops.forecast_jobs import ForecastJobsLoop
from controlplane.loops.forecasting import ForecastLoop
from enchain.chains.names import workload_name
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, Store, put
from enchain.v1 import forecast_pb2, workload_pb2
from tests.harness.waiting import eventually

NOW = datetime(2026, 11, 23, 12, 1, 30, tzinfo=UTC)
END = int(NOW.timestamp()) // CELL_SECONDS * CELL_SECONDS
"""End of the newest cell that is measured when a test begins."""


def daily(days: float, *, seed: int = 1, level: float = 10.0) -> FloatArray:
    """Demand with a daily shape and some noise, at 5 min, shape (days * 288,), up to `END`."""
    count = int(days * 288)
    phase = (END - CELL_SECONDS * np.arange(count, 0, -1)) / 86_400 * 2 * np.pi
    noise = np.random.default_rng(seed).normal(0, 0.05, count)
    return level * np.maximum(1 + 0.5 * np.sin(phase) + noise, 0.01)


class ForecastingLeader:
    """The leader's forecasting loops over a store.

    Args:
        store: The store.
        folder: Where history, models and tracks lie.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.clock = ManualClock(NOW)
        self.history = History(folder / "demand.sqlite", clock=self.clock)
        self.demand = Demand(self.history)
        self.forecasts = Worker("forecasts", self.clock, environment={"OMP_NUM_THREADS": "1"})
        self.jobs = Worker("jobs", self.clock, environment={"OMP_NUM_THREADS": "1"})
        self.shelf = Shelf(folder / "models")
        self.book = Trackbook(folder / "tracks")
        self.desk = Desk()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Open the history."""
        await self.history.open()

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.forecasts.close()
        await self.jobs.close()
        await self.history.close()

    async def measure(self, workload: str, signal: Signal, values: FloatArray, *, end: int = END) -> None:
        """Put down what was measured up to a time, and a workload that it is of."""
        await self.workload(workload)
        key, start = DemandKey(workload, signal), end - CELL_SECONDS * len(values)
        await self.history.begin(key, Source.PROMETHEUS, "up")
        await self.history.put(key, Source.PROMETHEUS, start, values)

    async def workload(
        self, workload: str, peaks: Sequence[workload_pb2.StatedPeak] = (), *, holidays: str = ""
    ) -> None:
        """Put a workload down, where it is not there."""
        if await self.store.get(keys.workload(workload)) is None:
            message = workload_pb2.Workload(name=workload_name(workload))
            message.demand.holidays = holidays
            message.demand.peaks.extend(peaks)
            await put(self.store, [Put(keys.workload(workload), encode(message))])

    def start_forecasting(self) -> None:
        """Forecast as a leader does."""
        loop = ForecastLoop(
            self.demand, self.forecasts, self.shelf, self.book, self.desk, clock=self.clock, rng=Random(1)
        )
        self._tasks.append(asyncio.create_task(loop.run(self.store), name="forecast, as leader"))

    def start_jobs(self) -> None:
        """Run jobs as a leader does."""
        loop = ForecastJobsLoop(self.demand, self.jobs, self.shelf, clock=self.clock, rng=Random(1))
        self._tasks.append(asyncio.create_task(loop.run(self.store), name="run jobs, as leader"))

    async def forecast(
        self, workload: str, forecast: str, *, after: int = 0, within: float = 90.0
    ) -> forecast_pb2.Forecast:
        """Wait for a forecast whose origin is later than a time."""

        async def there() -> forecast_pb2.Forecast | None:
            self._check()
            item = await self.store.get(keys.forecast(workload, forecast))
            if item is None:
                return None
            message = decode(forecast_pb2.Forecast, item.value)
            return message if message.origin_time.seconds > after else None

        found = await eventually(there, within=within)
        assert found is not None
        return found

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def _check(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()


def shares(forecast: forecast_pb2.Forecast) -> Mapping[str, str]:
    """By model, why it has no share; empty where it has."""
    return {each.model: each.reason for each in forecast.models}


def later(cells: int) -> timedelta:
    """So many cells later."""
    return timedelta(seconds=cells * CELL_SECONDS)
