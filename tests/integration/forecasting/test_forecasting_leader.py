"""What the leader publishes: from minutes of history to weeks, with the worker and without it."""

import os
import signal

import numpy as np
import pytest

from controlplane.demand.signals import CELL_SECONDS, Signal
from controlplane.forecast.documents import quantiles_of
from controlplane.forecast.quantiles import usable
from controlplane.forecast.worker.client import Worker
from enchain.state import keys
from enchain.state.store import Delete, Txn
from enchain.v1 import forecast_pb2
from tests.harness.forecasting import END, ForecastingLeader, daily, shares
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def _check(forecast: forecast_pb2.Forecast, highest: float) -> None:
    quantiles = quantiles_of(forecast.steps)
    assert quantiles.shape == (48, len(forecast.levels))
    assert usable(quantiles)
    assert 0 <= quantiles.min() <= quantiles.max() <= 3 * highest


async def test_from_three_values_the_reactive_envelope_forecasts(leader: ForecastingLeader) -> None:
    await leader.measure("site", Signal.CPU, np.array([2.0, 3.0, 4.0]))
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    _check(forecast, 4.0)
    assert forecast.rung == forecast_pb2.FORECAST_RUNG_MINUTES
    assert {each.model for each in forecast.models} == {"Envelope", "Naive"}
    assert [each.reason for each in forecast.warnings if each.reason == "SHORT_HISTORY"]


async def test_from_five_days_seasonal_models_forecast_and_the_past_is_judged(
    leader: ForecastingLeader,
) -> None:
    values = daily(5)
    await leader.measure("site", Signal.CPU, values)
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    _check(forecast, values.max())
    assert forecast.rung == forecast_pb2.FORECAST_RUNG_DAYS
    assert shares(forecast)["LSTM"] == "NOT_LEARNED_YET"
    assert sum(sum(each.weights) > 0 for each in forecast.models) >= 3
    track = leader.book.get("site/cpu-5m")
    assert track is not None
    assert len(track) >= 6
    # Tomorrow's shape is today's: the median follows it.
    expected = daily(1)[:48]
    assert np.abs(quantiles_of(forecast.steps)[:, 6] - expected).mean() < 0.15 * expected.mean()


async def test_it_refreshes_when_a_new_value_has_settled(leader: ForecastingLeader) -> None:
    await leader.measure("site", Signal.CPU, daily(0.2))
    leader.start_forecasting()
    first = await leader.forecast("site", "cpu-5m")

    await leader.measure("site", Signal.CPU, np.array([30.0]), end=END + CELL_SECONDS)
    leader.advance(CELL_SECONDS)
    second = await leader.forecast("site", "cpu-5m", after=first.origin_time.seconds)

    assert second.origin_time.seconds == first.origin_time.seconds + CELL_SECONDS
    assert quantiles_of(second.steps)[0, 6] > quantiles_of(first.steps)[0, 6]


async def test_with_the_worker_killed_forecasts_go_on_and_say_so_and_it_comes_back(
    leader: ForecastingLeader,
) -> None:
    await leader.measure("site", Signal.CPU, daily(5))
    leader.start_forecasting()
    first = await leader.forecast("site", "cpu-5m")
    pid = leader.forecasts.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    await leader.measure("site", Signal.CPU, np.array([9.0]), end=END + CELL_SECONDS)
    leader.advance(CELL_SECONDS)
    second = await leader.forecast("site", "cpu-5m", after=first.origin_time.seconds)
    _check(second, 20.0)

    await leader.measure("site", Signal.CPU, np.array([9.0]), end=END + 2 * CELL_SECONDS)
    leader.advance(CELL_SECONDS)
    third = await leader.forecast("site", "cpu-5m", after=second.origin_time.seconds)

    _check(third, 20.0)
    assert leader.forecasts.pid not in {None, pid}
    assert "WORKER_DIED" not in {each.reason for each in third.warnings}


async def test_a_worker_that_dies_each_time_leaves_the_models_that_need_numpy_alone(
    leader: ForecastingLeader,
) -> None:
    leader.forecasts = Worker("forecasts", leader.clock, command=["/bin/false"])
    await leader.measure("site", Signal.CPU, daily(5))
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    _check(forecast, 20.0)
    why = shares(forecast)
    assert {why[name] for name in ("LSTM", "LightGBM", "MSTL", "Prophet")} == {"WORKER_DIED"}
    assert not why["SeasonalNaive"] or not why["Theta"]
    assert "WORKER_DIED" in {each.reason for each in forecast.warnings}


async def test_what_a_deleted_workload_had_is_forgotten(leader: ForecastingLeader) -> None:
    await leader.measure("site", Signal.CPU, daily(0.2))
    await leader.measure("other", Signal.CPU, daily(0.2))
    leader.start_forecasting()
    first = await leader.forecast("site", "cpu-5m")
    await leader.forecast("other", "cpu-5m")

    await leader.store.commit(Txn(success=(Delete(keys.workload("other")),)))
    await leader.measure("site", Signal.CPU, np.array([9.0]), end=END + CELL_SECONDS)
    leader.advance(CELL_SECONDS)
    await leader.forecast("site", "cpu-5m", after=first.origin_time.seconds)

    async def gone() -> bool:
        return await leader.store.get(keys.forecast("other", "cpu-5m")) is None

    assert await eventually(gone)
    assert await leader.store.get(keys.forecast("site", "cpu-5m")) is not None
    assert await eventually(lambda: leader.book.get("other/cpu-5m") is None)
