"""Forecasts of the workload `site` for tests: small ones, made by the code that makes all of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from controlplane.catalog.documents import write
from controlplane.demand.signals import Signal
from controlplane.forecast.documents import Made, forecast_id, forecast_message
from controlplane.forecast.quantiles import LEVELS
from enchain.chains.names import ForecastName
from enchain.state import keys
from enchain.state.store import Store, put
from enchain.v1 import forecast_pb2

CPU = ForecastName("site", "cpu-5m")
ORIGIN = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp())


def made(signal: Signal = Signal.CPU, *, horizon: int = 48, level: float = 4.0) -> Made:
    """A forecast of a gentle wave, its band wider with every step."""
    steps = np.arange(1, horizon + 1)
    centre = level * (1 + 0.4 * np.sin(steps * 2 * np.pi / 288))
    spread = level * 0.04 * np.sqrt(steps)
    normal = np.array([-2.33, -1.64, -1.28, -0.84, -0.52, -0.25, 0, 0.25, 0.52, 0.84, 1.28, 1.64, 2.33])
    assert len(normal) == len(LEVELS)
    quantiles = np.maximum(centre[:, None] + spread[:, None] * normal[None, :], 0.0)
    return Made(
        workload="site",
        signal=signal,
        step_seconds=300,
        created=datetime.fromtimestamp(ORIGIN, UTC) + timedelta(seconds=20),
        origin=ORIGIN,
        quantiles=quantiles,
        rung=forecast_pb2.FORECAST_RUNG_DAYS,
        bucket_ends=(3, 12, horizon),
        models=(
            forecast_pb2.ModelShare(model="MSTL", weights=[0.4, 0.5, 0.6]),
            forecast_pb2.ModelShare(model="Theta", weights=[0.6, 0.5, 0.4]),
            forecast_pb2.ModelShare(
                model="LSTM", weights=[0, 0, 0], reason="WORKER_DOWN", description="the worker is down"
            ),
        ),
        data=forecast_pb2.DataFreshness(points=864, gaps=0.01, source="otlp", rejected={"NAN": 3}),
        warnings=(
            forecast_pb2.ForecastWarning(
                reason="WORKER_DOWN",
                description="the forecasting worker is down",
                remedy="It is started again by itself.",
            ),
        ),
    )


def with_event(forecast: Made, first: int = 12, last: int = 24, uplift: float = 3.0) -> Made:
    """The same with an event that multiplies some steps."""
    lifted = forecast.quantiles.copy()
    lifted[first:last] *= uplift
    effect = forecast_pb2.EventEffect(
        event="workloads/site/plannedEvents/launch",
        uplift=uplift,
        uplift_spread=1.3,
        expected_uplift=uplift,
    )
    return replace(forecast, quantiles=lifted, without_events=forecast.quantiles, events=(effect,))


async def publish(store: Store, *forecasts: Made) -> None:
    """Write forecasts as the leader does."""
    for each in forecasts:
        key = keys.forecast(each.workload, forecast_id(each.signal, each.step_seconds))
        await put(store, [write(key, forecast_message(each))])
