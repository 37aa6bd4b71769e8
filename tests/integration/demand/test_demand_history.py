"""The history on a real file: what it keeps, how it is bounded, and what it survives."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from controlplane.demand.appending import Limits
from controlplane.demand.history import WAITING_MAX, History
from controlplane.demand.samples import Kind, Line, Point, Reason
from controlplane.demand.settling import AGE_SECONDS, SETTLE_SECONDS
from controlplane.demand.signals import DemandKey, Signal, Source
from enchain.chains.errors import ExhaustedError, UnavailableError
from enchain.process.clock import ManualClock
from tests.harness.demand_writer import START, point
from tests.harness.metering import recorded

BEGIN = int(START.timestamp())
MEMORY = DemandKey("site", Signal.MEMORY)
CPU = DemandKey("site", Signal.CPU)
NAN = float("nan")


class Kept:
    """A history, its file and its clock."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.path = folder / "deep" / "history.sqlite"
        self.clock = ManualClock(START)
        self.history = History(self.path, clock=self.clock, limits=limits)

    def gauge(
        self, minute: float, value: float, *, resource: str = "r", part: str = "p", reporter: str = ""
    ) -> Point:
        line = Line("site", Signal.MEMORY, resource, part, 0)
        return Point(line, reporter, Kind.GAUGE, 0, BEGIN + minute * 60, value)

    async def cells(self, key: DemandKey = MEMORY, count: int = 4, start: int = BEGIN) -> list[float]:
        """What was pushed, or else put, from the beginning on."""
        found = await self.history.read(key, start, start + count * 300)
        return list(map(float, next(iter(found.values())))) if found else []

    async def reopen(self) -> None:
        await self.history.close()
        await self.history.open()


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path)
    await made.history.open()
    yield made
    await made.history.close()


async def test_pushed_samples_become_cells_and_are_there_after_another_start(kept: Kept) -> None:
    kept.clock.advance(900)
    left = await kept.history.append(
        [
            kept.gauge(0, 1),
            kept.gauge(1, 3),
            kept.gauge(1, 10, resource="s"),
            kept.gauge(11, 7),
            kept.gauge(11, 0, resource="s"),
        ]
    )

    assert not left
    np.testing.assert_equal(await kept.cells(), [12, NAN, 7, NAN])
    await kept.reopen()
    np.testing.assert_equal(await kept.cells(), [12, NAN, 7, NAN])
    assert await kept.history.keys() == [MEMORY]


async def test_the_newest_sample_is_known_after_another_start(kept: Kept) -> None:
    kept.clock.advance(600)
    await kept.history.append([kept.gauge(2, 1)])
    await kept.reopen()

    left = await kept.history.append([kept.gauge(2, 5), kept.gauge(1, 5), kept.gauge(3, 3)])

    assert left == {(MEMORY, Reason.DUPLICATE): 1, (MEMORY, Reason.OUT_OF_ORDER): 1}
    assert (await kept.cells())[0] == 2
    assert await kept.history.rejected(MEMORY, BEGIN) == {"DUPLICATE": 1, "OUT_OF_ORDER": 1}
    assert await kept.history.rejected(MEMORY, BEGIN + 3600) == {}
    assert await kept.history.rejected(CPU, BEGIN) == {}


async def test_an_export_that_comes_twice_counts_once(kept: Kept) -> None:
    export = [kept.gauge(0, 4), kept.gauge(1, 8)]
    kept.clock.advance(120)
    await kept.history.append(export)

    left = await kept.history.append(export)

    assert sum(left.values()) == 2
    assert (await kept.cells())[0] == 6


async def test_a_counter_goes_on_where_another_reporter_takes_over(kept: Kept) -> None:
    line = Line("site", Signal.CPU, "r", "p", 0)

    def told(second: float, value: float, reporter: str) -> Point:
        return Point(line, reporter, Kind.CUMULATIVE, BEGIN, BEGIN + second, value)

    kept.clock.advance(600)
    await kept.history.append([told(0, 100, "a"), told(100, 200, "a")])
    await kept.history.append([told(120, 0, "b"), told(220, 50, "b")])

    assert await kept.cells(CPU, 1) == [pytest.approx(0.75)]


