"""Read planned events from a CSV file: `series,name,type,start,end` and, where people expect one, `uplift`.

The backtest's command calls it. It never guesses: what does not fit is an error with its line and column.
"""

import csv
import math
from collections import defaultdict
from pathlib import Path

from controlplane.forecast.backtest.csvfile import instant
from controlplane.forecast.series import Event
from enchain.chains.errors import InvalidArgumentError

NEEDED = ("series", "name", "type", "start", "end")


def events(path: Path) -> dict[str, tuple[Event, ...]]:
    """Answer the events of each series, in the file's order.

    Raises:
        InvalidArgumentError: A column is missing, a time is none, an event ends before it starts, or an
            uplift is not above 0.
    """
    found: dict[str, list[Event]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        for column in NEEDED:
            if column not in (rows.fieldnames or ()):
                raise _wrong(path, 1, column, "is missing")
        for row in rows:
            found[str(row["series"]).strip()].append(_event(path, rows.line_num, row))
    return {series: tuple(each) for series, each in found.items()}


def _event(path: Path, line: int, row: dict[str, str | None]) -> Event:
    start, end = (instant(row[column] or "") for column in ("start", "end"))
    if start is None:
        raise _wrong(path, line, "start", f"{row['start']!r} is no time")
    if end is None or end <= start:
        raise _wrong(path, line, "end", f"{row['end']!r} is no time after the start")
    uplift = (row.get("uplift") or "").strip()
    return Event(str(row["name"]), str(row["type"]), start, end, _uplift(path, line, uplift))


def _uplift(path: Path, line: int, text: str) -> float | None:
    if not text:
        return None
    try:
        uplift = float(text)
    except ValueError:
        uplift = math.nan
    if not 0 < uplift < math.inf:
        raise _wrong(path, line, "uplift", f"{text!r} is no number above 0")
    return uplift


def _wrong(path: Path, line: int, column: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{path}, line {line}, column {column}: {why}",
        reason="EVENTS_INVALID",
        remedy="Write series,name,type,start,end[,uplift] with times like 2026-01-31T12:00:00Z.",
        metadata={"file": str(path), "line": str(line), "column": column},
    )
