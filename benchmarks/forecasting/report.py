"""`python -m benchmarks.forecasting.report --data DIR [--freq 5min]`: the combination against peers.

Runs the project's own backtest with other scalers' methods and a plain LSTM beside the combination, and
prints for each on how many series the combination is better, and which it loses. Peers forecast points, and
a loss over quantiles asks more of them than they say; so the error of the median (MASE) is compared as well.
What it costs is kept in a cache.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.forecasting import asking
from controlplane.forecast.backtest.asking import runnable
from controlplane.forecast.backtest.plan import usual
from controlplane.forecast.backtest.results import Results
from controlplane.forecast.backtest.session import Wanted, backtest
from controlplane.forecast.backtest.writing import show
from controlplane.forecast.registry import COMBINED, NAMES

PEERS = (
    "benchmarks.forecasting.peers.phpa:Linear",
    "benchmarks.forecasting.peers.phpa:LinearTuned",
    "benchmarks.forecasting.peers.phpa:HoltWinters",
    "benchmarks.forecasting.peers.phpa:HoltWintersTuned",
    "benchmarks.forecasting.peers.crane:Dsp",
    "benchmarks.forecasting.peers.plain_lstm:PlainLstm",
)
MEASURES = ("wql", "mase")


@dataclass(frozen=True, slots=True)
class Share:
    """On which series the combination is better than a peer, and on which it is not."""

    won: tuple[str, ...]
    lost: tuple[str, ...]

    def __str__(self) -> str:
        """Tell it as in `17/18 (94%)`."""
        of = len(self.won) + len(self.lost)
        return f"{len(self.won)}/{of} ({len(self.won) / max(1, of):.0%})"


def beaten(results: Results, peer: str, horizon: int, measure: str = "wql") -> Share:
    """Answer on which series the combination is better than a peer, by one of `MEASURES`."""
    lines = {line.model: line for line in results.lines if line.horizon == horizon}
    mine, theirs = (_by_series(lines[model].by_series, measure) for model in (COMBINED, peer))
    won = tuple(series for series, loss in theirs.items() if mine.get(series, math.inf) < loss)
    return Share(won, tuple(series for series in theirs if series not in won))


def _by_series(scores: Mapping[str, Any], measure: str) -> dict[str, float]:
    return {series: getattr(score, measure) for series, score in scores.items()}


def peers(results: Results) -> list[str]:
    """Answer all models but the combination."""
    return [model for model in dict.fromkeys(line.model for line in results.lines) if model != COMBINED]


def table(results: Results, freq: str) -> Table:
    """Make the table of who is beaten how often, and on which series not."""
    made = Table(title=f"{freq}: series on which {COMBINED} is better", title_justify="left", box=None)
    made.add_column("peer")
    for measure in MEASURES:
        for horizon in results.horizons:
            made.add_column(f"{measure.upper()}, {horizon} steps", justify="right")
    made.add_column("lost by WQL")
    for peer in peers(results):
        shares = [beaten(results, peer, horizon, each) for each in MEASURES for horizon in results.horizons]
        lost = dict.fromkeys(
            series for horizon in results.horizons for series in beaten(results, peer, horizon).lost
        )
        made.add_row(peer, *map(str, shares), ", ".join(lost))
    return made


def document(results: Results) -> dict[str, Any]:
    """Answer the same as plain data, by peer, horizon and measure, and each one's loss by the naive one's."""

    def told(share: Share) -> dict[str, Any]:
        return {"won": len(share.won), "of": len(share.won) + len(share.lost), "lost": list(share.lost)}

    def of(peer: str, horizon: int) -> dict[str, Any]:
        (naive,) = (line.relative for line in results.lines if (line.model, line.horizon) == (peer, horizon))
        shares = {each: told(beaten(results, peer, horizon, each)) for each in MEASURES}
        return {"relative_wql": asdict(naive), **shares}

    return {peer: {str(each): of(peer, each) for each in results.horizons} for peer in peers(results)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    asking.add_options(parser)
    asked = parser.parse_args()
    members = runnable(asked.members.split(",") if asked.members else NAMES, asking.tell)
    console, found = asking.console(), {}
    for freq in asking.freqs(asked):
        results = backtest(
            asking.cases_of(asked, freq),
            Wanted((COMBINED, *PEERS), members),
            usual(freq),
            asking.resources(asked),
            asking.tell,
        ).results
        found[freq] = document(results)
        if asked.output == "table":
            show(results, console)
            Console(width=asking.WIDE).print(table(results, freq))
    if asked.output == "json":
        json.dump(found, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
