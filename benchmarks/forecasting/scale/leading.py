"""The forecasting loop of a leader, driven by hand over a real history, a real etcd and real workers.

The benchmark moves time; each refresh is timed as a whole and by what the worker was asked in it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.forecasting.scale.timing import Asked, TimedWorker, memory_mib
from controlplane.demand.history import History
from controlplane.demand.measured import Demand
from controlplane.demand.signals import CELL_SECONDS, DemandKey, Source
from controlplane.forecast.grids import FINE
from controlplane.forecast.port import silent
from controlplane.forecast.registry import GLOBAL
from controlplane.forecast.series import FloatArray
from controlplane.forecast.serving import Desk
from controlplane.forecast.shelf import Shelf
from controlplane.forecast.track import BOUND, Track
from controlplane.forecast.trackbook import Trackbook
from controlplane.loops.forecast_inputs import SETTLE_SECONDS
from controlplane.loops.forecast_trainings import Trainings
from controlplane.loops.forecasting import ForecastLoop
from enchain.chains.names import workload_name
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import forecast_pb2, workload_pb2


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh.

    Attributes:
        wall: Seconds of the clock on the wall.
        leader_cpu: CPU seconds of the leader's process.
        asked: What the worker was asked.
    """

    wall: float
    leader_cpu: float
    asked: tuple[Asked, ...]

    @property
    def cpu(self) -> float:
        """CPU seconds of leader and worker."""
        return self.leader_cpu + sum(each.cpu for each in self.asked)

    @property
    def is_settled(self) -> bool:
        """Whether every fit is made and every series' models were judged."""
        return not any(each.pending or each.kind == "rolling" for each in self.asked)


class Leading:
    """A leader's forecasting over `folder`.

    Args:
        store: A store.
        folder: Where history, models and tracks lie.
        end: End of the newest measured cell when it begins.
        series: What is measured, by key, up to `end` and beyond: the rest is measured as time moves on.
        known: How many values of each are measured at the beginning.
    """

    def __init__(
        self, store: Store, folder: Path, end: int, series: Mapping[DemandKey, FloatArray], known: int
    ) -> None:
        self._store = store
        self._series = series
        self._known = known
        self._start = end - known * CELL_SECONDS
        self._clock = ManualClock(datetime.fromtimestamp(end + SETTLE_SECONDS + 1, UTC))
        self._history = History(folder / "history.sqlite", clock=self._clock)
        self._demand = Demand(self._history)
        self._shelf = Shelf(folder / "learned" / "models")
        self._book = Trackbook(folder / "learned" / "tracks")
        self._worker, self._jobs = TimedWorker("forecasts", self._clock), TimedWorker("jobs", self._clock)
        self._loop = ForecastLoop(
            self._demand, self._worker, self._shelf, self._book, Desk(), clock=self._clock, rng=Random(1)
        )
        self._publisher = self._loop.publisher(store)

    async def open(self) -> None:
        """Write down what is measured at the beginning, and whose it is."""
        await self._history.open()
        for workload in sorted({key.workload for key in self._series}):
            message = workload_pb2.Workload(name=workload_name(workload))
            await put(self._store, [Put(keys.workload(workload), encode(message))])
        for key, values in self._series.items():
            await self._history.begin(key, Source.PROMETHEUS, "up")
            await self._history.put(key, Source.PROMETHEUS, self._start, values[: self._known])

    async def close(self) -> None:
        """End the workers and close the history."""
        await self._worker.close()
        await self._jobs.close()
        await self._history.close()

    async def train(self, seeds: int) -> dict[str, float]:
        """Train the global models as a job does; answer what each took in seconds."""
        trainings = Trainings(self._demand, self._store, self._jobs, self._shelf, self._clock)
        asked = forecast_pb2.TrainForecasterRequest(grid=FINE.id, seeds=seeds)
        await trainings.train(asked, silent)
        found = {name: self._shelf.in_use(FINE.id, name) for name in GLOBAL}
        return {name: float(each.report["seconds"]) for name, each in found.items() if each is not None}

    async def measure(self, cells: int) -> None:
        """Let so many cells pass and be measured."""
        for key, values in self._series.items():
            new = values[self._known : self._known + cells]
            start = self._start + self._known * CELL_SECONDS
            await self._history.put(key, Source.PROMETHEUS, start, new)
        self._known += cells
        self._clock.advance(cells * CELL_SECONDS)

    async def refresh(self) -> Refresh:
        """Refresh the fine grid, as the loop does when its time has come."""
        began, used = time.perf_counter(), time.process_time()
        if not await self._loop.refresh(self._store, FINE, self._publisher):
            raise SystemExit("a refresh failed; see the log")
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        return Refresh(wall, cpu, tuple(self._worker.taken()))

    def judged(self) -> dict[str, int]:
        """Answer of how many series each model was judged."""
        found: dict[str, int] = {}
        for name in self._names():
            entry = self._book.entry(name)
            for member in () if entry is None else entry.members:
                found[member] = found.get(member, 0) + 1
        return found

    def lengthen(self) -> None:
        """Make every track as long as tracks become, as though refreshes had gone on for days."""
        for name in self._names():
            track = self._book.get(name)
            if track is not None:
                self._book.put(name, lengthened(track))

    def worker_mib(self) -> float:
        """Answer the most memory that the process that forecasts has had."""
        return 0.0 if self._worker.pid is None else memory_mib(self._worker.pid, "VmHWM")

    @property
    def end(self) -> int:
        """End of the newest measured cell, seconds since the epoch."""
        return self._start + self._known * CELL_SECONDS

    def _names(self) -> list[str]:
        return [f"{key.workload}/{key.signal}-{FINE.id}" for key in self._series]


def lengthened(track: Track) -> Track:
    """Answer a track with as many origins as one keeps: what it has, repeated every hour further back."""
    whole = np.isfinite(track.actuals).all(axis=1)
    places = np.resize(np.flatnonzero(whole), BOUND - 1)
    apart = FINE.keep_every * FINE.step_seconds
    origins = track.origins[-1] - apart * np.arange(BOUND - 1, 0, -1, dtype=np.int64)
    return Track(
        track.members,
        track.step_seconds,
        np.append(origins, track.origins[-1]),
        np.concatenate([track.forecasts[places], track.forecasts[-1:]]),
        np.concatenate([track.actuals[places], track.actuals[-1:]]),
    )
