"""A forecast in the terminal: measured demand, the median, its band, and planned events.

`enchain forecast show --plot` calls it, through `rich`, which knows the width of the terminal and whether it
has colours. Without them the lines still differ: measured and median are solid, the band is sparse, and the
median without events is dotted.
"""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from enchain.cli.charts.canvas import Canvas
from enchain.cli.charts.fan import Fan, Line, Span, segments
from enchain.cli.charts.scales import time_marks, value_marks, value_range
from enchain.cli.charts.units import number

WIDTH_MIN = 40
WIDTH_MAX = 160
HEIGHT = 16
MARK_COLUMNS = 12
"""Room for a time below the axis."""

STYLES = {"measured": "default", "band": "cyan", "median": "bold cyan", "without": "magenta"}
_ORIGIN, _EVENT = "dim", "yellow"


def print_chart(fan: Fan, *, width: int | None = None) -> None:
    """Print a chart to standard output, as wide as the terminal."""
    console = Console(width=width, highlight=False)
    for line in chart(fan, console.width):
        console.print(line, no_wrap=True, overflow="crop", crop=True, soft_wrap=False)


def chart(fan: Fan, width: int, height: int = HEIGHT) -> list[Text]:
    """Answer the lines of a chart, none of them longer than `width` (but at least 40)."""
    low, high = value_range(_values(fan))
    marks = value_marks(low, high, height // 3)
    margin = max((len(number(mark)) for mark in marks), default=1) + 1
    width = min(max(width, WIDTH_MIN), WIDTH_MAX)
    plot = _Plot(fan, Canvas(width - margin - 1, height), low, high)
    plot.draw()
    lines = [Text(f"{fan.title}, in {fan.unit}, times in UTC", style="bold")]
    lines += _event_rows(plot, fan.spans, margin)
    lines += _plot_rows(plot, marks, margin)
    lines += _time_rows(plot, margin)
    lines += _legend(fan, margin, width)
    return lines


class _Plot:
    """Times and values on a canvas."""

    def __init__(self, fan: Fan, canvas: Canvas, low: float, high: float) -> None:
        self.fan = fan
        self.canvas = canvas
        self.low = low
        self.high = high

    def column(self, time: float) -> int:
        """Answer the dot column of a time."""
        share = (time - self.fan.first) / max(self.fan.last - self.fan.first, 1.0)
        return round(share * (self.canvas.columns - 1))

    def row(self, value: float) -> int:
        """Answer the dot row of a value."""
        share = (value - self.low) / max(self.high - self.low, 1e-12)
        return round((1 - min(max(share, 0.0), 1.0)) * (self.canvas.rows - 1))

    def draw(self) -> None:
        """Draw everything, what matters most last."""
        self._band()
        self._line(self.fan.without, "without", every=3)
        self._line(self.fan.measured, "measured")
        self._line(self.fan.median, "median")

    def _band(self) -> None:
        band = self.fan.inner
        for column in range(self.column(self.fan.origin), self.canvas.columns):
            time = self.fan.first + column / max(self.canvas.columns - 1, 1) * (
                self.fan.last - self.fan.first
            )
            low, high = _at(Line(band.times, band.low), time), _at(Line(band.times, band.high), time)
            if math.isfinite(low) and math.isfinite(high):
                self.canvas.area(column, self.row(high), self.row(low), "band")

    def _line(self, line: Line, layer: str, *, every: int = 1) -> None:
        for start, end in segments(line):
            ends = [(self.column(time), self.row(value)) for time, value in (start, end)]
            self.canvas.line(ends[0], ends[1], layer, every=every)


def _at(line: Line, time: float) -> float:
    """Answer the value of a line at a time, between the two points beside it."""
    for (t0, v0), (t1, v1) in segments(line):
        if t0 <= time <= t1:
            return v0 + (v1 - v0) * (time - t0) / max(t1 - t0, 1e-9)
    return math.nan


def _event_rows(plot: _Plot, spans: Sequence[Span], margin: int) -> list[Text]:
    """Draw planned events above the plot, each on a row of its own."""
    rows = []
    for span in spans:
        start = min(max(plot.column(span.start) // 2, 0), plot.canvas.width - 1)
        end = min(max(plot.column(span.end) // 2, start), plot.canvas.width - 1)
        bar = "╶" + "─" * (end - start - 1) + "╴" if end > start else "│"
        before = f"{span.name} " if len(span.name) + 1 <= start else ""
        after = "" if before else f" {span.name}"
        text = " " * (margin + 1 + start - len(before)) + before + bar + after
        rows.append(Text(text[: margin + 1 + plot.canvas.width], style=_EVENT))
    return rows


def _plot_rows(plot: _Plot, marks: Sequence[float], margin: int) -> list[Text]:
    labels = {plot.row(mark) // 4: number(mark) for mark in marks}
    origin = plot.column(plot.fan.origin) // 2
    rows = []
    for row in range(plot.canvas.height):
        label = labels.get(row, "")
        line = Text(f"{label:>{margin - 1}} {'┤' if label else '│'}")
        for column in range(plot.canvas.width):
            char, layer = plot.canvas.cell(column, row)
            if column == origin and char == " ":
                line.append("╎", style=_ORIGIN)
            else:
                line.append(char, style=STYLES.get(layer))
        line.rstrip()
        rows.append(line)
    return rows


def _time_rows(plot: _Plot, margin: int) -> list[Text]:
    width = plot.canvas.width
    axis, labels = ["─"] * width, [" "] * width
    taken = 0
    for time, label in time_marks(plot.fan.first, plot.fan.last, width // MARK_COLUMNS):
        column = min(plot.column(time) // 2, width - 1)
        begins = max(0, min(column - len(label) // 2, width - len(label)))
        if begins < taken:
            continue
        axis[column] = "┬"
        labels[begins : begins + len(label)] = label
        taken = begins + len(label) + 1
    room = " " * margin
    return [Text(f"{room}└{''.join(axis)}"), Text(f"{room} {''.join(labels)}".rstrip())]


def _legend(fan: Fan, margin: int, width: int) -> list[Text]:
    """Name the lines, in as many rows as it takes."""
    parts = [("⠒⠒ measured", STYLES["measured"]), ("⠒⠒ median", STYLES["median"])]
    parts.append(("⠅⠅ 10 to 90 %", STYLES["band"]))
    if fan.without.times:
        parts.append(("⠂⠂ without events", STYLES["without"]))
    parts.append(("╎ now", _ORIGIN))
    rows = [Text(" " * margin)]
    for word, style in parts:
        if len(rows[-1].plain) + 3 + len(word) > width:
            rows.append(Text(" " * margin))
        rows[-1].append("   " if rows[-1].plain.strip() else " ")
        rows[-1].append(word, style=style)
    return rows


def _values(fan: Fan) -> list[float]:
    return [*fan.measured.values, *fan.median.values, *fan.inner.low, *fan.inner.high, *fan.without.values]
