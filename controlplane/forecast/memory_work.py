"""The leader's part of the service in memory: it answers the demand that it was given.

It ships beside the port for tests and for trying the service without a history.
"""

from controlplane.forecast.documents import demand_message, signal_and_step
from controlplane.forecast.series import FloatArray, Series
from enchain.chains.names import ForecastName
from enchain.v1 import forecast_pb2


class MemoryForecastWork:
    """Demand by the name of its forecast."""

    def __init__(self) -> None:
        self._demand: dict[ForecastName, forecast_pb2.DemandHistory] = {}

    def measure(
        self,
        name: ForecastName,
        values: FloatArray,
        *,
        start: int = 0,
        past: tuple[forecast_pb2.Forecast, ...] = (),
    ) -> None:
        """Put down what was measured, from a time in seconds since the epoch on."""
        _, step_seconds = signal_and_step(name)
        series = Series(f"{name.workload}/{name.forecast}", start, step_seconds, values)
        data = forecast_pb2.DataFreshness(points=len(series), source="otlp")
        data.first_time.FromSeconds(series.start)
        data.last_time.FromSeconds(series.last)
        self._demand[name] = demand_message(name, series, data, past)

    async def demand(self, name: ForecastName, window_seconds: int) -> forecast_pb2.DemandHistory:
        """Answer the newest part of what was put down."""
        _, step_seconds = signal_and_step(name)
        answer = forecast_pb2.DemandHistory(name=name.demand, data=forecast_pb2.DataFreshness())
        answer.MergeFrom(self._demand.get(name, forecast_pb2.DemandHistory()))
        dropped = max(0, len(answer.values) - window_seconds // step_seconds)
        del answer.values[:dropped]
        answer.first_time.FromSeconds(answer.first_time.seconds + dropped * step_seconds)
        return answer
