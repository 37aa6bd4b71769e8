"""Demand from a file, and what it will be: forecast with the models that need numpy alone.

`controlplane.offline.__main__` calls it. The combination learns from forecasts of the file's own past, as the
leader's does; nothing is known of planned events here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from controlplane.demand.signals import RULES, Signal
from controlplane.forecast.backtest.csvfile import NoTraceError, Trace, read
from controlplane.forecast.backtest.driver import Resources, forecasts
from controlplane.forecast.backtest.plan import Case, usual
from controlplane.forecast.backtest.pooled import combined
from controlplane.forecast.backtest.traces import coarser
from controlplane.forecast.documents import (
    Made,
    demand_message,
    forecast_id,
    forecast_message,
    recent_max,
)
from controlplane.forecast.registry import COMBINED, LIGHT
from controlplane.forecast.series import HOUR, MINUTE, FloatArray, Series
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import ForecastName
from enchain.v1 import forecast_pb2

FINE, COARSE = 5 * MINUTE, HOUR

LEAST_DAYS = 2
"""How long the file must be: a day must come again."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One signal: what was measured, and what is forecast."""

    signal: Signal
    history: forecast_pb2.DemandHistory
    forecast: forecast_pb2.Forecast
    newest: FloatArray


def measured(file: Path, workload: str, now: datetime, tell: Tell) -> dict[str, Measured]:
    """Read a file and forecast each of its signals.

    Args:
        file: CSV: `timestamp`, and columns named by signals; a file with one column only holds requests.
        workload: Whose demand it is.
        now: When the forecasts are made; for people to see.
        tell: Called with progress.

    Raises:
        InvalidArgumentError: It cannot be read, or nothing in it can be forecast.
    """
    try:
        trace = read(file)
    except NoTraceError as fault:
        raise _unusable(file, str(fault)) from fault
    named = _by_signal(trace)
    if not named:
        known = ", ".join(Signal)
        raise _unusable(file, f"none of its columns is named {known}")
    grid = FINE if trace.step_seconds <= FINE else COARSE
    if trace.step_seconds > COARSE:
        raise _unusable(file, "its values are more than an hour apart")
    trace = Trace(trace.stem, trace.start, trace.step_seconds, named)
    trace = coarser(trace, grid) if trace.step_seconds != grid else trace
    return {
        name: _forecast(Signal(name), values, trace, workload, now, tell)
        for name, values in trace.columns.items()
    }


def _by_signal(trace: Trace) -> dict[str, FloatArray]:
    named = {name: values for name, values in trace.columns.items() if name in set(Signal)}
    if not named and len(trace.columns) == 1:
        return {Signal.REQUESTS.value: next(iter(trace.columns.values()))}
    return named


def _forecast(
    signal: Signal, values: FloatArray, trace: Trace, workload: str, now: datetime, tell: Tell
) -> Measured:
    plan = usual("5min" if trace.step_seconds == FINE else "1h", origins=1)
    if len(values) * trace.step_seconds < LEAST_DAYS * 24 * HOUR:
        days = len(values) * trace.step_seconds / (24 * HOUR)
        raise _unusable(Path(trace.stem), f"{days:.1f} days of {signal} are too few; {LEAST_DAYS} are needed")
    # What is to come is not known: the backtest's one scored origin lies at the end of the file.
    padded = np.concatenate([values, np.full(plan.horizon, np.nan)])
    case = Case(Series(f"{workload}/{signal}", trace.start, trace.step_seconds, padded), workload)
    members = tuple(LIGHT)
    found = forecasts([case], members, plan, Resources(1, None), tell)
    made = combined([case], plan, members, found)[case.series.id, COMBINED]
    series = Series(case.series.id, trace.start, trace.step_seconds, values)
    message = forecast_message(
        Made(
            workload=workload,
            signal=signal,
            step_seconds=trace.step_seconds,
            created=now,
            origin=series.last,
            quantiles=made.quantiles[-1],
            rung=forecast_pb2.FORECAST_RUNG_DAYS,
            recent_max=recent_max(series),
        )
    )
    name = ForecastName(workload, forecast_id(signal, trace.step_seconds))
    shown = series.newest(4 * plan.horizon)
    return Measured(signal, demand_message(name, shown), message, values)


def _unusable(file: Path, why: str) -> InvalidArgumentError:
    signals = ", ".join(f"{signal} ({RULES[signal].unit})" for signal in Signal)
    return InvalidArgumentError(
        f"{file}: {why}",
        reason="UNUSABLE_METRICS",
        remedy=f"Give a CSV file with `timestamp` and columns named by signals: {signals}.",
        metadata={"file": str(file)},
    )
