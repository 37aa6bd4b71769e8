"""Charts of forecasts: what they show, in the terminal and as pictures. Beauty is for the eye."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.text import Text

from controlplane.demand.signals import Signal
from controlplane.forecast.documents import demand_message, forecast_message
from controlplane.forecast.series import Series
from enchain.chains.errors import InvalidArgumentError, PreconditionError
from enchain.cli.charts.canvas import Canvas
from enchain.cli.charts.fan import Fan, Line, between, fan_of, segments
from enchain.cli.charts.picture import save_picture
from enchain.cli.charts.scales import time_marks, value_marks, value_range
from enchain.cli.charts.terminal import HEIGHT, chart
from enchain.cli.charts.units import number, scale_of
from enchain.v1 import event_pb2, forecast_pb2
from tests.harness.forecasts import CPU, ORIGIN, made, with_event

DAY = 288


def history(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], *past: forecast_pb2.Forecast
) -> forecast_pb2.DemandHistory:
    start = ORIGIN - (len(values) - 1) * 300
    return demand_message(CPU, Series("site/cpu-5m", start, 300, values), None, past)


def event(first: int, last: int, name: str = "launch") -> event_pb2.PlannedEvent:
    planned = event_pb2.PlannedEvent(name=f"workloads/site/plannedEvents/{name}", type="campaign")
    planned.start_time.FromSeconds(ORIGIN + first * 300)
    planned.end_time.FromSeconds(ORIGIN + last * 300)
    return planned


def fan(*, uplift: float = 2.0, values: int = DAY) -> Fan:
    wave = 4 * (1 + 0.4 * np.sin(np.arange(values) * 2 * np.pi / DAY))
    return fan_of(forecast_message(with_event(made(), uplift=uplift)), history(wave), [event(12, 24)])


def text(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def test_a_fan_is_what_was_measured_and_what_is_forecast() -> None:
    shown = fan()

    assert (shown.title, shown.unit) == ("site · cpu at 5m", "cores")
    assert (len(shown.measured.times), len(shown.median.times)) == (DAY, 48)
    assert shown.first == ORIGIN - (DAY - 1) * 300
    assert shown.last == ORIGIN + 48 * 300
    assert [span.name for span in shown.spans] == ["launch"]
    assert shown.without.values[12] == pytest.approx(shown.median.values[12] / 2, rel=1e-4)
    assert all(low <= high for band in shown.bands for low, high in zip(band.low, band.high, strict=True))


def test_events_that_the_chart_does_not_touch_are_left_out() -> None:
    forecast = forecast_message(made())

    shown = fan_of(forecast, None, [event(-20, -1), event(0, 5, "now"), event(48, 60)])

    assert [span.name for span in shown.spans] == ["now"]


def test_past_forecasts_stand_side_by_side_the_newest_first_chosen() -> None:
    past = []
    for ago in range(300, 0, -6):
        forecast = forecast_message(made())
        forecast.origin_time.FromSeconds(ORIGIN - ago * 300)
        past.append(forecast)

    shown = fan_of(forecast_message(made()), history(np.ones(DAY), *past))

    starts = [each.median.times[0] for each in shown.past]
    ends = [each.median.times[-1] for each in shown.past]
    assert starts == sorted(starts)
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert ends[-1] == ORIGIN - 6 * 300 + 48 * 300
    assert len(starts) == 6


@pytest.mark.parametrize(
    ("level", "value"), [(0.1, 1.0), (0.5, 2.0), (0.3, 1.5), (0.01, 1.0), (0.99, 4.0), (0.9, 4.0)]
)
def test_a_level_between_two_lies_on_the_line_between_them(level: float, value: float) -> None:
    assert between([0.1, 0.5, 0.9], [1.0, 2.0, 4.0], level) == pytest.approx(value)


def test_levels_that_are_not_there_give_nothing() -> None:
    assert math.isnan(between([], [], 0.5))


def test_gaps_break_a_line() -> None:
    line = Line((0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0, math.nan, 4.0, 5.0))

    assert [(start[0], end[0]) for start, end in segments(line)] == [(0.0, 1.0), (3.0, 4.0)]


@pytest.mark.parametrize("width", [10, 40, 57, 80, 110, 300])
def test_a_chart_is_as_wide_as_the_terminal_and_no_wider(width: int) -> None:
    lines = chart(fan(), width)

    widest = max(len(line.plain) for line in lines)
    assert widest == min(max(width, 40), 160)
    assert len(lines) >= 1 + 1 + HEIGHT + 2 + 1


def test_a_chart_reads_without_colours() -> None:
    shown = text(chart(fan(), 100))

    assert "site · cpu at 5m, in cores, times in UTC" in shown
    assert "launch" in shown
    assert "measured" in shown
    assert "without events" in shown
    assert "╎" in shown
    assert "Nov 30" in shown
    assert "\x1b" not in shown


def test_measured_and_forecast_are_on_either_side_of_now() -> None:
    lines = chart(fan_of(forecast_message(made()), history(np.full(DAY, 4.0))), 100)

    rows = [line.plain for line in lines if "╎" in line.plain and "now" not in line.plain]
    now = rows[0].index("╎")
    body = [line.plain for line in lines if "│" in line.plain or "┤" in line.plain]
    drawn = [column for row in body for column, char in enumerate(row) if "\u2801" <= char <= "\u28ff"]
    assert min(drawn) < now < max(drawn)


@pytest.mark.parametrize("values", [0, 1, 2, DAY])
@pytest.mark.parametrize("level", [0.0, 1e-6, 4.0, 1e12])
def test_any_history_and_any_level_can_be_drawn(values: int, level: float) -> None:
    forecast = forecast_message(made(level=level))
    demand = history(np.full(values, level)) if values else None

    lines = chart(fan_of(forecast, demand), 80)

    assert all(len(line.plain) <= 80 for line in lines)


def test_an_empty_forecast_is_drawn_too() -> None:
    assert chart(fan_of(forecast_pb2.Forecast(name=str(CPU))), 80)


def test_history_of_nothing_but_gaps_is_drawn_too() -> None:
    assert chart(fan_of(forecast_message(made()), history(np.full(DAY, np.nan))), 80)


def test_dots_make_braille() -> None:
    canvas = Canvas(2, 1)
    canvas.line((0, 0), (3, 3), "a")
    canvas.dot(99, 99, "a")
    canvas.dot(-1, 0, "a")

    assert "".join(canvas.cell(column, 0)[0] for column in range(2)) == "⠑⢄"
    assert canvas.cell(1, 0)[1] == "a"
    assert Canvas(1, 1).cell(0, 0) == (" ", "")


@pytest.mark.parametrize(
    ("unit", "largest", "told"),
    [
        ("By", 3 * 2**30, "3 GiB"),
        ("By/s", 1536.0, "1.5 KiB/s"),
        ("By", 0.0, "0 B"),
        ("{cpu}", 2.5, "2.5 cores"),
        ("{request}/h", 1234.0, "1,234 requests/h"),
        ("furlong", 1.0, "1 furlong"),
    ],
)
def test_units_are_written_as_people_read_them(unit: str, largest: float, told: str) -> None:
    assert scale_of(unit, largest).text(largest) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (0.1234, "0.123"),
        (1.2, "1.2"),
        (12.34, "12.3"),
        (123.4, "123"),
        (5e12, "5.00e+12"),
        (1e-5, "1.00e-05"),
    ],
)
def test_numbers_have_three_digits_or_so(value: float, told: str) -> None:
    assert number(value) == told


def test_axes_begin_at_zero_unless_that_hides_everything() -> None:
    assert value_range([1.0, 10.0])[0] == 0.0
    assert value_range([99.0, 100.0])[0] > 90.0
    assert value_range([math.nan]) == (0.0, 1.0)
    assert value_range([0.0, 0.0]) == (0.0, 1.0)


def test_marks_are_round() -> None:
    assert value_marks(0.0, 10.5, 4) == [0.0, 5.0, 10.0]
    assert [label for _, label in time_marks(ORIGIN - 6 * 3600, ORIGIN, 3)] == ["06:00", "09:00", "12:00"]
    assert time_marks(ORIGIN - 86_400, ORIGIN, 2)[0][1] == "Nov 30"


def test_a_picture_is_written(tmp_path: Path) -> None:
    file = tmp_path / "fan.png"
    past = forecast_message(made())
    past.origin_time.FromSeconds(ORIGIN - 48 * 300)
    forecast = forecast_message(with_event(made()))

    save_picture(fan_of(forecast, history(np.ones(DAY), past), [event(12, 24)]), file, note="made just now")

    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("demand", [None, history(np.full(3, np.nan))])
def test_a_picture_of_little_is_written_too(
    tmp_path: Path, demand: forecast_pb2.DemandHistory | None
) -> None:
    file = tmp_path / "fan.png"

    save_picture(fan_of(forecast_message(made(Signal.MEMORY, level=3e9)), demand), file)

    assert file.stat().st_size > 10_000


def test_a_picture_that_cannot_be_written_says_where_to(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"fan\.png cannot be written"):
        save_picture(fan(), tmp_path / "none" / "fan.png")


def test_without_matplotlib_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)

    with pytest.raises(PreconditionError) as caught:
        save_picture(fan(), tmp_path / "fan.png")

    assert "pip install 'enchain[plots]'" in caught.value.remedy
