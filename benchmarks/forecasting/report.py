"""`python -m benchmarks.forecasting.report --data DIR [--freq 5min]`: the combination against peers.

Runs the project's own backtest with other scalers' methods and a plain LSTM beside the combination, and
prints for each the share of series on which the combination is better. What it costs is kept in a cache.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from controlplane.forecast.backtest.asking import runnable
from controlplane.forecast.backtest.driver import Resources
from controlplane.forecast.backtest.plan import FREQUENCIES, usual
from controlplane.forecast.backtest.results import Results
from controlplane.forecast.backtest.session import Wanted, backtest
from controlplane.forecast.backtest.traces import Choice, cases, instants
from controlplane.forecast.backtest.writing import WIDTH, show
from controlplane.forecast.registry import COMBINED, NAMES
from enchain.chains.errors import EnchainError

PEERS = (
    "benchmarks.forecasting.peers.phpa:Linear",
    "benchmarks.forecasting.peers.phpa:HoltWinters",
    "benchmarks.forecasting.peers.crane:Dsp",
    "benchmarks.forecasting.peers.plain_lstm:PlainLstm",
)


def beaten(results: Results, peer: str, horizon: int) -> tuple[int, int]:
    """Answer on how many series the combination is better than a peer, and of how many."""
    lines = {line.model: line.ratios for line in results.lines if line.horizon == horizon}
    pairs = [(lines[COMBINED][series], ratio) for series, ratio in lines[peer].items()]
    return sum(mine < theirs for mine, theirs in pairs), len(pairs)


def table(results: Results, freq: str) -> Table:
    """Make the table of who is beaten how often."""
    made = Table(title=f"{freq}: series on which {COMBINED} is better", title_justify="left", box=None)
    made.add_column("peer")
    for horizon in results.horizons:
        made.add_column(f"{horizon} steps", justify="right")
    for model in dict.fromkeys(line.model for line in results.lines):
        if model != COMBINED:
            shares = [beaten(results, model, horizon) for horizon in results.horizons]
            made.add_row(model, *(f"{won}/{of} ({won / max(1, of):.0%})" for won, of in shares))
    return made


def tell(words: str) -> None:
    print(words, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--freq", action="append", choices=list(FREQUENCIES))
    parser.add_argument("--columns", action="append", default=[])
    parser.add_argument("--until", action="append", default=[])
    parser.add_argument("--members", help="by commas; all unless given")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    members = runnable(asked.members.split(",") if asked.members else NAMES, tell)
    wanted = Wanted((COMBINED, *PEERS), members)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    for freq in asked.freq or FREQUENCIES:
        plan = usual(freq)
        try:
            choice = Choice(plan.step_seconds, asked.columns, instants(asked.until))
            found = cases(asked.data, choice, plan, tell)
        except EnchainError as error:
            sys.exit(f"error: {error.message}. {error.remedy}")
        results = backtest(found, wanted, plan, Resources(asked.jobs, asked.cache), tell).results
        show(results, console)
        console.print(table(results, freq))


if __name__ == "__main__":
    main()
