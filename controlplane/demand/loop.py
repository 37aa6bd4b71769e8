"""What the leader does about demand, in each term: open the history, take demand in, forget what is old.

The election runs it. While it runs, `Intake` takes exports in and `Demand` can be read; outside a term the
history is closed. Nothing that fails here ends the term: without demand there is still a leader.
"""

from collections.abc import Mapping
from random import Random
from typing import Protocol

from controlplane.demand.history import History
from controlplane.demand.requests import RequestRates
from controlplane.demand.signals import DemandKey
from controlplane.demand.workloads import Workloads
from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.lifecycle import Tasks
from enchain.process.logs import get_logger
from enchain.state.follow import full_jitter
from enchain.state.store import Store

SETTLE_PACE_SECONDS = 300.0

PULL_PACE_SECONDS = 60.0

FIRST_PULL_SECONDS = 1.0

NO_PROMETHEUS = "the workload's profile has a query for a Prometheus, and this control plane was given none"

_log = get_logger(__name__)


class Puller(Protocol):
    """Asks for demand by the queries of workload profiles: `controlplane.demand.prometheus`."""

    async def take(self, queries: Mapping[DemandKey, str]) -> None:
        """Ask once for what is missing; whatever fails is counted and shown."""


class DemandLoop:
    """Everything about demand that only the leader does.

    Args:
        history: Where demand is kept.
        workloads: Which workloads there are; followed while this runs.
        puller: Asks a Prometheus; None where there is none.
        clock: Time.
        rng: Jitter.
    """

    name = "take demand in"

    def __init__(
        self,
        history: History,
        workloads: Workloads,
        *,
        clock: Clock,
        rng: Random,
        puller: Puller | None = None,
    ) -> None:
        self._history = history
        self._workloads = workloads
        self._puller = puller
        self._clock = clock
        self._rng = rng

    async def run(self, store: Store) -> None:
        """Take demand in, for ever."""
        try:
            await self._open()
            rates = RequestRates(self._history, clock=self._clock, rng=self._rng)
            followed = self._workloads.follow(store, clock=self._clock, rng=self._rng)
            async with Tasks() as tasks:
                tasks.start("follow the workloads that demand is measured of", followed)
                tasks.start("read rates of requests", rates.run(store))
                tasks.start("pull demand from a Prometheus", self._pull())
                await self._settle()
        finally:
            await self._history.close()

    async def _open(self) -> None:
        """Open the history, however long another process has it."""
        failures = 0
        while True:
            try:
                await self._history.open()
            except EnchainError as error:
                failures += 1
                _log.warning("history not opened", reason=error.reason, fault=error.message)
                await self._clock.sleep(full_jitter(failures, self._rng))
            else:
                _log.info("history opened", path=str(self._history.path))
                return

    async def _settle(self) -> None:
        while True:
            try:
                await self._history.settle()
            except EnchainError as error:
                _log.warning("history not settled", reason=error.reason, fault=error.message)
            await self._clock.sleep(SETTLE_PACE_SECONDS)

    async def _pull(self) -> None:
        while True:
            queries = self._workloads.queries()
            self._history.faults = {key: text for key, text in self._history.faults.items() if key in queries}
            if self._puller is not None:
                await self._puller.take(queries)
            else:
                self._history.faults = dict.fromkeys(queries, NO_PROMETHEUS)
            # The workloads come a moment after the beginning of a term.
            await self._clock.sleep(PULL_PACE_SECONDS if self._workloads.complete else FIRST_PULL_SECONDS)
