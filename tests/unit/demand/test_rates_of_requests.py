"""Rates of requests: from counts by minute to demand, and no minute before it is complete."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from ulid import ULID

from controlplane.demand.history import History
from controlplane.demand.request_rate import RequestRateReader
from controlplane.demand.requests import RequestRates, rates
from controlplane.demand.signals import DemandKey, Signal, Source
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.memory import MemoryStore
from enchain.state.store import Delete, Put, Txn, put
from enchain.v1 import operation_pb2
from tests.harness.outbox import START, Statistics, entry

BEGIN = int(START.timestamp())
READER = RequestRateReader()
KEY = DemandKey("site", Signal.REQUESTS)
ANOTHER = DemandKey("web", Signal.REQUESTS)


def counted(*minutes: int, workload: str = "site") -> Statistics:
    """Statistics of provisions admitted in these minutes."""
    return READER.fold(READER.empty(workload), [entry(minute) for minute in minutes])


def told(statistics: Statistics, minutes: float) -> tuple[int, list[float]]:
    """Rates until so many minutes after the start: the first cell, counted from there, and the values."""
    start, values = rates(statistics, BEGIN + minutes * 60)
    return (start - BEGIN) // 300, [float(value) for value in values]


def test_counts_become_rates_an_hour_and_after_the_newest_there_is_none() -> None:
    assert told(counted(0, 0, 4, 5), 21) == (0, [36, 12, 0, 0])


def test_a_cell_that_is_not_complete_is_left_out() -> None:
    assert told(counted(0, 5), 9.9) == (0, [12])
    assert told(counted(0, 5), 4) == (0, [])


def test_only_provisions_count_and_before_the_first_request_nothing_had_come() -> None:
    statistics = READER.fold(counted(7), [entry(8, verb=operation_pb2.VERB_UPDATE)])

    assert told(statistics, 10) == (1, [12])


def test_where_older_counts_were_dropped_the_first_cell_that_is_whole_comes_first() -> None:
    day = 24 * 60
    statistics = counted(0, day + 2)  # the newest minute and a day back: minute 3 is the first

    start, values = told(statistics, day + 5)
    assert start == 1
    assert values == [0] * (day // 5 - 1) + [12]


def test_what_was_never_counted_has_no_cells_of_the_past() -> None:
    assert not len(rates(Statistics(workload="workloads/site"), BEGIN)[1])


def test_statistics_put_by_hand_reach_back_no_further_than_others() -> None:
    by_hand = Statistics(workload="workloads/site", provisions=[1], requests=1)

    start, values = rates(by_hand, BEGIN)
    assert start == BEGIN - 2 * 24 * 3600
    assert len(values) == 2 * 288


class Loop:
    """The reader over a store in memory and a real history."""

    def __init__(self, store: MemoryStore, folder: Path) -> None:
        self.store = store
        self.clock = ManualClock(START + timedelta(minutes=31))
        self.history = History(folder / "history.sqlite", clock=self.clock)
        self.rates = RequestRates(self.history, clock=self.clock, rng=Random(1))

    async def learn(self, *minutes: int, workload: str = "site") -> None:
        key = keys.learned(READER.name, workload)
        await put(self.store, [Put(key, encode(counted(*minutes, workload=workload)))])

    async def run(self, minute: float, workload: str = "site", **more: Any) -> str:
        """Write that an operation runs that was admitted in a minute; answer its key."""
        admitted = (START + timedelta(minutes=minute)).astimezone(UTC)
        key = keys.active(str(ULID.from_datetime(admitted)))
        active = operation_pb2.ActiveOperation(workload=f"workloads/{workload}", **more)
        await put(self.store, [Put(key, encode(active))])
        return key

    async def cells(self, key: DemandKey = KEY) -> list[float]:
        await self.rates.take(self.store)
        found = await self.history.read(key, BEGIN, BEGIN + 36 * 300)
        values = found.get(Source.REQUESTS, np.empty(0))
        return [float(value) for value in values[np.isfinite(values)]]


@pytest.fixture
async def loop(memory_store: MemoryStore, tmp_path: Path) -> Any:
    made = Loop(memory_store, tmp_path)
    await made.history.open()
    yield made
    await made.history.close()


async def test_complete_minutes_are_written_and_the_next_ones_later(loop: Loop) -> None:
    await loop.learn(0, 1, 29)
    assert await loop.cells() == [24, 0, 0, 0, 0, 12]

    loop.clock.advance(300)
    assert await loop.cells() == [24, 0, 0, 0, 0, 12, 0]


async def test_minutes_with_operations_that_run_wait_for_them_and_other_workloads_do_not(loop: Loop) -> None:
    await loop.learn(0, 1, 29)
    await loop.learn(0, workload="web")
    key = await loop.run(12)

    assert await loop.cells() == [24, 0]
    assert await loop.cells(ANOTHER) == [12, 0, 0, 0, 0, 0]

    await loop.store.commit(Txn(success=(Delete(key),)))
    await loop.learn(0, 1, 12, 29)
    assert await loop.cells() == [24, 0, 12, 0, 0, 12]


async def test_what_waits_for_a_person_or_for_an_hour_is_not_waited_for(loop: Loop) -> None:
    await loop.learn(0, 1, 29)
    await loop.run(12, held=True)
    loop.clock.advance(3600)
    await loop.run(29)

    assert len(await loop.cells()) == 18


async def test_what_has_ended_and_is_not_folded_is_waited_for(loop: Loop) -> None:
    await loop.learn(0)
    ended = ULID.from_datetime(START + timedelta(minutes=16))
    await put(loop.store, [Put(keys.outbox(str(ended)), b"{}"), Put(keys.outbox("strange"), b"{}")])

    assert await loop.cells() == [12, 0, 0]


async def test_what_cannot_be_read_is_passed_over(loop: Loop) -> None:
    await put(loop.store, [Put(keys.learned(READER.name, "web"), b"no JSON"), Put(keys.active("x"), b"[]")])
    await loop.learn(0)

    assert await loop.cells() == [12, 0, 0, 0, 0, 0]


async def test_a_count_that_comes_late_amends_what_was_written(loop: Loop) -> None:
    await loop.learn(0)
    await loop.cells()
    await loop.learn(0, 6)

    assert await loop.cells() == [12, 12, 0, 0, 0, 0]


def test_the_start_is_a_whole_cell() -> None:
    assert datetime.fromtimestamp(BEGIN, UTC) == START
    assert BEGIN % 300 == 0
