"""An experiment's intervals over time as a PNG file: the goal of each arm against the control.

`enchain experiments show --png` calls it. matplotlib is imported when a picture is drawn.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from enchain.cli.charts.paper import FAINT, INK, bare, blank, save
from enchain.cli.charts.scales import time_marks
from enchain.cli.experiment_words import SHARES, conclusion, title
from enchain.v1 import experiment_pb2

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Analysis = experiment_pb2.ExperimentAnalysis
Look = experiment_pb2.ExperimentLooks.Look

INCHES = (12.0, 5.6)
MARKS_MAX = 12
ROOM = 1.6
"""Early intervals are wide: the axis shows so much more than the newest one."""

COLOURS = ("#2563a8", "#d9822b", "#3f8f5b", "#8c3f8f", "#b8433f", "#5f7a8a", "#9a7b2f")


def save_intervals(analysis: Analysis, file: Path) -> None:
    """Draw the intervals of an analysis that was asked for with its looks, and write them.

    Args:
        analysis: It; where it has no looks yet, it is the only one.
        file: Where to; what is there is replaced.

    Raises:
        PreconditionError: matplotlib is not installed.
        InvalidArgumentError: The file cannot be written.
    """
    figure = blank(*INCHES)
    axes = figure.add_axes((0.075, 0.11, 0.905, 0.71))
    looks = [*analysis.looks, _newest(analysis)]
    arms = [goal.arm for goal in looks[-1].goals]
    for place, arm in enumerate(arms):
        _draw_arm(axes, looks, arm, COLOURS[place % len(COLOURS)])
    _draw_axes(axes, looks)
    figure.text(0.075, 0.945, title(analysis), fontsize=15, fontweight="bold", color=INK, va="center")
    figure.text(0.075, 0.883, conclusion(analysis), fontsize=9.5, color=FAINT, va="center")
    if arms:
        figure.legend(loc="upper right", bbox_to_anchor=(0.99, 0.985), ncols=3, frameon=False, fontsize=8.5)
    save(figure, file)


def _newest(analysis: Analysis) -> Look:
    goals = [each for each in analysis.metrics if each.role == experiment_pb2.MetricAnalysis.ROLE_GOAL]
    control = experiment_pb2.MetricAnalysis.FINDING_CONTROL
    shown = [each for each in goals if each.finding != control]
    return Look(time=analysis.time, phase=analysis.phase, goals=shown)


def _draw_arm(axes: "Axes", looks: Sequence[Look], arm: str, colour: str) -> None:
    few = experiment_pb2.MetricAnalysis.FINDING_TOO_FEW
    found = [
        (look.time.ToDatetime(UTC), goal)
        for look in looks
        for goal in look.goals
        if goal.arm == arm and goal.finding != few
    ]
    times = [time for time, _ in found]
    lower, upper = [100 * goal.lower for _, goal in found], [100 * goal.upper for _, goal in found]
    axes.fill_between(times, lower, upper, color=colour, alpha=0.18, linewidth=0, zorder=2)  # type: ignore[arg-type]  # its stub knows no dates
    for edge in (lower, upper):
        axes.plot(times, edge, color=colour, linewidth=0.8, alpha=0.8, zorder=3)  # type: ignore[arg-type]  # likewise
    middle = [100 * goal.difference for _, goal in found]
    axes.plot(times, middle, color=colour, linewidth=2.0, zorder=4, label=arm)  # type: ignore[arg-type]  # likewise


def _draw_axes(axes: "Axes", looks: Sequence[Look]) -> None:
    axes.axhline(0.0, color=INK, linewidth=1.0, zorder=1)
    goals = looks[-1].goals
    ends = [100 * end for goal in goals for end in (goal.lower, goal.upper)]
    reach = ROOM * max((abs(end) for end in ends), default=1.0) or 1.0
    axes.set_ylim(-reach, reach)
    metric = goals[0].metric if goals else ""
    what = "points" if metric in SHARES else "%"
    axes.set_ylabel(f"{metric}: difference to the control, {what}", color=INK, fontsize=10)
    first, last = looks[0].time.ToMilliseconds() / 1000, looks[-1].time.ToMilliseconds() / 1000
    last = max(last, first + 1)
    axes.set_xlim(_day(first), _day(last))  # type: ignore[arg-type]  # its stub knows no dates
    marks = time_marks(first, last, MARKS_MAX)
    axes.set_xticks([_day(time) for time, _ in marks], [label for _, label in marks])  # type: ignore[arg-type]  # likewise
    axes.set_xlabel("times in UTC; always-valid intervals", color=FAINT, fontsize=9, loc="left")
    bare(axes)


def _day(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
