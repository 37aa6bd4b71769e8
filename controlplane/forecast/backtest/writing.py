"""Write what a backtest forecast as CSV, and what it found as a table or JSON.

The backtest's command calls it. It decides nothing. Tables are plain text where no terminal reads them.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.results import Line, Results
from controlplane.forecast.quantiles import LEVELS, SCORED
from controlplane.forecast.registry import COMBINED
from controlplane.forecast.rules import NAIVE, SEASONAL

WIDTH = 140
"""Columns of a table where no terminal says how wide it is."""

HEADINGS = (
    "model", "series", "rel. WQL", "5-95 %", "WQL", "MASE", "sMAPE %",
    "in 10-90 %", "<= q90", "<= q95", "<= q99", "seconds",
)  # fmt: skip


def write_forecasts(
    path: Path, models: Sequence[str], made: Mapping[tuple[str, str], MemberForecasts], origins: int
) -> None:
    """Write the forecasts of the scored origins: `series,model,origin,step,q0.1,...,q0.9`.

    Where a model had no forecast there is no row. Origins are the times of the last values seen.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["series", "model", "origin", "step", *(f"q{level:g}" for level in LEVELS[SCORED])])
        for series in dict.fromkeys(series for series, _ in made):
            for model in models:
                if (series, model) in made:
                    writer.writerows(_rows(series, model, made[series, model], origins))


def _rows(series: str, model: str, made: MemberForecasts, origins: int) -> list[list[str]]:
    rows = []
    for origin, quantiles in zip(made.origins[-origins:], made.quantiles[-origins:, :, SCORED], strict=True):
        if not np.isfinite(quantiles).all():
            continue
        stamp = datetime.fromtimestamp(int(origin), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for step, levels in enumerate(quantiles, start=1):
            rows.append([series, model, stamp, str(step), *(f"{value:.8g}" for value in levels)])
    return rows


def show(results: Results, console: Console) -> None:
    """Print a table per horizon, and where the combination is worse than a naive model."""
    for horizon in results.horizons:
        lines = [line for line in results.lines if line.horizon == horizon]
        console.print(_table(horizon, lines, results.seconds))
    console.print(
        f"rel. WQL: geometric mean over series of WQL by that of {SEASONAL}; 5-95 %: origins drawn with "
        "replacement; WQL, MASE, sMAPE: medians over series; shares: over all points.",
        soft_wrap=True,
    )
    if not any(line.model == COMBINED for line in results.lines):
        return
    if not results.worse:
        console.print(f"{COMBINED} is nowhere worse than {SEASONAL}, nor at the nearer horizon than {NAIVE}.")
    for worse in results.worse:
        console.print(
            f"worse: {COMBINED} on {worse.series} at {worse.horizon} steps has {worse.ratio:.3f} of the loss "
            f"of {worse.than}",
            soft_wrap=True,
            highlight=False,
        )


def _table(horizon: int, lines: Sequence[Line], seconds: Mapping[str, float]) -> Table:
    table = Table(title=f"{horizon} steps", title_justify="left", box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right", no_wrap=True)
    for line in lines:
        inside, *below = line.pooled
        cells = [
            line.model,
            str(len(line.by_series)),
            _number(line.relative.mean, 3),
            f"{_number(line.relative.low, 2)}-{_number(line.relative.high, 2)}",
            _number(line.median("wql"), 4),
            _number(line.median("mase"), 3),
            _number(line.median("smape"), 1),
            *(_number(share, 3) for share in (inside, *below)),
            _number(seconds.get(line.model, math.nan), 1),
        ]
        table.add_row(*cells)
    return table


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def document(results: Results) -> dict[str, Any]:
    """Answer what was found as plain data, numbers that are none as null."""
    return {
        "horizons": list(results.horizons),
        "models": [
            {
                "model": line.model,
                "horizon": line.horizon,
                "relative_wql": _plain(asdict(line.relative)),
                "median": {what: _finite(line.median(what)) for what in ("wql", "mase", "smape")},
                "pooled": dict(
                    zip(("coverage", "below_q90", "below_q95", "below_q99"), _plain(line.pooled), strict=True)
                ),
                "seconds": _finite(results.seconds.get(line.model, math.nan)),
                "series": {
                    series: {"relative_wql": _finite(line.ratios[series]), **_plain(asdict(each))}
                    for series, each in line.by_series.items()
                },
            }
            for line in results.lines
        ],
        "worse": [asdict(each) for each in results.worse],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
