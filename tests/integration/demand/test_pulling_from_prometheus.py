"""Demand pulled from a real Prometheus: its past, what it scrapes, and what becomes of failures."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controlplane.demand.history import History
from controlplane.demand.measured import Demand
from controlplane.demand.prometheus import PrometheusSettings, PrometheusSource
from controlplane.demand.signals import DemandKey, Signal, Source
from controlplane.forecast.series import DAY, WEEK, FloatArray
from enchain.process.clock import ManualClock
from enchain.state.store import Store
from tests.harness.demand import Receiver, finite, save_workload
from tests.harness.metering import recorded
from tests.harness.prometheus import Exporter, Prometheus
from tests.harness.waiting import eventually

HOUR = 3600
CPU = DemandKey("site", Signal.CPU)
MEMORY = DemandKey("site", Signal.MEMORY)
NETWORK = DemandKey("site", Signal.NETWORK)
DAYS = 3
MISSING = (100, 106)
"""Cells of the past, counted from its end, in which nothing was scraped."""


def cores(times: NDArray[Any]) -> FloatArray:
    """What the two pods of the past used at some time, in all."""
    return 4 + 2 * np.sin(times / DAY * 2 * np.pi)


class Site:
    """A Prometheus with three days of past that end now, what it scrapes, and a history beside it."""

    def __init__(self, folder: Path) -> None:
        self.exporter = Exporter()
        self.prometheus = Prometheus(folder / "prometheus", self.exporter.address)
        self.now = time.time()
        self.end = int(self.now // 300) * 300
        self.clock = ManualClock(datetime.fromtimestamp(self.end + 300 + 31, UTC))
        self.history = History(folder / "history.sqlite", clock=self.clock)
        self.source = PrometheusSource(
            self.history, PrometheusSettings(self.prometheus.url), clock=self.clock
        )
        self.demand = Demand(self.history)

    async def fill(self) -> None:
        """Lay the past down: a value a minute, with a hole."""
        times = np.arange(self.end - DAYS * DAY, self.end + 1, 60)
        first, last = (self.end - cell * 300 for cell in reversed(MISSING))
        kept = times[(times < first) | (times > last)]
        samples = [
            (f'site_cores{{pod="{pod}"}}', float(at), float(value))
            for pod in "ab"
            for at, value in zip(kept, cores(kept) / 2, strict=True)
        ]
        await self.prometheus.fill("site_cores", samples)

    async def cells(self, key: DemandKey, start: int, count: int) -> list[float]:
        found = await self.history.read(key, start, start + count * 300)
        return list(map(float, found[Source.PROMETHEUS])) if found else []


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        site = Site(tmp_path)
        stack.callback(site.exporter.close)
        stack.push_async_callback(site.prometheus.kill)
        await site.fill()
        await site.prometheus.start()
        await site.history.open()
        stack.push_async_callback(site.history.close)
        yield site


async def test_the_past_is_filled_in_at_the_start_and_only_what_is_new_is_asked_for_later(
    site: Site,
) -> None:
    before = recorded("enchain.demand.samples", source="prometheus")
    await site.source.take({CPU: "site_cores"})  # not added up: the two pods' series are added here

    series, fresh = await site.demand.measured("site", Signal.CPU, 300, site.end, 2 * WEEK)
    # The cell that began at t holds what was reckoned at its end.
    there = np.isfinite(series.values)
    assert series.values[there] == pytest.approx(cores(series.times()[there] + 300), rel=1e-2)
    assert fresh.source == "prometheus"
    assert fresh.last == site.end - 300
    assert DAYS * 288 - 10 < fresh.points < DAYS * 288
    assert 0 < fresh.gaps < 0.01
    asked = recorded("enchain.demand.samples", source="prometheus") - before
    assert asked in (fresh.points, fresh.points + 1), "the cell that has not ended yet may have a value"

    await site.source.take({CPU: "site_cores"})
    assert recorded("enchain.demand.samples", source="prometheus") - before == asked, "nothing is new"
    site.clock.advance(300)
    await site.source.take({CPU: "site_cores"})
    assert recorded("enchain.demand.samples", source="prometheus") - before <= asked + 4


async def test_what_it_scrapes_becomes_demand(site: Site) -> None:
    for pod in "ab":
        site.exporter.held.labels(pod).set(1e6)
    await eventually(lambda: site.prometheus.has("exported_memory_bytes == 1e6"), within=20)

    # The cell that is under way ends within five minutes, for which the newest value counts.
    cell = int(time.time() // 300) * 300
    site.clock.advance(cell + 300 + 31 - site.clock.now().timestamp())

    await site.source.take({MEMORY: "sum(exported_memory_bytes)"})

    assert await site.cells(MEMORY, cell, 1) == [2e6]


async def test_bad_values_are_left_out_once_and_counted(site: Site) -> None:
    queries = {CPU: "-sum(site_cores)", MEMORY: "sum(site_cores) / 0", NETWORK: "0 * sum(site_cores) / 0"}

    await site.source.take(queries)
    counts = [await site.history.rejected(key, 0) for key in queries]
    site.clock.advance(300)
    await site.source.take(queries)

    assert [list(count) for count in counts] == [["NEGATIVE"], ["INFINITE"], ["NAN"]]
    assert all(count > DAYS * 288 - 20 for told in counts for count in told.values())
    again = [await site.history.rejected(key, 0) for key in queries]
    assert all(sum(new.values()) - sum(old.values()) <= 1 for new, old in zip(again, counts, strict=True))
    for key in queries:
        series, fresh = await site.demand.measured("site", key.signal, 300, site.end, WEEK)
        assert len(series) == 0
        assert fresh.rejected


async def test_a_query_that_it_refuses_is_shown_with_the_series_and_others_go_on(site: Site) -> None:
    before = recorded("enchain.demand.prometheus_failures", reason="QUERY_REFUSED")
    await site.source.take({CPU: "sum(", MEMORY: "sum(site_cores)"})

    assert "parse error" in site.history.fault(CPU)
    assert site.history.fault(MEMORY) == ""
    assert len(await site.demand.series("site", Signal.MEMORY, 300, site.end, DAY)) > 200
    assert recorded("enchain.demand.prometheus_failures", reason="QUERY_REFUSED") == before + 1

    await site.source.take({CPU: "sum(site_cores)", MEMORY: "sum(site_cores)"})
    assert site.history.fault(CPU) == ""


async def test_a_query_that_changed_replaces_all_that_the_other_one_gave(site: Site) -> None:
    await site.source.take({CPU: "sum(site_cores)"})
    await site.source.take({CPU: "2 * sum(site_cores)"})

    series = await site.demand.series("site", Signal.CPU, 300, site.end, DAY)
    there = np.isfinite(series.values)
    assert series.values[there] == pytest.approx(2 * cores(series.times()[there] + 300), rel=1e-2)


async def test_while_it_is_down_that_is_shown_and_afterwards_what_is_missing_is_asked_for(
    site: Site,
) -> None:
    await site.source.take({CPU: "sum(site_cores)"})
    await site.prometheus.kill()
    site.clock.advance(300)

    await site.source.take({CPU: "sum(site_cores)", MEMORY: "up"})
    assert "does not answer" in site.history.fault(CPU)
    assert site.history.fault(MEMORY) == site.history.fault(CPU)
    fresh = await site.demand.freshness("site", Signal.CPU, 300, site.end, DAY)
    assert fresh.points > 200
    assert fresh.fault == site.history.fault(CPU)

    await site.prometheus.start()
    await site.source.take({CPU: "sum(site_cores)"})
    assert site.history.fault(CPU) == ""


async def test_a_leader_pulls_by_the_queries_of_its_workloads(
    site: Site, store: Store, tmp_path: Path
) -> None:
    await save_workload(store, "site", {"cpu": "sum(site_cores)", "unheard_of": "up"})
    await save_workload(store, "other")
    receiver = await Receiver(store, tmp_path / "own.sqlite", prometheus=site.prometheus.url).start()
    await receiver.lead()
    try:

        async def pulled() -> bool:
            assert receiver.house.intake.is_open
            return len(finite(await receiver.series("site", Signal.CPU, until=site.end, window=DAY))) > 200

        await eventually(pulled, within=30)
        assert await receiver.house.demand.keys() == [CPU]
    finally:
        await receiver.close()


async def test_a_query_without_a_prometheus_is_told(store: Store, tmp_path: Path) -> None:
    await save_workload(store, "site", {"cpu": "sum(site_cores)"})
    receiver = await Receiver(store, tmp_path / "own.sqlite").start()
    await receiver.lead()
    try:

        async def told() -> bool:
            fresh = await receiver.house.demand.freshness("site", Signal.CPU, 300, int(time.time()), DAY)
            return "was given none" in fresh.fault

        await eventually(lambda: receiver.house.intake.is_open)
        await eventually(told)
    finally:
        await receiver.close()
