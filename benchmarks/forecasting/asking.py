"""What the benchmarks over folders of traces are asked alike: which data, which grid, how much to use.

The peers' report and the ablation call it. It decides nothing about models.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from controlplane.forecast.backtest.driver import Resources
from controlplane.forecast.backtest.plan import FREQUENCIES, Case, usual
from controlplane.forecast.backtest.traces import Choice, cases, instants
from controlplane.forecast.backtest.writing import WIDTH
from enchain.chains.errors import EnchainError

WIDE = 200
"""Characters of a table that names series."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the functions below read."""
    parser.add_argument("--data", type=Path, required=True, help="folder of CSV files")
    parser.add_argument("--freq", action="append", choices=list(FREQUENCIES), help="both unless given")
    parser.add_argument("--columns", action="append", default=[], help="as of `enchain forecast backtest`")
    parser.add_argument("--until", action="append", default=[], help="likewise")
    parser.add_argument("--members", help="of the combination, by commas; all unless given")
    parser.add_argument("--cache", type=Path, help="keep forecasts in a folder")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")


def freqs(asked: argparse.Namespace) -> Sequence[str]:
    """Answer the grids asked for."""
    return asked.freq or list(FREQUENCIES)


def cases_of(asked: argparse.Namespace, freq: str) -> list[Case]:
    """Read the series of a grid; ends the program where the data or an option are wrong."""
    plan = usual(freq)
    try:
        return cases(asked.data, Choice(plan.step_seconds, asked.columns, instants(asked.until)), plan, tell)
    except EnchainError as error:
        sys.exit(f"error: {error.message}. {error.remedy}")


def resources(asked: argparse.Namespace) -> Resources:
    """Answer what a run may use."""
    return Resources(asked.jobs, asked.cache)


def console() -> Console:
    """Make the console that results are printed on."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def tell(words: str) -> None:
    """Say what is going on."""
    print(words, file=sys.stderr)
