"""Public traces are brought onto a grid without guessing: means, gaps on a line and counted."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.forecasting.outside import Source, gridded, measured, sources, write
from controlplane.forecast.backtest.csvfile import read


def test_each_part_of_the_grid_is_the_mean_of_what_was_measured_in_it() -> None:
    start, values, filled = gridded([(605, 1.0), (660, 3.0), (660, 99.0), (900, 5.0)], 300)

    assert (start, filled) == (600, 0)
    np.testing.assert_array_equal(values, [2.0, 5.0])


def test_gaps_lie_on_a_line_and_are_counted() -> None:
    start, values, filled = gridded([(1200, 8.0), (0, 0.0), (300, 2.0)], 300)

    assert (start, filled) == (0, 2)
    np.testing.assert_array_equal(values, [0.0, 2.0, 4.0, 6.0, 8.0])


def test_rows_without_a_number_are_no_measurements(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "TimeStamp,Value,Label\n1970-01-01T00:05:00Z,2,0\n1970-01-01 00:10:00,,0\nx,1,0\n1970-01-02,nan\n"
    )

    assert measured(path) == [(300, 2.0)]


def test_what_is_written_is_read_by_the_backtest(tmp_path: Path) -> None:
    clone = tmp_path / "clones" / "NAB" / "data" / "realTweets"
    clone.mkdir(parents=True)
    (clone / "a.csv").write_text("timestamp,value\n2015-02-26 21:42:53,53\n2015-02-26 21:47:53,64\n")

    said = write(Source("realTweets/a.csv", "a", 300), tmp_path / "clones", tmp_path)

    trace = read(tmp_path / "a.csv")
    assert said == "a: 2 values of 300 s, 0 of them filled"
    assert (trace.step_seconds, trace.start % 300) == (300, 0)
    np.testing.assert_array_equal(trace.columns["value"], [53.0, 64.0])


def test_a_series_that_no_clone_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data/x\.csv"):
        write(Source("x.csv", "x", 300), tmp_path, tmp_path)


def test_no_two_series_are_written_to_one_file() -> None:
    names = [source.name for source in sources()]

    assert len(set(names)) == len(names)
