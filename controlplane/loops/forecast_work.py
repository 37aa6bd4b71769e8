"""What only the leader can tell of forecasts: measured demand, and what was forecast of it.

The forecasting loop lays it on the desk while it leads; the service asks through the port
`controlplane.forecast.serving.ForecastWork`.
"""

import asyncio
from datetime import UTC, datetime

import numpy as np

from controlplane.demand.measured import Demand
from controlplane.forecast.documents import Made, demand_message, forecast_message, signal_and_step
from controlplane.forecast.track import Track
from controlplane.forecast.trackbook import Trackbook
from controlplane.loops.forecast_inputs import SETTLE_SECONDS
from controlplane.loops.forecast_publishing import PUBLISHED
from enchain.chains.names import ForecastName
from enchain.process.clock import Clock
from enchain.v1 import forecast_pb2

PAST_MAX = 24
"""Past forecasts that are answered, the newest."""


class LeaderWork:
    """Answers measured demand.

    Args:
        demand: Measured demand.
        book: What was forecast.
        clock: Time.
    """

    def __init__(self, demand: Demand, book: Trackbook, clock: Clock) -> None:
        self._demand = demand
        self._book = book
        self._clock = clock

    async def demand(self, name: ForecastName, window_seconds: int) -> forecast_pb2.DemandHistory:
        """See the port."""
        signal, step_seconds = signal_and_step(name)
        until = int(self._clock.now().timestamp()) - SETTLE_SECONDS
        series, freshness = await self._demand.measured(
            name.workload, signal, step_seconds, until, window_seconds
        )
        track = await asyncio.to_thread(self._book.get, f"{name.workload}/{name.forecast}")
        past = [] if track is None else past_forecasts(name, track, since=series.start)
        return demand_message(name, series, freshness.message(), past)


def past_forecasts(name: ForecastName, track: Track, *, since: int) -> list[forecast_pb2.Forecast]:
    """Answer the newest published forecasts of a track from a time on, oldest first."""
    if PUBLISHED not in track.members:
        return []
    signal, step_seconds = signal_and_step(name)
    place = track.members.index(PUBLISHED)
    found = [
        Made(
            workload=name.workload,
            signal=signal,
            step_seconds=step_seconds,
            created=datetime.fromtimestamp(int(origin), UTC),
            origin=int(origin),
            quantiles=np.sort(quantiles[place], axis=-1),
            rung=forecast_pb2.FORECAST_RUNG_UNSPECIFIED,
        )
        for origin, quantiles in zip(track.origins, track.forecasts, strict=True)
        if origin >= since and np.isfinite(quantiles[place]).all()
    ]
    return [forecast_message(each) for each in found[-PAST_MAX:]]
