"""A forecast as a PNG file: history, the fan of quantiles, planned events, past forecasts and what came.

`enchain forecast show --png` calls it. matplotlib is imported when a picture is drawn.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from enchain.cli.charts.fan import Fan, Line
from enchain.cli.charts.paper import FAINT, INK, bare, blank, save
from enchain.cli.charts.scales import time_marks, value_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (12.0, 5.6)
MARKS_MAX = 12
"""Times that are written below the plot."""

FAN, PAST, EVENT, WITHOUT = "#2563a8", "#d9822b", "#f3c74f", "#8c3f8f"


def save_picture(fan: Fan, file: Path, *, note: str = "") -> None:
    """Draw a picture and write it.

    Args:
        fan: What it shows.
        file: Where to; what is there is replaced.
        note: A line below the title: how fresh and how sure it is.

    Raises:
        PreconditionError: matplotlib is not installed.
        InvalidArgumentError: The file cannot be written.
    """
    figure = blank(*INCHES)
    axes = figure.add_axes((0.065, 0.11, 0.92, 0.71))
    _draw_events(axes, fan)
    _draw_past(axes, fan)
    _draw_fan(axes, fan)
    _draw_axes(axes, fan)
    figure.text(0.065, 0.945, fan.title, fontsize=15, fontweight="bold", color=INK, va="center")
    figure.text(0.065, 0.883, note, fontsize=9.5, color=FAINT, va="center")
    _draw_legend(figure, axes)
    save(figure, file)


def _draw_events(axes: "Axes", fan: Fan) -> None:
    for index, span in enumerate(fan.spans):
        start, end = max(span.start, fan.first), min(span.end, fan.last)
        axes.axvspan(_day(start), _day(end), color=EVENT, alpha=0.22, linewidth=0, zorder=0)  # type: ignore[arg-type]  # its stub knows no dates
        axes.annotate(
            span.name, (_day((start + end) / 2), 1.0), xycoords=("data", "axes fraction"),
            xytext=(0, -4 - 11 * (index % 3)), textcoords="offset points",
            ha="center", va="top", fontsize=9, color="#7a5c00",
        )  # fmt: skip


def _draw_past(axes: "Axes", fan: Fan) -> None:
    for index, past in enumerate(fan.past):
        label = "forecast before it came (median, 10 to 90 %)" if index == 0 else None
        axes.fill_between(
            _days(past.band.times), past.band.low, past.band.high,  # type: ignore[arg-type]  # likewise
            color=PAST, alpha=0.13, linewidth=0, zorder=1,
        )  # fmt: skip
        _line(axes, past.median, color=PAST, linewidth=1.2, zorder=3, label=label)


def _draw_fan(axes: "Axes", fan: Fan) -> None:
    for band in fan.bands:
        axes.fill_between(
            _days(band.times), band.low, band.high,  # type: ignore[arg-type]  # likewise
            color=FAN, alpha=0.13, linewidth=0, zorder=2,
        )  # fmt: skip
    for edge in (fan.inner.low, fan.inner.high):
        _line(axes, Line(fan.inner.times, edge), color=FAN, linewidth=0.7, alpha=0.7, zorder=3)
    if fan.without.times:
        _line(
            axes, fan.without, color=WITHOUT, linewidth=1.5, linestyle=(0, (3, 2)), zorder=4,
            label="median without events",
        )  # fmt: skip
    _line(axes, fan.measured, color=INK, linewidth=1.25, zorder=4, label="measured")
    _line(axes, fan.median, color=FAN, linewidth=2.0, zorder=5, label="median")


def _draw_axes(axes: "Axes", fan: Fan) -> None:
    values = [*fan.measured.values, *fan.median.values]
    for band in (*fan.bands, *(past.band for past in fan.past)):
        values += [*band.low, *band.high]
    low, high = value_range(values)
    axes.set_ylim(low, high)
    axes.set_xlim(_day(fan.first), _day(fan.last))  # type: ignore[arg-type]  # its stub knows no dates
    axes.axvline(_day(fan.origin), color=FAINT, linewidth=1.0, linestyle=(0, (2, 3)), zorder=1)  # type: ignore[arg-type]  # likewise
    axes.set_ylabel(fan.unit, color=INK, fontsize=10)
    marks = time_marks(fan.first, fan.last, MARKS_MAX)
    axes.set_xticks([_day(time) for time, _ in marks], [label for _, label in marks])  # type: ignore[arg-type]  # likewise
    axes.set_xlabel("times in UTC", color=FAINT, fontsize=9, loc="left")
    bare(axes)


def _draw_legend(figure: "Figure", axes: "Axes") -> None:
    """Name the lines at the top right, outside of the plot, so that nothing is hidden."""
    from matplotlib.patches import Patch  # noqa: PLC0415 - heavy, and an extra

    handles, labels = axes.get_legend_handles_labels()
    handles += [Patch(color=FAN, alpha=0.35)]
    labels += ["1 to 99 %, lines at 10 and 90 %"]
    figure.legend(
        handles, labels, loc="upper right", bbox_to_anchor=(0.99, 0.985), ncols=3, frameon=False,
        fontsize=8.5, labelcolor=INK, columnspacing=1.4, handlelength=1.8,
    )  # fmt: skip


def _line(axes: "Axes", line: Line, **style: object) -> None:
    if line.times:
        axes.plot(_days(line.times), line.values, solid_capstyle="round", **style)  # type: ignore[arg-type]  # styles by name


def _day(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)


def _days(times: Sequence[float]) -> list[datetime]:
    return [_day(time) for time in times]
