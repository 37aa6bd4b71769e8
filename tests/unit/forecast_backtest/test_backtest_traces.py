"""Folders of CSV files become series on one grid; what does not fit is told or refused, precisely."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.traces import Choice, cases, instants
from controlplane.forecast.series import DAY, HOUR, MINUTE
from enchain.chains.errors import InvalidArgumentError

START = datetime(2026, 3, 1, tzinfo=UTC)
EPOCH = int(START.timestamp())


def plan(step: int) -> Plan:
    return Plan(step, horizon=12, origins=2, stride=5, calibration=2, spacing=12, history=14 * DAY // step)


def trace(
    path: Path, rows: int, step: timedelta, heading: str = "timestamp,value", cells: str = "{n}"
) -> None:
    lines = [heading]
    lines += [f"{(START + n * step).isoformat()},{cells.format(n=n)}" for n in range(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def found(folder: Path, step: int, choice: Choice | None = None) -> tuple[dict[str, Case], list[str]]:
    told: list[str] = []
    read = cases(folder, choice or Choice(step), plan(step), told.append)
    return {case.series.id: case for case in read}, told


def refused(folder: Path, step: int = HOUR, choice: Choice | None = None) -> str:
    with pytest.raises(InvalidArgumentError) as caught:
        found(folder, step, choice)
    return caught.value.message


def test_a_series_is_named_by_its_file_or_by_its_column_where_there_are_several(tmp_path: Path) -> None:
    trace(tmp_path / "one.csv", 100, timedelta(hours=1))
    trace(tmp_path / "two.csv", 100, timedelta(hours=1), "timestamp,a,b", "{n},5")

    series, _ = found(tmp_path, HOUR)

    assert set(series) == {"one", "two:a", "two:b"}
    assert series["two:a"].source == series["two:b"].source == "two"
    assert series["one"].series.start == EPOCH


def test_finer_files_become_coarser_by_their_means(tmp_path: Path) -> None:
    trace(tmp_path / "fine.csv", 28 * 48 + 1, timedelta(minutes=30))

    series = found(tmp_path, HOUR)[0]["fine"].series

    assert len(series) == 28 * 24 + 1
    np.testing.assert_allclose(series.values[:3], [0.5, 2.5, 4.5])
    assert series.values[-1] == 28 * 48


def test_the_parts_of_a_coarser_grid_begin_on_the_hour(tmp_path: Path) -> None:
    lines = [f"{(START + timedelta(minutes=45 + 15 * n)).isoformat()},{n}" for n in range(30 * 96)]
    (tmp_path / "odd.csv").write_text("timestamp,value\n" + "\n".join(lines), encoding="utf-8")

    series = found(tmp_path, HOUR)[0]["odd"].series

    assert series.start == EPOCH
    np.testing.assert_allclose(series.values[:2], [0, 2.5])


@pytest.mark.parametrize(
    ("rows", "minutes", "step", "reason"),
    [
        (2000, 30, 5 * MINUTE, "its grid of 1800 s does not make one of 300 s"),
        (27 * 288, 5, HOUR, "on a grid of 3600 s it has 27 days, not 28"),
        (30, 60, HOUR, "30 values leave 13 before the first origin, not 24"),
    ],
)
def test_what_cannot_be_backtested_is_skipped_with_the_reason(
    tmp_path: Path, rows: int, minutes: int, step: int, reason: str
) -> None:
    trace(tmp_path / "good.csv", 500, timedelta(seconds=step))
    trace(tmp_path / "other.csv", rows, timedelta(minutes=minutes))

    series, told = found(tmp_path, step)

    assert set(series) == {"good"}
    assert len(told) == 1
    assert told[0].startswith("skipped other")
    assert reason in told[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("start,end,event\n2026-03-01,2026-03-02,match\n", "no column `timestamp`"),
        ("timestamp,host\n2026-03-01T00:00Z,a\n2026-03-01T01:00Z,b\n", "no column of numbers"),
        ("timestamp,value\n2026-03-01T00:00Z,1\n", "fewer than two rows"),
        ("", "no column `timestamp`"),
    ],
)
def test_other_tables_are_skipped(tmp_path: Path, text: str, reason: str) -> None:
    trace(tmp_path / "good.csv", 100, timedelta(hours=1))
    (tmp_path / "other.csv").write_text(text, encoding="utf-8")

    _, told = found(tmp_path, HOUR)

    assert reason in told[0]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2026-03-05T04:00:00Z,x", "line 102, column value: 'x' is no finite number"),
        ("2026-03-05T04:00:00Z,inf", "line 102, column value: 'inf' is no finite number"),
        ("soon,1", "line 102, column timestamp: 'soon' is no time"),
        ("2026-03-05T03:00:00Z,1", "line 102, column timestamp: 2026-03-05T03:00:00Z does not come after"),
        (
            "2026-03-05T04:07:00Z,1",
            "line 102, column timestamp: 2026-03-05T04:07:00Z is not on the file's grid",
        ),
        ("2026-03-05T04:00:00Z,1,2", "line 102, column timestamp: has 3 cells, but the heading has 2"),
        ("9999-03-05T04:00:00Z,1", "line 102, column timestamp: is too far from the first row"),
    ],
)
def test_rubbish_is_refused_with_file_line_and_column(tmp_path: Path, row: str, fault: str) -> None:
    trace(tmp_path / "bad.csv", 100, timedelta(hours=1))
    with (tmp_path / "bad.csv").open("a", encoding="utf-8") as file:
        file.write(row + "\n")

    message = refused(tmp_path)

    assert message.startswith(str(tmp_path / "bad.csv"))
    assert fault in message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")

    assert "not a CSV file in UTF-8" in refused(tmp_path)


def test_rows_that_are_missing_and_empty_cells_are_gaps(tmp_path: Path) -> None:
    trace(tmp_path / "gaps.csv", 100, timedelta(hours=1))
    lines = (tmp_path / "gaps.csv").read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].partition(",")[0] + ","
    del lines[5]
    (tmp_path / "gaps.csv").write_text("\n".join(lines), encoding="utf-8")

    series = found(tmp_path, HOUR)[0]["gaps"].series

    assert len(series) == 100
    assert list(np.flatnonzero(np.isnan(series.values))) == [2, 4]


def test_only_columns_asked_for_are_read_and_files_of_one_column_stay(tmp_path: Path) -> None:
    trace(tmp_path / "one.csv", 100, timedelta(hours=1))
    trace(tmp_path / "two.csv", 100, timedelta(hours=1), "timestamp,a,b,c", "{n},5,6")

    assert set(found(tmp_path, HOUR, Choice(HOUR, ["a", "two:c"]))[0]) == {"one", "two:a", "two:c"}
    assert "--columns names d" in refused(tmp_path, choice=Choice(HOUR, ["d"]))


def test_a_file_is_cut_before_a_time(tmp_path: Path) -> None:
    trace(tmp_path / "one.csv", 100, timedelta(hours=1))
    until = instants(["one=2026-03-04T00:00:00Z"])

    assert len(found(tmp_path, HOUR, Choice(HOUR, until=until))[0]["one"].series) == 72
    assert "--until names other" in refused(tmp_path, choice=Choice(HOUR, until={"other": 0}))


@pytest.mark.parametrize("pair", ["one", "one=soon", "=2026-03-04"])
def test_until_is_a_stem_and_a_time(pair: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a file's stem"):
        instants([pair])


def test_a_share_of_100_is_known_by_name_and_by_values_before_the_first_origin(tmp_path: Path) -> None:
    trace(tmp_path / "cpu.csv", 100, timedelta(hours=1))
    trace(tmp_path / "requests.csv", 100, timedelta(hours=1))
    trace(tmp_path / "mem_bytes.csv", 100, timedelta(hours=1), cells="{n}000")

    series, _ = found(tmp_path, HOUR)

    assert {name: case.series.upper for name, case in series.items()} == {
        "cpu": 100,
        "requests": None,
        "mem_bytes": None,
    }


def test_negative_demand_is_skipped(tmp_path: Path) -> None:
    trace(tmp_path / "one.csv", 100, timedelta(hours=1))
    trace(tmp_path / "two.csv", 100, timedelta(hours=1), cells="-{n}")

    series, told = found(tmp_path, HOUR)

    assert set(series) == {"one"}
    assert told == ["skipped two: it has negative values, and demand has none"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "no series that can be backtested" in refused(tmp_path)
