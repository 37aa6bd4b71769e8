"""Read one CSV file of demand: a `timestamp` column on a regular grid, and columns of values.

`controlplane.forecast.backtest.traces` calls it. It never guesses: a row that does not fit is an error that
names file, line and column. A row that is missing from the grid, or an empty cell, is a gap.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from controlplane.forecast.series import FloatArray
from enchain.chains.errors import InvalidArgumentError

TIMESTAMP = "timestamp"
WIDEST = 10_000_000
"""Most points of a grid: more is a wrong timestamp."""


class NoTraceError(Exception):
    """The file holds no series of demand; it says why. Such a file is skipped."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The columns of one file on its grid.

    Attributes:
        stem: The file's name without its ending.
        start: Time of the first value, seconds since the epoch, UTC.
        step_seconds: Distance of the values.
        columns: By name, shape (n,), NaN where there is a gap.
    """

    stem: str
    start: int
    step_seconds: int
    columns: dict[str, FloatArray]


def read(path: Path) -> Trace:
    """Read a file.

    Raises:
        NoTraceError: It is some other table: it has no timestamps, or nothing but words beside them.
        InvalidArgumentError: It is a trace, and something in it is wrong.
    """
    lines = _lines(path)
    heading = [name.strip() for name in lines[0]] if lines else []
    if TIMESTAMP not in heading:
        raise NoTraceError("it has no column `timestamp`")
    if len(set(heading)) != len(heading):
        raise _wrong(path, 1, ",".join(heading), "has a column twice", "Name each column once.")
    rows = [(number, line) for number, line in enumerate(lines[1:], start=2) if any(line)]
    for number, line in rows:
        if len(line) != len(heading):
            why = f"has {len(line)} cells, but the heading has {len(heading)}"
            raise _wrong(path, number, TIMESTAMP, why, "Give each row as many cells as the heading.")
    at = heading.index(TIMESTAMP)
    places, start, step = _grid(path, [(number, line[at]) for number, line in rows])
    columns = {}
    for index, name in enumerate(heading):
        if index != at and (found := _values(path, name, [(n, line[index]) for n, line in rows])) is not None:
            columns[name] = np.full(int(places[-1]) + 1, np.nan)
            columns[name][places] = found
    if not columns:
        raise NoTraceError("it has no column of numbers")
    return Trace(path.stem, start, step, columns)


def instant(text: str) -> int | None:
    """Read an ISO 8601 time, UTC where it says no zone; None where it is none. Seconds since the epoch."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgumentError(
            f"{path} is not a CSV file in UTF-8: {error}",
            reason="TRACE_UNREADABLE",
            remedy="Save it as CSV in UTF-8, or take it out of the folder.",
            metadata={"file": str(path)},
        ) from error


def _grid(
    path: Path, stamps: Sequence[tuple[int, str]]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int, int]:
    """Answer each row's place on the grid, the grid's start, and its step."""
    times: list[int] = []
    for number, text in stamps:
        if (time := instant(text)) is None:
            raise _wrong(path, number, TIMESTAMP, f"{text!r} is no time", "Write 2026-01-31T12:00:00Z.")
        if times and time <= times[-1]:
            why = f"{text} does not come after the row before"
            raise _wrong(path, number, TIMESTAMP, why, "Sort the rows, and keep one of each time.")
        times.append(time)
    if len(times) < 2:  # noqa: PLR2004 - a grid has a distance
        raise NoTraceError("it has fewer than two rows")
    apart = np.diff(times)
    sizes, counts = np.unique(apart, return_counts=True)
    step = int(sizes[counts.argmax()])
    for (number, text), gap in zip(stamps[1:], apart, strict=True):
        if gap % step:
            why = f"{text} is not on the file's grid of {step} s"
            raise _wrong(path, number, TIMESTAMP, why, "Bring the rows onto a regular grid.")
    places = (np.asarray(times) - times[0]) // step
    if places[-1] >= WIDEST:
        raise _wrong(path, stamps[-1][0], TIMESTAMP, "is too far from the first row", "Correct the time.")
    return places, times[0], step


def _values(path: Path, name: str, cells: Sequence[tuple[int, str]]) -> FloatArray | None:
    """Answer a column's numbers; None where it holds only words."""
    numbers = [_number(text) for _, text in cells]
    if all(number is None for number in numbers):
        return None
    for (line, text), number in zip(cells, numbers, strict=True):
        if number is None or math.isinf(number):
            why = f"{text!r} is no finite number"
            raise _wrong(path, line, name, why, "Write a number, or leave the cell empty for a gap.")
    return np.array(numbers, dtype=np.float64)


def _number(text: str) -> float | None:
    """Answer a cell's number, NaN where it is empty, None where it is no number."""
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def _wrong(path: Path, line: int, column: str, why: str, remedy: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{path}, line {line}, column {column}: {why}",
        reason="TRACE_INVALID",
        remedy=remedy,
        metadata={"file": str(path), "line": str(line), "column": column},
    )
