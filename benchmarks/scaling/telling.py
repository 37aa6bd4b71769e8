"""What was found, as tables and as plain data. It decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.scaling.comparing import Outcome
from benchmarks.scaling.running import MISSED, Found, Simulated
from benchmarks.scaling.sizing import LEADS, TARGETS, Sized

WIDE = 160


def show(found: Found, seed: int) -> None:
    """Print all tables."""
    console = Console(width=WIDE)
    console.print(f"{len(found.series)} series: {', '.join(found.series)}", soft_wrap=True)
    console.print(f"seed of the simulation: {seed}")
    for name, tables in (("at the origins", found.origins), ("along the walk", found.steps)):
        for short, sizes in tables.items():
            console.print(
                _sizes(f"forecasts {name}: capacity over demand, {short:.0%} of steps short", sizes)
            )
    console.print(_own(found))
    for title, runs in ((f"{len(found.series)} series", found.simulated), ("with events", found.events)):
        for each in runs:
            console.print(_simulated(title, each))


def _table(title: str, *heads: str) -> Table:
    made = Table(title=title, title_justify="left", box=None)
    for place, head in enumerate(heads):
        made.add_column(head, justify="right" if place else "left", no_wrap=True)
    return made


def _sizes(title: str, sizes: Mapping[str, Mapping[str, Sized]]) -> Table:
    made = _table(title, "policy (headroom)", *LEADS)
    for policy, by_lead in sizes.items():
        made.add_row(policy, *(f"{each.cost:.3f} ({each.headroom:.2f})" for each in by_lead.values()))
    if "2%" in title:
        made.add_row("target", *(f"{TARGETS[lead]:.2f}       " for lead in LEADS))
    return made


def _own(found: Found) -> Table:
    made = _table("from the second day on, 2% of steps short", "policy, headroom", *LEADS)
    for policy, by_lead in found.own.items():
        names = ("one in hindsight", "each series' own, from its past", "own, and one more in hindsight")
        for place, name in enumerate(names):
            sizes = [each[place] for each in by_lead.values()]
            made.add_row(f"{policy}, {name}", *(f"{each.cost:.3f} ({_short(each):.1%})" for each in sizes))
    return made


def _short(sized: Sized) -> float:
    return sum(sized.short) / len(sized.short)


def _simulated(title: str, run: Simulated) -> Table:
    made = _table(
        f"{title}, lead time {run.lead_seconds // 60} min: at equal cost, and with {MISSED:.0%} missed",
        "policy", "headroom", "cost", "missed", "| headroom", "cost", "missed",
    )  # fmt: skip
    for cost, missed in zip(run.equal_cost, run.equal_missed, strict=True):
        made.add_row(cost.policy, *_cells(cost), *_cells(missed))
    return made


def _cells(outcome: Outcome) -> Sequence[str]:
    return f"{outcome.headroom:.2f}", f"{outcome.cost:.3f}", f"{outcome.missed:.2%}"


def document(found: Found, seed: int) -> dict[str, Any]:
    """Answer the same as plain data."""
    return {
        "seed": seed,
        "series": list(found.series),
        "targets": dict(TARGETS),
        "origins": {str(short): _plain(sizes) for short, sizes in found.origins.items()},
        "steps": {str(short): _plain(sizes) for short, sizes in found.steps.items()},
        "own_headroom": {
            policy: {lead: [asdict(each) for each in sizes] for lead, sizes in by_lead.items()}
            for policy, by_lead in found.own.items()
        },
        "simulated": [asdict(each) for each in found.simulated],
        "events": [asdict(each) for each in found.events],
    }


def _plain(sizes: Mapping[str, Mapping[str, Sized]]) -> dict[str, dict[str, Any]]:
    return {
        policy: {lead: asdict(each) for lead, each in by_lead.items()} for policy, by_lead in sizes.items()
    }
