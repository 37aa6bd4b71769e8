"""What a chart of a forecast shows, from the messages of the service. Pure.

`terminal` and `picture` draw it. Times are seconds since the epoch, values are in the unit that is shown.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from enchain.cli.charts.units import Scale, scale_of
from enchain.v1 import event_pb2, forecast_pb2

LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9

PAST_MAX = 12
"""Forecasts of the past that are drawn."""

MEMBERS = ((0.01, 0.99), (0.05, 0.95), (0.1, 0.9), (0.2, 0.8), (0.3, 0.7), (0.4, 0.6))
"""The bands of the fan, the widest first."""


@dataclass(frozen=True, slots=True)
class Line:
    """Values at times; NaN where there is none."""

    times: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Band:
    """What lies between two quantiles at times."""

    times: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A planned event: its name, and from when until when."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Past:
    """A forecast of the past: its median, and its 10 to 90 % band."""

    median: Line
    band: Band


@dataclass(frozen=True, slots=True)
class Fan:
    """All that a chart shows.

    Attributes:
        title: Of what it is.
        unit: Of the values.
        origin: The time of the last value that the forecast knows.
        measured: What was measured.
        median: What is forecast, in the middle.
        bands: Around it, the widest first; the one of 10 to 90 % is `inner`.
        inner: The 10 to 90 % band.
        without: The median as if nothing were planned; empty where nothing is.
        spans: Planned events that the chart touches.
        past: Forecasts of the past, oldest first, none of which overlaps another.
    """

    title: str
    unit: str
    origin: float
    measured: Line
    median: Line
    bands: tuple[Band, ...]
    inner: Band
    without: Line = Line()
    spans: tuple[Span, ...] = ()
    past: tuple[Past, ...] = ()

    @property
    def first(self) -> float:
        """Where the chart begins."""
        return self.measured.times[0] if self.measured.times else self.origin

    @property
    def last(self) -> float:
        """Where the chart ends."""
        return self.median.times[-1] if self.median.times else self.origin


def fan_of(
    forecast: forecast_pb2.Forecast,
    demand: forecast_pb2.DemandHistory | None = None,
    events: Sequence[event_pb2.PlannedEvent] = (),
) -> Fan:
    """Put together what a chart shows.

    Args:
        forecast: The forecast.
        demand: What was measured, and forecasts of the past; None where the leader does not answer.
        events: The workload's planned events, of any time.
    """
    scale = scale_of(forecast.unit, _largest(forecast, demand))
    times = times_of(forecast)
    measured = _measured(demand, scale)
    first, last = (measured.times or times or (0.0,))[0], (times or (0.0,))[-1]
    workload, _, identifier = forecast.name.removeprefix("workloads/").partition("/forecasts/")
    signal, _, grid = identifier.partition("-")
    return Fan(
        title=f"{workload} · {signal} at {grid}",
        unit=scale.label,
        origin=float(forecast.origin_time.seconds),
        measured=measured,
        median=Line(times, quantile(forecast, forecast.steps, MIDDLE, scale)),
        bands=tuple(_band(forecast, low, high, scale) for low, high in MEMBERS),
        inner=_band(forecast, LOW, HIGH, scale),
        without=_without(forecast, times, scale),
        spans=tuple(
            Span(
                event.name.rpartition("/")[2], float(event.start_time.seconds), float(event.end_time.seconds)
            )
            for event in events
            if event.start_time.seconds < last and event.end_time.seconds > first
        ),
        past=_past(demand, scale, first),
    )


def times_of(forecast: forecast_pb2.Forecast) -> tuple[float, ...]:
    """Answer the time of each step."""
    step = forecast.step.seconds
    return tuple(float(forecast.origin_time.seconds + step * (i + 1)) for i in range(len(forecast.steps)))


def quantile(
    forecast: forecast_pb2.Forecast,
    steps: Sequence[forecast_pb2.ForecastStep],
    level: float,
    scale: Scale,
) -> tuple[float, ...]:
    """Answer one quantile at each step, on a line between the levels beside it where it is none itself."""
    levels = list(forecast.levels)
    return tuple(between(levels, list(step.quantiles), level) * scale.factor for step in steps)


def between(levels: Sequence[float], values: Sequence[float], level: float) -> float:
    """Answer the value at a level; beyond the outermost levels, theirs."""
    if not levels or len(levels) != len(values):
        return math.nan
    at = bisect_left(levels, level - 1e-9)
    if at >= len(levels):
        return values[-1]
    if at == 0 or abs(levels[at] - level) < 1e-9:  # noqa: PLR2004 - the same level but for rounding
        return values[at]
    share = (level - levels[at - 1]) / (levels[at] - levels[at - 1])
    return values[at - 1] + share * (values[at] - values[at - 1])


def _band(forecast: forecast_pb2.Forecast, low: float, high: float, scale: Scale) -> Band:
    return Band(
        times_of(forecast),
        quantile(forecast, forecast.steps, low, scale),
        quantile(forecast, forecast.steps, high, scale),
    )


def _without(forecast: forecast_pb2.Forecast, times: tuple[float, ...], scale: Scale) -> Line:
    values = quantile(forecast, forecast.steps_without_events, MIDDLE, scale)
    return Line(times[: len(values)], values)


def _measured(demand: forecast_pb2.DemandHistory | None, scale: Scale) -> Line:
    if demand is None:
        return Line()
    step, first = demand.step.seconds, demand.first_time.seconds
    times = tuple(float(first + step * index) for index in range(len(demand.values)))
    return Line(times, tuple(value * scale.factor for value in demand.values))


def _past(demand: forecast_pb2.DemandHistory | None, scale: Scale, first: float) -> tuple[Past, ...]:
    """Choose forecasts of the past side by side, from the newest back."""
    chosen: list[Past] = []
    begins = math.inf
    for forecast in reversed(demand.past_forecasts if demand else ()):
        times = times_of(forecast)
        if not times or times[-1] > begins or times[0] < first or len(chosen) == PAST_MAX:
            continue
        median = quantile(forecast, forecast.steps, MIDDLE, scale)
        chosen.append(Past(Line(times, median), _band(forecast, LOW, HIGH, scale)))
        begins = times[0]
    return tuple(reversed(chosen))


def _largest(forecast: forecast_pb2.Forecast, demand: forecast_pb2.DemandHistory | None) -> float:
    quantiles = [between(list(forecast.levels), list(step.quantiles), HIGH) for step in forecast.steps]
    values = [*quantiles, *(demand.values if demand else ())]
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def segments(line: Line) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Answer the pieces of a line between neighbours that are both there."""
    points = list(zip(line.times, line.values, strict=True))
    return [(a, b) for a, b in pairwise(points) if math.isfinite(a[1]) and math.isfinite(b[1])]
