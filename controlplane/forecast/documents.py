"""Forecasts and demand as messages, and back. Pure.

The leader's forecasting loop writes with it what the service answers; planning reads with it. Numbers
are rounded to six digits, so that a forecast fits into a value of the store: no forecast is that exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from controlplane.demand.signals import GRIDS, RULES, Signal
from controlplane.forecast.quantiles import LEVELS, usable
from controlplane.forecast.series import Event, FloatArray, Series
from enchain.chains.errors import NotFoundError, OurError
from enchain.chains.names import ForecastName, PlannedEventName
from enchain.v1 import event_pb2, forecast_pb2

RECENT_SECONDS = 1800
"""How far back the reactive envelope looks."""

DIGITS = 6
"""Significant ones. 48 steps with and without events then take some 15 KB as JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A forecast as it was made.

    Attributes:
        workload: Its id.
        signal: What is forecast.
        step_seconds: Distance of its steps, 300 or 3600.
        created: When it was made, in UTC.
        origin: The time of the last value that it knows, seconds since the epoch.
        quantiles: Shape (horizon, len(LEVELS)), in the unit of the signal, with all planned events taken in.
        without_events: The same as if nothing were planned; None where no event touches the horizon.
        rung: How much history there was.
        bucket_ends: The last step of each horizon bucket, ascending; weights are in their order.
        models: Each model that was asked.
        events: What planned events do to it.
        data: How fresh and whole its data is.
        warnings: What whoever relies on it should know.
        recent_max: The largest value of the last half hour; None where nothing was measured in it.
    """

    workload: str
    signal: Signal
    step_seconds: int
    created: datetime
    origin: int
    quantiles: FloatArray
    rung: forecast_pb2.ForecastRung.ValueType
    without_events: FloatArray | None = None
    bucket_ends: Sequence[int] = ()
    models: Sequence[forecast_pb2.ModelShare] = ()
    events: Sequence[forecast_pb2.EventEffect] = ()
    data: forecast_pb2.DataFreshness | None = None
    warnings: Sequence[forecast_pb2.ForecastWarning] = ()
    recent_max: float | None = None


def recent_max(series: Series) -> float | None:
    """Answer the largest value of the half hour that ends with a series, or None where it holds none."""
    newest = series.newest(max(1, RECENT_SECONDS // series.step_seconds)).values
    seen = newest[np.isfinite(newest)]
    return float(seen.max()) if seen.size else None


def forecast_id(signal: Signal, step_seconds: int) -> str:
    """Answer the id of a forecast, such as `cpu-5m`."""
    return f"{signal}-{GRIDS[step_seconds]}"


def signal_and_step(name: ForecastName) -> tuple[Signal, int]:
    """Answer the signal of a forecast and the distance of its steps in seconds.

    Raises:
        NotFoundError: Nothing is forecast on such a grid.
    """
    word, _, grid = name.forecast.partition("-")
    for seconds, known in GRIDS.items():
        if known == grid:
            return Signal(word), seconds
    raise NotFoundError(
        f"nothing is forecast on a grid of {grid}",
        reason="NO_SUCH_GRID",
        remedy=f"Ask for one of {', '.join(GRIDS.values())}.",
        metadata={"grid": grid},
    )


def forecast_message(made: Made) -> forecast_pb2.Forecast:
    """Turn a forecast into a message, its etag left to whoever stores it.

    Raises:
        OurError: It is not finite, its quantiles cross, or it is of another shape. Such a one is never shown.
    """
    message = forecast_pb2.Forecast(
        name=str(ForecastName(made.workload, forecast_id(made.signal, made.step_seconds))),
        signal=RULES[made.signal].wire,
        unit=RULES[made.signal].unit,
        levels=LEVELS.tolist(),
        steps=_steps(made.quantiles),
        steps_without_events=[] if made.without_events is None else _steps(made.without_events),
        rung=made.rung,
        models=made.models,
        events=made.events,
        data=made.data,
        warnings=made.warnings,
        bucket_ends=made.bucket_ends,
        recent_max=made.recent_max,
    )
    message.create_time.FromDatetime(made.created)
    message.origin_time.FromSeconds(made.origin)
    message.step.FromSeconds(made.step_seconds)
    return message


def quantiles_of(steps: Sequence[forecast_pb2.ForecastStep]) -> FloatArray:
    """Answer the quantiles of a message's steps, shape (horizon, number of levels)."""
    return np.array([list(step.quantiles) for step in steps], dtype=np.float64)


def demand_message(
    name: ForecastName,
    series: Series,
    data: forecast_pb2.DataFreshness | None = None,
    past: Sequence[forecast_pb2.Forecast] = (),
) -> forecast_pb2.DemandHistory:
    """Turn measured demand into a message; gaps stay NaN.

    Args:
        name: The forecast that it is behind.
        series: What was measured, in the unit of the signal, on the grid of the forecast.
        data: How fresh and whole it is.
        past: Forecasts of the past, oldest first.
    """
    signal, step_seconds = signal_and_step(name)
    message = forecast_pb2.DemandHistory(
        name=name.demand,
        signal=RULES[signal].wire,
        unit=RULES[signal].unit,
        values=_rounded(series.values),
        data=data,
        past_forecasts=past,
    )
    message.first_time.FromSeconds(series.start)
    message.step.FromSeconds(step_seconds)
    return message


def event_of(message: event_pb2.PlannedEvent) -> Event:
    """Answer a planned event as models take it."""
    return Event(
        name=PlannedEventName.parse(message.name).event,
        type=message.type,
        start=message.start_time.seconds,
        end=max(message.end_time.seconds, message.start_time.seconds + 1),
        expected_uplift=message.expected_uplift if message.HasField("expected_uplift") else None,
    )


def _steps(quantiles: FloatArray) -> list[forecast_pb2.ForecastStep]:
    if quantiles.ndim != 2 or quantiles.shape[1] != len(LEVELS) or not usable(quantiles):  # noqa: PLR2004 - steps and levels
        raise OurError(
            f"a forecast of shape {quantiles.shape} is not finite, or its quantiles cross",
            reason="UNUSABLE_FORECAST",
        )
    return [forecast_pb2.ForecastStep(quantiles=_rounded(step)) for step in quantiles]


def _rounded(values: FloatArray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
