"""`python -m benchmarks.forecasting.outside CLONES OUT`: more public traces, as CSV files for the backtest.

CLONES is a folder with clones of github.com/numenta/NAB and github.com/microsoft/cloud-monitoring-dataset,
both under the MIT licence. Written are those of their series of demand that are not among the traces that
models were made on: CPU and network of Amazon's machines, volumes of tweets, requests, ingress and purchases.
`enchain forecast backtest --data OUT` reads what it writes; docs/forecasting-measured.md says what was found.
It downloads nothing.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from controlplane.forecast.backtest.csvfile import instant
from controlplane.forecast.series import HOUR, MINUTE, FloatArray

AMAZON = (
    "ec2_cpu_utilization_24ae8d",
    "ec2_cpu_utilization_53ea38",
    "ec2_cpu_utilization_77c1ca",
    "ec2_cpu_utilization_825cc2",
    "ec2_cpu_utilization_ac20cd",
    "ec2_cpu_utilization_c6585a",
    "ec2_cpu_utilization_fe7f93",
    "ec2_network_in_5abac7",
    "grok_asg_anomaly",
    "iio_us-east-1_i-a2eb1cd9_NetworkIn",
    "rds_cpu_utilization_cc0c53",
)
TWEETS = ("AAPL", "AMZN", "CRM", "FB", "GOOG", "IBM", "UPS")
MICROSOFT = {
    "mongodb-application-rps": ("mongo-03", "mongo-04"),
    "data-ingress-rate": ("ingress-03", "ingress-04", "ingress-05"),
    "consumer-purchase-rate": ("purchase-01", "purchase-02", "purchase-04", "purchase-05", "purchase-06"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A series in a clone.

    Attributes:
        path: Below the clone's folder `data`.
        name: Under which it is written.
        step_seconds: On which grid.
    """

    path: str
    name: str
    step_seconds: int


def sources() -> list[Source]:
    """Answer all series."""
    found = [Source(f"realAWSCloudwatch/{stem}.csv", f"nab_{_plain(stem)}", 5 * MINUTE) for stem in AMAZON]
    found += [
        Source(f"realTweets/Twitter_volume_{stem}.csv", f"nab_tweets_{_plain(stem)}", 5 * MINUTE)
        for stem in TWEETS
    ]
    for folder, stems in MICROSOFT.items():
        step = HOUR if "purchase" in folder else 5 * MINUTE
        found += [Source(f"{folder}/{stem}.csv", f"ms_{_plain(stem)}", step) for stem in stems]
    return found


def gridded(rows: Sequence[tuple[int, float]], step_seconds: int) -> tuple[int, FloatArray, int]:
    """Bring measurements onto a grid of multiples of its step since the epoch.

    Args:
        rows: Times and values; of two of one time the first counts.
        step_seconds: Of the grid.

    Returns:
        The grid's start, the mean of each part, and in how many parts nothing was measured: those are filled
        on a line between their neighbours.
    """
    first: dict[int, float] = {}
    for time, value in rows:
        first.setdefault(time, value)
    places = np.array(sorted(first)) // step_seconds
    values = np.array([first[time] for time in sorted(first)])
    count = np.bincount(places - places[0])
    total = np.bincount(places - places[0], weights=values)
    there = np.flatnonzero(count)
    means = np.interp(np.arange(len(count)), there, total[there] / count[there])
    return int(places[0]) * step_seconds, means, int((count == 0).sum())


def measured(path: Path) -> list[tuple[int, float]]:
    """Read a file: a time and a value in its first two columns. Rows without a number are left out."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))[1:]
    found = []
    for time, value in ((instant(row[0]), _number(row[1])) for row in rows if len(row) > 1):
        if time is not None and value is not None:
            found.append((time, value))
    return found


def write(source: Source, clones: Path, out: Path) -> str:
    """Write one series, and answer what it is like in words.

    Raises:
        FileNotFoundError: No clone has it.
    """
    paths = sorted(clones.glob(f"*/data/{source.path}"))
    if not paths:
        raise FileNotFoundError(f"{clones} has no clone with data/{source.path}")
    start, values, filled = gridded(measured(paths[0]), source.step_seconds)
    with (out / f"{source.name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "value"])
        for index, value in enumerate(values.tolist()):
            stamp = datetime.fromtimestamp(start + index * source.step_seconds, UTC)
            writer.writerow([stamp.strftime("%Y-%m-%dT%H:%M:%SZ"), repr(value)])
    return f"{source.name}: {len(values)} values of {source.step_seconds} s, {filled} of them filled"


def _plain(stem: str) -> str:
    return stem.replace("utilization_", "").replace("-", "_").lower()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clones", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for source in sources():
        try:
            print(write(source, asked.clones, asked.out))
        except FileNotFoundError as error:
            sys.exit(f"error: {error}. Clone github.com/numenta/NAB and microsoft/cloud-monitoring-dataset.")


if __name__ == "__main__":
    main()
