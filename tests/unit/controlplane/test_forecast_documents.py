"""Forecasts and demand as messages: what is kept, what is rounded, what is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.demand.signals import Signal
from controlplane.forecast.documents import (
    Made,
    demand_message,
    event_of,
    forecast_id,
    forecast_message,
    quantiles_of,
    signal_and_step,
)
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import Series
from enchain.chains.errors import NotFoundError, OurError
from enchain.chains.names import ForecastName
from enchain.state.codec import VALUE_BYTES_MAX, decode, encode
from enchain.v1 import event_pb2, forecast_pb2

CPU = ForecastName("site", "cpu-5m")


def made(horizon: int = 48, scale: float = 1.0) -> Made:
    steps = np.linspace(1.0, 7.0 / 3.0, horizon)[:, None]
    return Made(
        workload="site",
        signal=Signal.CPU,
        step_seconds=300,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        origin=1_767_225_600,
        quantiles=scale * steps * (1 + LEVELS[None, :]),
        rung=forecast_pb2.FORECAST_RUNG_DAYS,
        bucket_ends=(1, 6, 24, horizon),
    )


def test_a_forecast_says_what_it_is_of() -> None:
    message = forecast_message(made())

    assert message.name == "workloads/site/forecasts/cpu-5m"
    assert (message.signal, message.unit) == (forecast_pb2.DEMAND_SIGNAL_CPU, "{cpu}")
    assert message.origin_time.seconds == 1_767_225_600
    assert message.step.seconds == 300
    assert list(message.levels) == LEVELS.tolist()
    assert list(message.bucket_ends) == [1, 6, 24, 48]
    assert not message.steps_without_events


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_quantiles_come_back_within_six_digits_and_in_order(scale: float) -> None:
    original = made(scale=scale)

    back = quantiles_of(forecast_message(original).steps)

    np.testing.assert_allclose(back, original.quantiles, rtol=1e-5)
    assert (np.diff(back, axis=-1) >= 0).all()


def test_the_longest_forecasts_that_are_made_fit_into_the_store() -> None:
    whole = made(horizon=168, scale=1e9 / 7)
    message = forecast_message(replace(whole, without_events=whole.quantiles / 3))

    value = encode(message)

    assert len(value) < VALUE_BYTES_MAX
    assert decode(forecast_pb2.Forecast, value) == message


@pytest.mark.parametrize(
    "wrong",
    [
        np.full((3, len(LEVELS)), np.nan),
        np.full((3, len(LEVELS)), np.inf),
        np.tile(LEVELS[::-1], (3, 1)),
        np.ones((3, 2)),
        np.ones(len(LEVELS)),
    ],
)
def test_what_is_no_forecast_is_never_shown(wrong: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(OurError):
        forecast_message(replace(made(), quantiles=wrong))


@pytest.mark.parametrize(
    ("signal", "seconds", "text"), [("cpu", 300, "cpu-5m"), ("memory", 3600, "memory-1h")]
)
def test_an_id_is_signal_and_grid(signal: str, seconds: int, text: str) -> None:
    assert forecast_id(Signal(signal), seconds) == text
    assert signal_and_step(ForecastName("site", text)) == (Signal(signal), seconds)


def test_a_grid_that_nothing_is_forecast_on_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="7m") as caught:
        signal_and_step(ForecastName("site", "cpu-7m"))

    assert "5m, 1h" in caught.value.remedy


def test_gaps_in_demand_stay_gaps() -> None:
    series = Series("site/cpu-5m", 1200, 300, np.array([1.0, np.nan, 1 / 3]))

    message = demand_message(CPU, series)

    assert message.name == "workloads/site/forecasts/cpu-5m/demand"
    assert message.first_time.seconds == 1200
    np.testing.assert_array_equal(message.values, [1.0, np.nan, 0.333333])


@pytest.mark.parametrize("uplift", [None, 3.0])
def test_a_planned_event_becomes_one_that_models_take(uplift: float | None) -> None:
    message = event_pb2.PlannedEvent(
        name="workloads/site/plannedEvents/launch",
        type="campaign",
        start_time=Timestamp(seconds=100),
        end_time=Timestamp(seconds=100, nanos=5),
        expected_uplift=uplift,
    )

    event = event_of(message)

    assert (event.name, event.type, event.start, event.end) == ("launch", "campaign", 100, 101)
    assert event.expected_uplift == uplift