async def test_more_series_than_are_kept_are_refused_and_the_known_ones_go_on(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Limits(series=4, workload_series=2))
    await kept.history.open()
    kept.clock.advance(120)
    left = await kept.history.append([kept.gauge(0, 1, resource=name) for name in "abcd"])
    assert left == {(MEMORY, Reason.TOO_MANY_SERIES): 2}

    again = await kept.history.append([kept.gauge(1, 3, resource=name) for name in "abc"])
    assert again == {(MEMORY, Reason.TOO_MANY_SERIES): 1}
    other = [
        replace(each, line=replace(each.line, workload=name))
        for name in ("web", "api", "low")
        for each in [kept.gauge(1, 3)]
    ]
    assert await kept.history.append(other) == {(DemandKey("low", Signal.MEMORY), Reason.TOO_MANY_SERIES): 1}

    assert (await kept.cells())[0] == 4
    await kept.history.close()


async def test_settled_cells_say_the_same_and_resources_that_are_gone_leave_nothing_behind(
    kept: Kept,
) -> None:
    kept.clock.advance(3000)
    passing = [kept.gauge(minute, 1, resource=f"r{minute}") for minute in range(0, 50, 5)]
    staying = [kept.gauge(minute, 1, resource=name) for minute in range(0, 50, 5) for name in "abcd"]
    await kept.history.append(passing + staying)
    before = await kept.cells(count=12)
    assert before[:10] == [5, 6, 7, 8, 8, 8, 8, 8, 8, 8]

    for _ in range(4):
        kept.clock.advance(1800)
        await kept.history.settle()
        np.testing.assert_equal((await kept.cells(count=12))[:10], before[:10])
    kept.clock.advance(SETTLE_SECONDS)
    await kept.history.settle()

    np.testing.assert_equal((await kept.cells(count=12))[:10], before[:10])
    with closing(sqlite3.connect(kept.path)) as connection:
        for table in ("lines", "newest", "parts"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    late = await kept.history.append([kept.gauge(55, 1)])
    assert late == {(MEMORY, Reason.LATE): 1}


async def test_what_is_too_old_is_forgotten(kept: Kept) -> None:
    await kept.history.put(MEMORY, Source.PROMETHEUS, BEGIN, np.array([1.0, 2.0]))
    await kept.history.note({(MEMORY, Reason.NAN): 3})

    kept.clock.advance(AGE_SECONDS + 300)
    await kept.history.settle()
    assert await kept.cells() == [
        pytest.approx(NAN, nan_ok=True),
        2.0,
        *[pytest.approx(NAN, nan_ok=True)] * 2,
    ]
    kept.clock.advance(3600)
    await kept.history.settle()

    assert await kept.history.keys() == []
    assert await kept.history.rejected(MEMORY, 0) == {}


async def test_cells_of_another_query_are_deleted(kept: Kept) -> None:
    assert await kept.history.begin(MEMORY, Source.PROMETHEUS, "up") == 0
    await kept.history.put(MEMORY, Source.PROMETHEUS, BEGIN, np.array([1.0, 2.0, NAN]))

    assert await kept.history.begin(MEMORY, Source.PROMETHEUS, "up") == BEGIN + 300
    await kept.history.put(MEMORY, Source.PROMETHEUS, BEGIN, np.array([NAN, 5.0]))
    assert (await kept.cells())[:2] == [1, 5]
    assert await kept.history.begin(MEMORY, Source.PROMETHEUS, "down") == 0
    assert await kept.cells() == []


async def test_what_a_killed_process_had_written_is_there(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.harness.demand_writer", str(path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert writer.stdout is not None
    for _ in range(300):
        await writer.stdout.readline()
    writer.kill()
    rest = await writer.stdout.read()
    await writer.wait()
    told = max([300, *(int(line) for line in rest.splitlines() if line.isdigit())])

    history = History(path, clock=ManualClock(START + timedelta(minutes=1)))
    await history.open()
    # All that it had said it has, and at most the one that it was about to say.
    left = await history.append([point(index) for index in range(told + 2)])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT sum(weight) FROM parts").fetchone() == (told + 2,)
    assert sum(left.values()) in (told, told + 1)
    await history.close()


@pytest.mark.parametrize("damage", ["nonsense", "truncated", "foreign", "newer"])
async def test_a_file_that_cannot_be_read_is_set_aside_and_the_history_begins_anew(
    kept: Kept, damage: str
) -> None:
    values = np.arange(5000.0)
    await kept.history.put(MEMORY, Source.PROMETHEUS, BEGIN, values)
    await kept.history.close()
    before = recorded("enchain.demand.histories_set_aside")
    if damage == "nonsense":
        kept.path.write_bytes(b"no database at all" * 1000)
    elif damage == "truncated":
        content = kept.path.read_bytes()
        kept.path.write_bytes(content[: len(content) // 2 + 100])
    else:
        with closing(sqlite3.connect(kept.path)) as connection:
            version = 0 if damage == "foreign" else 99
            connection.execute(f"PRAGMA user_version = {version}")

    await kept.history.open()

    assert await kept.history.keys() == []
    assert not await kept.history.append([kept.gauge(0, 1)])
    assert len(list(kept.path.parent.glob("history.sqlite.damaged-*"))) >= 1
    assert recorded("enchain.demand.histories_set_aside") == before + 1


async def test_damage_that_shows_while_it_is_used_is_set_aside_too(kept: Kept) -> None:
    await kept.history.put(MEMORY, Source.PROMETHEUS, BEGIN, np.arange(5000.0))
    await kept.reopen()
    with kept.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (kept.path.stat().st_size - 4096))

    with pytest.raises(UnavailableError) as caught:
        await kept.history.read(MEMORY, BEGIN, BEGIN + 5000 * 300)

    assert caught.value.reason == "HISTORY_UNUSABLE"
    assert not await kept.history.append([kept.gauge(0, 1)])
    assert (await kept.cells())[0] == 1
    assert list(kept.path.parent.glob("history.sqlite.damaged-*"))


async def test_one_process_has_it_at_a_time(kept: Kept) -> None:
    other = History(kept.path, clock=kept.clock)
    with pytest.raises(UnavailableError) as caught:
        await other.open()
    assert caught.value.reason == "HISTORY_IN_USE"

    await kept.history.append([kept.gauge(0, 1)])
    await kept.history.close()
    await other.open()

    assert await other.keys() == [MEMORY]
    await other.close()


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError) as caught:
        await History(tmp_path / "file" / "history.sqlite", clock=ManualClock()).open()

    assert caught.value.reason == "HISTORY_UNUSABLE"


async def test_closed_it_refuses_and_says_when_to_ask_again(kept: Kept) -> None:
    await kept.history.close()
    refused = []
    for call in (kept.history.append([]), kept.history.keys(), kept.history.settle()):
        with pytest.raises(UnavailableError) as caught:
            await call
        refused.append((caught.value.reason, caught.value.retry_after))

    assert refused == [("HISTORY_CLOSED", 1.0)] * 3


async def test_what_waits_for_it_is_bounded(kept: Kept) -> None:
    calls = [kept.history.append([kept.gauge(0, 1, resource=str(index))]) for index in range(WAITING_MAX + 8)]

    answers = await asyncio.gather(*calls, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert 0 < len(refused) <= 8
    assert all(isinstance(each, ExhaustedError) and each.reason == "HISTORY_BUSY" for each in refused)
    assert (await kept.cells())[0] == WAITING_MAX + 8 - len(refused)
