"""`python -m benchmarks.forecasting.worldcup --data DIR`: what it brings to know the matches of a World Cup.

DIR holds `wc98_requests.csv` (requests to the site of the 1998 World Cup) and `events_wc98_matches.csv`
(its kick-offs). Each model forecasts 48 hours from 27 origins, once without the calendar and once with it,
by the code that the service runs: past matches are taken out of the history, planned ones put on the
forecast. At an origin only demand up to it is known, and the calendar, which was known all along. The
weekly naive model is the bar.
"""

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controlplane.forecast.backtest.csvfile import instant, read
from controlplane.forecast.backtest.traces import coarser
from controlplane.forecast.events.adjust import adjust, clean
from controlplane.forecast.pooling import pool
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.registry import forecaster
from controlplane.forecast.series import HOUR, WEEK, Event, FloatArray, Series, Window

FIRST = int(datetime(1998, 6, 20, tzinfo=UTC).timestamp())
ORIGINS = 27
STRIDE = 19
"""Hours between origins: no multiple of a day, so that forecasts begin at all times of day."""

HORIZON = 48
HISTORY = 8 * WEEK // HOUR
BAR = "WeeklyNaive"
POOL = "Pool"
MODELS = (BAR, "SeasonalNaive", "Theta", "MSTL", "Prophet", "Ridge")
SATURDAY = 5

Row = Mapping[str, str]


def by_day(row: Row) -> str:
    """Tell matches at weekends from those of working days, when the site is read from offices."""
    kickoff = datetime.fromtimestamp(instant(row["start"]) or 0, UTC)
    return "weekend" if kickoff.weekday() >= SATURDAY else "working-day"


def by_stage(row: Row) -> str:
    """Tell the stages apart too."""
    return by_day(row) + ("-group" if row["stage"].startswith("Group") else "-knockout")


TYPES = {"none": lambda _: "match", "day": by_day, "stage": by_stage}


def matches(path: Path, kind: str) -> tuple[Event, ...]:
    """Read the calendar."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Event(f"match {number}", TYPES[kind](row), instant(row["start"]) or 0, instant(row["end"]) or 0)
        for number, row in enumerate(rows)
    )


def demand(path: Path) -> Series:
    """Read the requests by the hour."""
    trace = coarser(read(path), HOUR)
    return Series(trace.stem, trace.start, HOUR, trace.columns["value"])


def origins(series: Series) -> list[int]:
    """Answer how many values are known at each origin."""
    first = (FIRST - series.start) // HOUR
    return [first + STRIDE * number for number in range(ORIGINS)]


def forecasts(name: str, series: Series, events: Sequence[Event]) -> FloatArray:
    """Forecast with one model from every origin, shape (origins, horizon, levels)."""
    told = []
    for origin in origins(series):
        window = Window(series.until(origin).newest(HISTORY), tuple(events))
        cleaned = clean(window)
        fitted = forecaster(name).fit([cleaned.window], horizon=HORIZON, seed=0)
        quantiles = fitted.forecast([cleaned.window], HORIZON)[0]
        told.append(adjust(quantiles, window, cleaned.learned).quantiles)
    return np.array(told)


def errors(told: FloatArray, series: Series) -> FloatArray:
    """Answer the weighted absolute percentage error of the median from each origin, as a share."""
    came = np.array([series.values[origin : origin + HORIZON] for origin in origins(series)])
    share: FloatArray = np.abs(came - told[:, :, MEDIAN]).sum(axis=1) / came.sum(axis=1)
    return share


def table(without: Mapping[str, FloatArray], planned: Mapping[str, FloatArray]) -> Table:
    """Make the table: WAPE of each model without and with the matches, and what they bring."""
    made = Table(
        title=f"World Cup 1998, hourly, {HORIZON} h ahead, {ORIGINS} origins: WAPE",
        title_justify="left",
        box=None,
    )
    heads = ("mean without", "mean with", "better by", "median without", "median with")
    for head in ("model", *heads):
        made.add_column(head, justify="left" if head == "model" else "right")
    for name, before in without.items():
        after = planned[name]
        gain = 1 - after.mean() / before.mean()
        cells = (before.mean(), after.mean(), gain, np.median(before), np.median(after))
        made.add_row(name, *(f"{cell:.0%}" if cell is gain else f"{cell:.3f}" for cell in cells))
    bar = without[BAR]
    made.caption = f"the bar: {BAR} without matches, mean {bar.mean():.3f}, median {np.median(bar):.3f}"
    return made


def compare(series: Series, events: Sequence[Event], models: Sequence[str]) -> Table:
    """Forecast with every model and with the pool of all but the naive ones."""
    answers = []
    for known in ((), events):
        told = {}
        for name in models:
            print(f"{name} {'with' if known else 'without'} matches", file=sys.stderr)
            told[name] = forecasts(name, series, known)
        pooled = [told[name] for name in models if not name.endswith("Naive")]
        if pooled:
            told[POOL] = pool(np.stack(pooled, axis=-2), np.ones(len(pooled)))
        answers.append({name: errors(quantiles, series) for name, quantiles in told.items()})
    return table(*answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--types", choices=list(TYPES), default="day", help="how matches are told apart")
    parser.add_argument("--models", default=",".join(MODELS))
    asked = parser.parse_args()
    series = demand(asked.data / "wc98_requests.csv")
    events = matches(asked.data / "events_wc98_matches.csv", asked.types)
    models = list(dict.fromkeys([BAR, *asked.models.split(",")]))
    Console(width=100).print(compare(series, events, models))


if __name__ == "__main__":
    main()
