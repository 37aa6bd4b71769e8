"""The picture: for each experiment the interval that decided it, its ramp, and where requests went."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from enchain.v1 import experiment_pb2
from examples.demo_experiment.acts import Outcome
from examples.demo_experiment.requests import Request

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, BAND = "#1b2430", "#8a94a3", "#9cc3ea"
COLOURS = {"default": "#8a94a3", "by-playbook": "#d9822b", "by-press": "#2563a8"}
FAILED, DECIDED = "#c0392b", "#8c3f8f"
HEIGHTS = (3.0, 1.1, 1.3)
FULL = 100.0
LAST_AT_LEAST = 4.0
"""Seconds that the picture goes on after the end."""


def draw(parts: Sequence[tuple[str, str, Outcome]], file: Path) -> None:
    """Draw it and write it.

    Args:
        parts: By experiment the title, the metric that decides, and what came of it.
        file: A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy, and an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - likewise

    figure = Figure(figsize=(6.6 * len(parts), 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(HEIGHTS), len(parts), sharex="col", squeeze=False, height_ratios=HEIGHTS)
    for column, (title, metric, outcome) in enumerate(parts):
        _draw_interval(grid[0][column], outcome, metric)
        _draw_ramp(grid[1][column], outcome)
        _draw_requests(grid[2][column], [*outcome.requests, *outcome.afterwards])
        grid[0][column].set_title(title, loc="left", color=INK, fontweight="bold")
        grid[-1][column].set_xlabel("seconds from the beginning")
        for axes in grid[:, column]:
            _mark_decisions(axes, outcome)
            axes.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    figure.savefig(file, dpi=130, facecolor="white")


def _draw_interval(axes: "Axes", outcome: Outcome, metric: str) -> None:
    """Draw the difference to the control over time, with its always-valid interval."""
    arm = outcome.arms[-1]
    seen = [(look.at, found) for look in outcome.watched.looks if (found := look.metric(arm, metric))]
    if not seen:
        return
    times, lower, value, upper = zip(*[(at, *known(each)) for at, each in seen], strict=True)
    axes.fill_between(times, lower, upper, color=BAND, alpha=0.6, linewidth=0, label="always-valid interval")
    axes.plot(times, value, color=INK, linewidth=1.5, label="difference")
    axes.axhline(0, color=FAINT, linewidth=1)
    unit = "points" if metric == "success" else "%"
    axes.set_ylabel(f"{metric} of {arm}\nagainst {outcome.arms[0]}, {unit}")
    axes.set_ylim(*limits(lower, upper))


def known(found: experiment_pb2.MetricAnalysis) -> tuple[float, float, float]:
    """Answer an interval's lower end, the difference and the upper end, in hundredths; NaN for none."""
    if not -math.inf < found.lower < found.upper < math.inf:
        return math.nan, math.nan, math.nan
    return FULL * found.lower, FULL * found.difference, FULL * found.upper


def limits(lower: Sequence[float], upper: Sequence[float]) -> tuple[float, float]:
    """Answer what is shown: early intervals reach far, and are cut off."""
    low = max(min(filter(math.isfinite, lower), default=-1.0), -1.1 * FULL)
    high = min(max(filter(math.isfinite, upper), default=1.0), 1.1 * FULL)
    margin = 0.05 * max(high - low, 1.0)
    return min(low, 0.0) - margin, max(high, 0.0) + margin


def _draw_ramp(axes: "Axes", outcome: Outcome) -> None:
    looks = outcome.watched.looks
    times, enrolled = [look.at for look in looks], [look.coverage for look in looks]
    axes.step(times, enrolled, where="post", color=INK, linewidth=1.5)
    axes.fill_between(
        times, [look.coverage for look in looks], step="post", color=FAINT, alpha=0.2, linewidth=0
    )
    axes.set_ylim(0, 1.08 * FULL)
    axes.set_ylabel("enrolled, %")


def _draw_requests(axes: "Axes", requests: Sequence[Request]) -> None:
    """Draw each request at its chain, red where it failed."""
    chains = list(COLOURS)
    for row, chain in enumerate(chains):
        mine = [each for each in requests if each.chain == chain]
        for failed in (False, True):
            at = [each.at + each.seconds for each in mine if bool(each.failed) is failed]
            colour = FAILED if failed else COLOURS[chain]
            axes.plot(at, [row] * len(at), "|", color=colour, markersize=13, alpha=0.9 if failed else 0.5)
    axes.set_yticks(range(len(chains)), chains)
    axes.set_ylim(len(chains) - 0.5, -0.5)
    axes.set_ylabel("requests ended,\nred: failed")


def _mark_decisions(axes: "Axes", outcome: Outcome) -> None:
    """Draw a line where the experiment was changed; the last one is its end."""
    changes = sorted(outcome.watched.experiment.history, key=lambda change: change.time.ToNanoseconds())
    for change in changes:
        if change.kind not in {"STARTED", "COVERAGE", "CONCLUDED", "PAUSED"}:
            continue
        at = outcome.watched.offset(change)
        ended = change.kind == "CONCLUDED"
        axes.axvline(
            at, color=DECIDED if ended else FAINT, linestyle=(0, (2, 2)), linewidth=1.4 if ended else 0.8
        )
    conclusion = outcome.watched.experiment.conclusion
    if changes and axes.get_subplotspec().is_first_row():  # type: ignore[union-attr]  # it lies in a grid
        axes.annotate(
            f"{conclusion.reason.lower()}: {conclusion.winner or 'no winner'}",
            (outcome.watched.offset(changes[-1]), 1.0), xycoords=("data", "axes fraction"), xytext=(-4, -4),
            textcoords="offset points", ha="right", va="top", color=DECIDED, fontsize=9,
        )  # fmt: skip
