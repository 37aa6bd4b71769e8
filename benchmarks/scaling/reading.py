"""Which series the benchmark runs on. It reads files and decides nothing else.

The command calls it. The columns and the cut of the published traces are the defaults where a folder holds
them; any other folder is read as the backtest reads it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.forecasting.asking import tell
from benchmarks.forecasting.worldcup import matches
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.traces import Choice, cases, instants
from enchain.chains.errors import EnchainError

EVENT_STEM = "wc98_requests"
CALENDAR = "events_wc98_matches.csv"
COLUMNS = (
    "cpu_util_percent", "mem_util_percent", "net_in", "avg_cpu", "avg_mem", "cpu_usage", "create_order",
)  # fmt: skip
"""The demand-like columns of the published traces with several."""

UNTIL = (f"{EVENT_STEM}=1998-07-12T00:00:00Z",)
"""The day of the final, before which the World Cup's trace is cut: what follows is no demand any more."""


def published(folder: Path) -> bool:
    """Say whether a folder holds the published traces."""
    return (folder / f"{EVENT_STEM}.csv").exists()


def read_cases(folder: Path, columns: Sequence[str], until: Sequence[str], plan: Plan) -> list[Case]:
    """Read the series; ends the program where the data or an option are wrong."""
    usual = published(folder) and not columns and not until
    chosen, cut = (COLUMNS, UNTIL) if usual else (columns, until)
    try:
        return cases(folder, Choice(plan.step_seconds, chosen, instants(cut)), plan, tell)
    except EnchainError as error:
        sys.exit(f"error: {error.message}. {error.remedy}")


def event_case(found: Sequence[Case], folder: Path) -> Case | None:
    """Answer the series whose events are known ahead, with them; None where the folder lacks either."""
    calendar = folder / CALENDAR
    for case in found:
        if case.series.id == EVENT_STEM and calendar.exists():
            return replace(case, events=matches(calendar, "day"))
    return None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is run."""
    parser.add_argument("--data", type=Path, required=True, help="folder of CSV files")
    parser.add_argument("--freq", choices=["5min"], default="5min")
    parser.add_argument("--columns", action="append", default=[], help="as of `enchain forecast backtest`")
    parser.add_argument("--until", action="append", default=[], help="likewise")
    parser.add_argument("--members", help="of the forecasts at the origins, by commas; all unless given")
    parser.add_argument("--walkers", help="of those made anew at every step; those that need numpy alone")
    parser.add_argument("--steps", type=int, help="steps of the walk; from the first origin to the end")
    parser.add_argument(
        "--every", type=int, choices=[1, 2, 3, 4, 6, 12, 24], default=1,
        help="forecast anew after so many steps, for dear models; above 1 nothing is simulated",
    )  # fmt: skip
    parser.add_argument("--event-steps", type=int, default=4032, help="steps of the walk with events")
    parser.add_argument("--cache", type=Path, help="keep forecasts in a folder")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, default=1, help="of requests and their durations")
    parser.add_argument("--png", type=Path, help="draw what was found: pip install 'enchain[plots]'")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
