"""From what was measured to the rows that are printed, beside the goals. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from benchmarks.forecasting.scale.leading import Refresh
from benchmarks.forecasting.scale.serving import Served, quantile


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Its unit.
        cpu: CPU seconds spent on it; None where they were not counted.
        goal: At most so much; None where there is no goal.
    """

    name: str
    value: float
    unit: str
    cpu: float | None = None
    goal: float | None = None

    def said(self) -> dict[str, Any]:
        """Answer it as JSON values."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "cpu_seconds": None if self.cpu is None else round(self.cpu, 2),
            "goal": self.goal,
            "met": None if self.goal is None else self.value <= self.goal,
        }


def rows(
    trained: Mapping[str, float],
    fitting: Sequence[Refresh],
    steady: Sequence[Refresh],
    long: Sequence[Refresh],
    keeping: Sequence[Refresh],
    worker_mib: float,
    served: Served | None,
) -> list[Row]:
    """Answer all figures. Of several refreshes of a kind the slowest counts."""
    answer = [
        Row(f"training of {name}, a seed", took, "s", goal=300.0 if name == "LSTM" else None)
        for name, took in trained.items()
    ]
    refit = sum(each.wall for each in fitting)
    answer.append(
        Row(f"full refit, {len(fitting)} refreshes", refit, "s", sum(each.cpu for each in fitting), 360.0)
    )
    for name, refreshes in (
        ("refresh, steady", steady),
        ("refresh, tracks of full length", long),
        ("refresh that keeps and judges, hourly", keeping),
    ):
        if refreshes:
            slowest = max(refreshes, key=lambda each: each.wall)
            answer.append(Row(name, slowest.wall, "s", slowest.cpu, 60.0))
    answer.append(Row("most memory of the worker", worker_mib, "MiB"))
    return answer + ([] if served is None else _served(served))


def _served(served: Served) -> list[Row]:
    return [
        Row("control plane serves after", served.start_seconds, "s", goal=2.0),
        Row("control plane has forecast everything after", served.refreshed_seconds, "s", served.cpu),
        Row("its memory when it serves, workers left out", served.idle_mib, "MiB", goal=200.0),
        Row("its most memory, workers left out", served.most_mib, "MiB", goal=200.0),
        Row("GetForecast, median", quantile(served.quiet_ms, 0.5), "ms", goal=50.0),
        Row("GetForecast, p99", quantile(served.quiet_ms, 0.99), "ms"),
        Row("GetForecast while it forecasts, median", quantile(served.busy_ms, 0.5), "ms", goal=50.0),
        Row("GetForecast while it forecasts, p99", quantile(served.busy_ms, 0.99), "ms"),
    ]


def shown(found: Sequence[Row], title: str) -> Table:
    """Make the table."""
    table = Table(title=title, title_justify="left", box=None)
    for name in ("", "measured", "CPU s", "goal", ""):
        table.add_column(name, justify="left" if not name else "right")
    for row in found:
        met = "" if row.goal is None else "met" if row.value <= row.goal else "missed"
        goal = "" if row.goal is None else f"{row.goal:g} {row.unit}"
        cpu = "" if row.cpu is None else f"{row.cpu:.1f}"
        table.add_row(row.name, f"{row.value:.1f} {row.unit}", cpu, goal, met)
    return table
