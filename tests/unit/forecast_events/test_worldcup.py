"""The World Cup benchmark reads its files, sees nothing beyond an origin, and says what was brought."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.forecasting import worldcup
from controlplane.forecast.series import HOUR, Event, FloatArray, Series

DAYS = 80
START = worldcup.FIRST - 50 * 24 * HOUR


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write demand that trebles while a match lasts, every third day, and the calendar."""
    hours = np.arange(DAYS * 24)
    values: FloatArray = 1000 + 500 * np.sin(2 * np.pi * hours / 24)
    rows = ["start,end,stage,event"]
    for day in range(20, DAYS, 3):
        first = 24 * day + 15
        values[first : first + 2] *= 3
        kickoff = [_iso(START + hour * HOUR) for hour in (first, first + 2)]
        rows.append(f"{kickoff[0]},{kickoff[1]},{'Group A' if day < 60 else 'Final'},A v B")
    lines = [f"{_iso(START + int(hour) * HOUR)},{value}" for hour, value in zip(hours, values, strict=True)]
    (tmp_path / "wc98_requests.csv").write_text("\n".join(["timestamp,value", *lines]))
    (tmp_path / "events_wc98_matches.csv").write_text("\n".join(rows))
    return tmp_path


def _iso(seconds: int) -> str:
    return str(np.datetime64(seconds, "s")) + "Z"


def _read(folder: Path, kind: str = "none") -> tuple[Series, tuple[Event, ...]]:
    series = worldcup.demand(folder / "wc98_requests.csv")
    return series, worldcup.matches(folder / "events_wc98_matches.csv", kind)


def test_a_calendar_makes_forecasts_better(folder: Path) -> None:
    series, events = _read(folder)

    blind = worldcup.errors(worldcup.forecasts("SeasonalNaive", series, ()), series)
    knowing = worldcup.errors(worldcup.forecasts("SeasonalNaive", series, events), series)

    assert knowing.shape == (worldcup.ORIGINS,)
    assert knowing.mean() < 0.5 * blind.mean()


def test_nothing_beyond_an_origin_is_seen(folder: Path) -> None:
    series, events = _read(folder)
    first = worldcup.origins(series)[0]
    other = series.values.copy()
    other[first:] = 1e6

    told = worldcup.forecasts("SeasonalNaive", series, events)[0]
    changed = worldcup.forecasts("SeasonalNaive", Series(series.id, series.start, HOUR, other), events)[0]

    np.testing.assert_array_equal(told, changed)


def test_matches_are_told_apart_as_asked(folder: Path) -> None:
    assert {event.type for event in _read(folder)[1]} == {"match"}
    assert {event.type for event in _read(folder, "day")[1]} == {"weekend", "working-day"}
    assert "weekend-group" in {event.type for event in _read(folder, "stage")[1]}


def test_the_table_names_the_bar(folder: Path) -> None:
    series, events = _read(folder)

    table = worldcup.compare(series, events, ["WeeklyNaive", "SeasonalNaive"])

    assert table.row_count == 2
    assert "WeeklyNaive" in str(table.caption)
