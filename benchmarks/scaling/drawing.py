"""What was found as one PNG file: sizes by lead time, misses at equal cost, and the stretch with events.

The command calls it; matplotlib, part of `enchain[plots]`, is imported when a picture is drawn.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.scaling.policies import ENCHAIN, REACTIVE
from benchmarks.scaling.running import UNAWARE, Found, Simulated
from benchmarks.scaling.sizing import LEADS, SHORTS, TARGETS, Sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (14.0, 9.0)
DOTS_PER_INCH = 120
TOP = 3.0
"""Costs above are cut off."""

SHOWN_STEPS = 864
"""Three days of the stretch with events, the last ones."""

STRONG, FAINT, GOAL = "#2563a8", "#8a94a3", "#d9822b"


def draw(found: Found, file: Path) -> None:
    """Draw everything; ends the program where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second, and is an extra
    except ImportError:
        sys.exit("error: matplotlib is not installed. pip install 'enchain[plots]'")
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots(2, 2)
    _sizes(axes[0, 0], "forecasts at the origins", found.origins[SHORTS[0]])
    _sizes(axes[0, 1], "forecasts along the walk", found.steps[SHORTS[0]])
    if found.simulated:
        _missed(axes[1, 0], found.simulated[-1], f"{len(found.series)} series")
    if found.event_walk is not None:
        _stretch(axes[1, 1], found)
    figure.savefig(file, dpi=DOTS_PER_INCH, format="png")


def _sizes(axes: "Axes", title: str, sizes: Mapping[str, Mapping[str, Sized]]) -> None:
    places = np.arange(len(LEADS))
    for policy, by_lead in sizes.items():
        strong = policy == ENCHAIN
        costs = [min(each.cost, TOP) for each in by_lead.values()]
        axes.plot(
            places, costs, marker="o", label=policy, linewidth=3 if strong else 1, zorder=3 if strong else 2
        )
    axes.plot(
        places,
        list(TARGETS.values()),
        linestyle="none",
        marker="_",
        markersize=20,
        color=GOAL,
        label="target",
    )
    axes.set_xticks(places, list(LEADS))
    axes.set_ylim(0.95, TOP)
    axes.set_title(f"capacity over demand, {SHORTS[0]:.0%} of steps short, {title}", fontsize=10)
    axes.legend(fontsize=7, ncols=2)


def _missed(axes: "Axes", run: Simulated, title: str) -> None:
    names = [each.policy for each in run.equal_cost][::-1]
    shares = [100 * each.missed for each in run.equal_cost][::-1]
    axes.barh(names, shares, color=[STRONG if name == ENCHAIN else FAINT for name in names])
    axes.bar_label(axes.containers[0], fmt="%.2f", fontsize=7)  # type: ignore[arg-type]  # bars, not errors
    axes.set_title(
        f"% of requests missed at cost {run.equal_cost[0].cost:.2f}, "
        f"lead time {run.lead_seconds // 60} min, {title}",
        fontsize=10,
    )


def _stretch(axes: "Axes", found: Found) -> None:
    """Draw what each policy held ready of the event series at the longest lead time, at equal cost."""
    assert found.event_walk is not None
    run = found.events[-1]
    ahead = run.lead_seconds // 300
    factors = {each.policy: each.headroom for each in run.equal_cost}
    demand = found.event_walk.demand[0, :, 0]
    shown = slice(max(ahead, len(demand) - SHOWN_STEPS), None)
    hours = np.arange(len(demand))[shown] / 12
    axes.fill_between(hours, demand[shown], color=FAINT, alpha=0.4, label="demand")
    for policy in (ENCHAIN, UNAWARE, REACTIVE):
        ready = found.event_walk.wanted[policy][0, :, : ahead + 1].max(axis=1) * factors[policy]
        axes.plot(hours, ready[: len(ready) - ahead][shown.start - ahead :], linewidth=1, label=policy)
    axes.set_xlabel("hours")
    axes.set_title(f"with events: ready at {run.lead_seconds // 60} min lead, all at equal cost", fontsize=10)
    axes.legend(fontsize=7)
