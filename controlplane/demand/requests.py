"""The rate of requests as demand: from what was folded out of the outbox into the history, every minute.

The leader's demand loop runs it. Minutes that are not complete are left out: those in which an operation was
admitted that still runs, or has ended and was not folded yet. `rates` is pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from ulid import ULID

from controlplane.demand.history import History
from controlplane.demand.intake import count_taken
from controlplane.demand.request_rate import RequestRateReader, Statistics
from controlplane.demand.signals import CELL_SECONDS, HOUR_SECONDS, DemandKey, Signal, Source
from controlplane.forecast.series import DAY, FloatArray
from enchain.chains.errors import EnchainError, MalformedError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import full_jitter
from enchain.state.store import KeyValue, Store
from enchain.v1 import operation_pb2

PACE_SECONDS = 60.0

SETTLING_SECONDS = 60
"""An admission may take so long to be seen, and clocks of routers may differ by so much."""

WAIT_SECONDS_MAX = HOUR_SECONDS
"""A minute is waited for no longer, whatever still runs of it. What ends later is added then."""

REACH_SECONDS = 2 * DAY
"""How far back rates are answered. Statistics hold a day."""

PAGE = 500

_MINUTES = CELL_SECONDS // 60
_PER_HOUR = HOUR_SECONDS / CELL_SECONDS

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of a workload last.

    Attributes:
        revision: Of the statistics.
        until: End of the last cell.
    """

    revision: int
    until: int


def rates(statistics: Statistics, until: float) -> tuple[int, FloatArray]:
    """Answer provisioning requests an hour, cell by cell.

    Args:
        statistics: Of one workload.
        until: What was admitted from then on is not complete.

    Returns:
        Beginning of the first cell, and the rates, shape (n,). After the newest request they are 0: it is
        known that nothing came. Before the oldest that is counted nothing is known.
    """
    first = statistics.first_minute.seconds // 60
    counted = sum(map(sum, (statistics.provisions, statistics.updates, statistics.deprovisions)))
    # The oldest counts were dropped, so the first cell may be short of some. Else nothing had come before.
    whole = -(-first // _MINUTES) if counted < statistics.requests else first // _MINUTES
    last = int(until // CELL_SECONDS)
    # Nothing older is ever written, and a first minute put by hand may be any.
    whole = max(whole, last - REACH_SECONDS // CELL_SECONDS)
    count = max(0, last - whole) if counted else 0
    minutes = np.zeros(count * _MINUTES)
    known = np.array(statistics.provisions, dtype=np.float64)
    place = first - whole * _MINUTES
    known, place = known[max(0, -place) :], max(0, place)
    known = known[: max(0, len(minutes) - place)]
    minutes[place : place + len(known)] = known
    return whole * CELL_SECONDS, minutes.reshape(-1, _MINUTES).sum(axis=1) * _PER_HOUR


class RequestRates:
    """Reads rates of requests into the history.

    Args:
        history: Where they go.
        clock: Time.
        rng: Jitter.
    """

    def __init__(self, history: History, *, clock: Clock, rng: Random) -> None:
        self._history = history
        self._clock = clock
        self._rng = rng
        self._written: dict[str, Written] = {}

    async def run(self, store: Store) -> None:
        """Read again and again, for ever."""
        self._written.clear()
        failures = 0
        while True:
            try:
                await self.take(store)
                failures = 0
                await self._clock.sleep(PACE_SECONDS)
            except EnchainError as error:
                failures += 1
                _log.warning("rates of requests not read", reason=error.reason, fault=error.message)
                await self._clock.sleep(full_jitter(failures, self._rng))

    async def take(self, store: Store) -> None:
        """Read once what is complete by now.

        Raises:
            EnchainError: The store or the history failed; what was not written is written the next time.
        """
        now = self._clock.now().timestamp()
        # In this order: what ends meanwhile is then seen in one of the three at least.
        running = await _running(store, now)
        folded = await _folded_until(store, now)
        prefix = keys.learned(RequestRateReader.name, "")
        for item in await _all(store, prefix):
            workload = item.key.removeprefix(prefix)
            until = min(now - SETTLING_SECONDS, folded, running.get(workload, now))
            await self._put(workload, item, until)

    async def _put(self, workload: str, item: KeyValue, until: float) -> None:
        try:
            statistics = decode(Statistics, item.value, key=item.key)
        except MalformedError as error:
            _log.warning("rate of requests cannot be read", workload=workload, fault=error.message)
            return
        start, values = rates(statistics, until)
        before = self._written.get(workload)
        # Only what ended of late changes what is known of the past, and that reaches back for a day.
        unchanged = before is not None and before.revision == item.mod_revision
        since = before.until if before is not None and unchanged else int(until) - DAY
        skipped = min(len(values), max(0, -(-(since - start) // CELL_SECONDS)))
        start, values = start + skipped * CELL_SECONDS, values[skipped:]
        if len(values):
            key = DemandKey(workload, Signal.REQUESTS)
            await self._history.put(key, Source.REQUESTS, start, values)
            count_taken(len(values), Source.REQUESTS)
            self._written[workload] = Written(item.mod_revision, start + len(values) * CELL_SECONDS)


async def _running(store: Store, now: float) -> Mapping[str, float]:
    """Answer when the oldest operation was admitted that still runs, by workload."""
    oldest: dict[str, float] = {}
    for item in await _all(store, keys.ACTIVE):
        try:
            active = decode(operation_pb2.ActiveOperation, item.value, key=item.key)
        except MalformedError:
            continue
        time = _admitted(item.key.removeprefix(keys.ACTIVE))
        # Those that wait for a person may wait for days.
        if not active.held and time is not None and now - time < WAIT_SECONDS_MAX:
            workload = active.workload.removeprefix("workloads/")
            oldest[workload] = min(time, oldest.get(workload, time))
    return oldest


async def _folded_until(store: Store, now: float) -> float:
    """Answer when the oldest operation was admitted that has ended and was not folded yet; else now."""
    listing = await store.list(keys.OUTBOX, limit=PAGE, keys_only=True)
    times = [_admitted(item.key.removeprefix(keys.OUTBOX)) for item in listing.items]
    return min((time for time in times if time is not None and now - time < WAIT_SECONDS_MAX), default=now)


def _admitted(operation: str) -> float | None:
    """Answer when an operation was admitted, by its id, which is a ULID."""
    try:
        return float(ULID.from_str(operation).timestamp)
    except ValueError:
        return None


async def _all(store: Store, prefix: str) -> list[KeyValue]:
    found: list[KeyValue] = []
    after = ""
    while True:
        page = await store.list(prefix, limit=PAGE, start_after=after)
        found += page.items
        if not page.more:
            return found
        after = page.items[-1].key
