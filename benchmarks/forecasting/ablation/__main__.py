"""`python -m benchmarks.forecasting.ablation --data DIR [--freq 5min] [--only pool|lstm]`: what parts bring.

One table for the combination with a part left out, one for the LSTM with a part of its recipe changed; each
with the loss against the seasonal naive model and against the whole, on the same origins. With a cache no
model runs twice; the networks' table trains each of its networks once. It chooses no settings.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.forecasting import asking
from benchmarks.forecasting.ablation import networks, pool
from controlplane.forecast.backtest.asking import runnable
from controlplane.forecast.backtest.driver import forecasts
from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan, usual
from controlplane.forecast.backtest.results import SHORT, marks
from controlplane.forecast.registry import NAMES
from controlplane.forecast.rules import SEASONAL
from controlplane.forecast.scores import Marks, Relative, relative

Made = Mapping[tuple[str, str], MemberForecasts]
HEADS = ("rel. WQL", "5-95 %", "by whole", "5-95 %", "in 10-90 %")


@dataclass(frozen=True, slots=True)
class Cell:
    """One variant at one horizon.

    Attributes:
        naive: Its loss against the seasonal naive model's.
        whole: Its loss against the whole's.
        coverage: Share of all points within the 10-90 % band.
    """

    naive: Relative
    whole: Relative
    coverage: float


def compared(cases: Sequence[Case], plan: Plan, names: Sequence[str], made: Made) -> dict[str, list[Cell]]:
    """Answer for each variant its cells, the nearer horizon first.

    Args:
        cases: All of one grid.
        plan: How the backtest goes.
        names: Variants, the whole first.
        made: Forecasts of the variants and of the seasonal naive model, by series and name.
    """
    marked = marks(cases, plan, made)
    horizons = sorted({min(SHORT, plan.horizon), plan.horizon})
    return {name: [_cell(marked, name, names[0], horizon, plan) for horizon in horizons] for name in names}


def _cell(marked: Mapping[tuple[str, str], Marks], name: str, whole: str, horizon: int, plan: Plan) -> Cell:
    mine = {series: each for (series, model), each in marked.items() if model == name}

    def against(other: str) -> Relative:
        pairs = [(each, marked[series, other]) for series, each in mine.items()]
        return relative(pairs, horizon, np.random.default_rng(plan.seed))

    inside = np.concatenate([each.inside[:, :horizon].ravel() for each in mine.values()])
    return Cell(against(SEASONAL), against(whole), float(np.nanmean(inside)))


def of_pool(cases: Sequence[Case], plan: Plan, asked: argparse.Namespace) -> dict[str, list[Cell]]:
    """Compare ways to combine."""
    members = runnable(asked.members.split(",") if asked.members else NAMES, asking.tell)
    run = tuple(dict.fromkeys((*members, SEASONAL)))
    found = forecasts(cases, run, plan, asking.resources(asked), asking.tell)
    wanted = pool.variants(members)
    made = {key: one for key, one in found.items() if key[1] == SEASONAL}
    made |= pool.pooled(cases, plan, wanted, found)
    return compared(cases, plan, [variant.name for variant in wanted], made)


def of_networks(cases: Sequence[Case], plan: Plan, asked: argparse.Namespace) -> dict[str, list[Cell]]:
    """Compare networks."""
    models = {**networks.models(plan.step_seconds), "LSTM as it is shipped": "LSTM"}
    found = forecasts(cases, [*models.values(), SEASONAL], plan, asking.resources(asked), asking.tell)
    shown = {model: name for name, model in models.items()}
    made = {
        (series, shown.get(model, model)): replace(one, model=shown.get(model, model))
        for (series, model), one in found.items()
    }
    return compared(cases, plan, list(models), made)


PARTS = {"pool": of_pool, "lstm": of_networks}
TITLES = {"pool": "the combination", "lstm": "the LSTM, each variant trained from one seed"}


def table(title: str, rows: Mapping[str, Sequence[Cell]], plan: Plan) -> Table:
    """Make a table of variants."""
    made = Table(title=title, title_justify="left", box=None)
    made.add_column("variant", no_wrap=True)
    for horizon in sorted({min(SHORT, plan.horizon), plan.horizon}):
        for head in HEADS:
            made.add_column(f"{head}\n{horizon} steps", justify="right", no_wrap=True)
    for name, cells in rows.items():
        made.add_row(name, *(word for cell in cells for word in _words(cell)))
    return made


def _words(cell: Cell) -> list[str]:
    told = []
    for each in (cell.naive, cell.whole):
        told += [f"{each.mean:.3f}", f"{each.low:.2f}-{each.high:.2f}"]
    return [*told, f"{cell.coverage:.3f}"]


def document(rows: Mapping[str, Sequence[Cell]], plan: Plan) -> dict[str, Any]:
    """Answer the same as plain data, by variant and horizon."""
    horizons = sorted({min(SHORT, plan.horizon), plan.horizon})
    return {
        name: {str(horizon): asdict(cell) for horizon, cell in zip(horizons, cells, strict=True)}
        for name, cells in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    asking.add_options(parser)
    parser.add_argument("--only", choices=list(PARTS), help="both unless given")
    asked = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for freq in asking.freqs(asked):
        plan, cases = usual(freq), asking.cases_of(asked, freq)
        for part in [asked.only] if asked.only else PARTS:
            rows = PARTS[part](cases, plan, asked)
            found.setdefault(freq, {})[part] = document(rows, plan)
            if asked.output == "table":
                title = f"{freq}, {len(cases)} series: {TITLES[part]}"
                Console(width=asking.WIDE).print(table(title, rows, plan))
    if asked.output == "json":
        json.dump(found, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
