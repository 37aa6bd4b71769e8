"""The leader's loop that forecasts demand: every five minutes on the fine grid, every hour on the coarse one.

The election runs it in each term. A refresh reads what was measured and planned, lets the worker forecast
with every model that has enough to go on, combines, calibrates, and writes forecasts and their accuracy.
Where the worker is down the models that need numpy alone forecast here, in a thread, and the forecast says
so. What is decided is in `controlplane/forecast`; here is the order of reading and writing. What it keeps in
memory or on disk may be lost at any time: it costs days of observation, never correctness.
"""

import asyncio
import time
from collections.abc import Sequence
from random import Random

from controlplane.demand.measured import Demand
from controlplane.forecast import registry
from controlplane.forecast.grids import GRIDS, Grid
from controlplane.forecast.series import Window
from controlplane.forecast.serving import Desk
from controlplane.forecast.shelf import InUse, Shelf
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.client import Worker, reason_of
from controlplane.forecast.worker.members import Asker, Members
from controlplane.forecast.worker.wire import windows_out
from controlplane.loops.forecast_asked import SEED, Asked
from controlplane.loops.forecast_combining import Combining
from controlplane.loops.forecast_inputs import SETTLE_SECONDS, Input, gather
from controlplane.loops.forecast_past import LookingBack
from controlplane.loops.forecast_publishing import Publisher
from controlplane.loops.forecast_work import LeaderWork
from controlplane.loops.leadership import LeadershipLostError
from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state.follow import full_jitter
from enchain.state.store import Store

BUDGET_SECONDS = 40.0
"""How long local models may learn in one refresh; what is due beyond that waits for the next."""

BUDGET_SECONDS_HERE = 5.0
"""Likewise, while the worker is down."""

DEADLINE_SECONDS = 240.0
"""A worker that takes longer is ended: the next refresh of the fine grid would wait for it."""

_log = get_logger(__name__)
_meter = meter(__name__)
_refreshes = _meter.create_counter("enchain.forecast.refreshes", "{refresh}", "Refreshes by outcome.")
_seconds = _meter.create_histogram("enchain.forecast.refresh_time", "s", "What a refresh took, by grid.")
_unjudged = _meter.create_gauge(
    "enchain.forecast.unjudged_series", "{series}", "Series with models that were never judged."
)
_pending = _meter.create_gauge("enchain.forecast.pending_fits", "{fit}", "Fits that are due.")


class ForecastLoop:
    """Forecasts demand.

    Args:
        demand: Measured demand.
        worker: Where models run.
        shelf: Where learned models lie.
        book: How the models did.
        desk: Where the service of this process finds what only the leader knows.
        clock: Time.
        rng: Jitter.
    """

    name = "forecast demand"

    def __init__(
        self,
        demand: Demand,
        worker: Worker,
        shelf: Shelf,
        book: Trackbook,
        desk: Desk,
        *,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._demand = demand
        self._worker = worker
        self._shelf = shelf
        self._book = book
        self._desk = desk
        self._past = LookingBack(worker, book, monotonic=time.monotonic)
        self._clock = clock
        self._rng = rng
        self._here = {
            grid.id: Asker(horizon=grid.horizon, seed=SEED, monotonic=time.monotonic) for grid in GRIDS
        }

    async def run(self, store: Store) -> None:
        """Refresh each grid when its time has come, for ever."""
        publisher = self.publisher(store)
        due = dict.fromkeys(GRIDS, 0.0)
        failures = 0
        with self._desk.taken(LeaderWork(self._demand, self._book, self._clock)):
            try:
                while True:
                    now = self._clock.now().timestamp()
                    for grid in [each for each, when in due.items() if when <= now]:
                        well = await self.refresh(store, grid, publisher)
                        failures = 0 if well else failures + 1
                        due[grid] = _next(grid, now) if well else now + full_jitter(failures, self._rng)
                    wait = min(due.values()) - self._clock.now().timestamp()
                    await self._clock.sleep(max(wait, 0.0))
            finally:
                await self._worker.close()

    def publisher(self, store: Store) -> Publisher:
        """Answer what publishes the forecasts of one term."""
        return Publisher(store, self._book, Combining(self._worker, self._book), self._clock)

    async def refresh(self, store: Store, grid: Grid, publisher: Publisher) -> bool:
        """Refresh all forecasts of a grid; false where the store or the history did not let it."""
        began = self._clock.monotonic()
        try:
            inputs = await gather(self._demand, store, grid, int(self._clock.now().timestamp()))
            if inputs:
                await self._forecast(inputs, grid, publisher)
        except LeadershipLostError:
            raise
        except EnchainError as error:
            _log.warning("forecasting waits", grid=grid.id, reason=error.reason, fault=error.message)
            _refreshes.add(1, {"grid": grid.id, "outcome": error.reason})
            return False
        _refreshes.add(1, {"grid": grid.id, "outcome": "done"})
        _seconds.record(self._clock.monotonic() - began, {"grid": grid.id})
        return True

    async def _forecast(self, inputs: Sequence[Input], grid: Grid, publisher: Publisher) -> None:
        windows = [each.cleaned for each in inputs]
        allowed = publisher.allowed(inputs)
        wanted = {
            name: indices
            for name in registry.NAMES
            if (indices := [index for index, some in enumerate(allowed) if name in some])
        }
        in_use = await asyncio.to_thread(self._in_use, grid)
        asked = Asked(wanted, {name: str(each.path) for name, each in in_use.items()})
        members = await self._ask(windows, asked, grid)
        _pending.set(members.pending, {"grid": grid.id})
        waiting = await self._past.look_back(inputs, members, asked, grid)
        _unjudged.set(waiting, {"grid": grid.id})
        versions = {name: each.version for name, each in in_use.items()}
        await publisher.publish(inputs, members, allowed, versions, grid)

    async def _ask(self, windows: Sequence[Window], asked: Asked, grid: Grid) -> Members:
        """Ask the worker; where it is down, the models that can forecast here."""
        said, arrays = windows_out(windows)
        body = {**asked.body(grid, BUDGET_SECONDS), "windows": said}
        try:
            answer = await self._worker.ask("forecast", body, arrays, deadline_seconds=DEADLINE_SECONDS)
        except EnchainError as error:
            reason = reason_of(error)
            _log.warning("forecasting without the worker", grid=grid.id, reason=reason, fault=error.message)
            light = {name: indices for name, indices in asked.wanted.items() if name in registry.LIGHT}
            members = await asyncio.to_thread(
                self._here[grid.id].ask, windows, light, {}, BUDGET_SECONDS_HERE
            )
            members.failures |= {name: (reason, "") for name in asked.wanted if name not in light}
            return members
        failures = {name: (str(why[0]), str(why[1])) for name, why in answer.body["failures"].items()}
        seconds = {name: float(took) for name, took in answer.body["seconds"].items()}
        return Members(dict(answer.arrays), failures, seconds, int(answer.body["pending"]))

    def _in_use(self, grid: Grid) -> dict[str, InUse]:
        found = {name: self._shelf.in_use(grid.id, name) for name in registry.GLOBAL}
        return {name: each for name, each in found.items() if each is not None}


def _next(grid: Grid, now: float) -> float:
    """Answer when the next value of a grid has settled."""
    passed = (now - SETTLE_SECONDS) // grid.step_seconds
    return (passed + 1) * grid.step_seconds + SETTLE_SECONDS
