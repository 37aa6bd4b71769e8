"""What is planned, in what the leader publishes: events with and without, and stated peaks."""

from datetime import UTC, datetime

import numpy as np

from controlplane.demand.signals import Signal
from controlplane.forecast.documents import quantiles_of
from controlplane.forecast.grids import COARSE
from controlplane.forecast.holidays import HOLIDAY
from controlplane.loops.forecast_inputs import gather
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, put
from enchain.v1 import event_pb2, workload_pb2
from tests.harness.forecasting import END, NOW, ForecastingLeader, daily

HOUR = 3600
MEDIAN = 6


async def _plan(
    leader: ForecastingLeader, name: str, start: int, end: int, uplift: float | None = None
) -> None:
    event = event_pb2.PlannedEvent(name=f"workloads/site/plannedEvents/{name}", type="campaign")
    event.start_time.FromSeconds(start)
    event.end_time.FromSeconds(end)
    if uplift is not None:
        event.expected_uplift = uplift
    await put(leader.store, [Put(keys.planned_event("site", name), encode(event))])


async def test_an_expected_event_moves_the_forecast_and_both_are_shown(leader: ForecastingLeader) -> None:
    await leader.measure("site", Signal.CPU, daily(5))
    await _plan(leader, "launch", END + HOUR, END + 2 * HOUR, uplift=3.0)
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    with_event, without = quantiles_of(forecast.steps), quantiles_of(forecast.steps_without_events)
    lift = with_event[:, MEDIAN] / without[:, MEDIAN]
    assert 2.0 < lift[13:23].min() <= lift[13:23].max() < 3.5
    np.testing.assert_allclose(lift[-5:], 1.0, atol=0.01)
    (effect,) = forecast.events
    assert effect.event == "workloads/site/plannedEvents/launch"
    assert effect.learned_from == 0
    assert effect.expected_uplift == 3


async def test_an_uplift_is_learned_from_past_events_of_the_type(leader: ForecastingLeader) -> None:
    values = daily(10)
    for number, days in enumerate((8, 6, 4, 2)):
        first = len(values) - days * 288
        values[first : first + 12] *= 2.5
        start = END - days * 288 * 300
        await _plan(leader, f"past-{number}", start, start + HOUR)
    await leader.measure("site", Signal.CPU, values)
    await _plan(leader, "next", END + HOUR, END + 2 * HOUR)
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    effect = next(each for each in forecast.events if each.event.endswith("/next"))
    assert effect.learned_from == 4
    assert 1.8 < effect.uplift < 3.0
    assert not effect.HasField("expected_uplift")
    lift = quantiles_of(forecast.steps) / quantiles_of(forecast.steps_without_events)
    assert lift[13:23, MEDIAN].min() > 1.6


async def test_of_an_event_of_which_nothing_is_known_the_forecast_says_so(leader: ForecastingLeader) -> None:
    await leader.measure("site", Signal.CPU, daily(5))
    await _plan(leader, "launch", END + HOUR, END + 2 * HOUR)
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    assert "UPLIFT_UNKNOWN" in {each.reason for each in forecast.warnings}
    with_event, without = quantiles_of(forecast.steps), quantiles_of(forecast.steps_without_events)
    np.testing.assert_allclose(with_event[15, MEDIAN], without[15, MEDIAN])
    assert with_event[15, -1] > without[15, -1]


async def test_stated_peaks_are_the_prior_while_history_is_short(leader: ForecastingLeader) -> None:
    peak = workload_pb2.StatedPeak(cron="0 13 * * *", rate_per_hour=40.0)
    peak.duration.FromSeconds(HOUR)
    await leader.workload("site", [peak])
    await leader.measure("site", Signal.REQUESTS, np.array([2.0, 2.0, 3.0, 2.0]))
    leader.start_forecasting()

    forecast = await leader.forecast("site", "requests-5m")

    # The test's now is a minute past noon, so the peak begins an hour ahead.
    median = quantiles_of(forecast.steps)[:, MEDIAN]
    assert median[:10].max() < 10
    assert median[14:22].min() > 30
    assert "STATED_PEAK" in {each.reason for each in forecast.warnings}


async def test_public_holidays_of_the_workloads_country_are_shown_to_models(
    leader: ForecastingLeader,
) -> None:
    await leader.workload("site", holidays="US")
    await leader.measure("site", Signal.CPU, daily(5))

    (each,) = await gather(leader.demand, leader.store, COARSE, int(NOW.timestamp()))

    # Thanksgiving is on the Thursday after the test's Monday.
    assert each.warnings == ()
    flags = each.cleaned.covariates[HOLIDAY]
    assert len(flags) == len(each.cleaned.series) + COARSE.horizon
    thursday = int(datetime(2026, 11, 26, tzinfo=UTC).timestamp())
    later = await gather(leader.demand, leader.store, COARSE, thursday)
    assert later[0].cleaned.covariates[HOLIDAY][-COARSE.horizon :].sum() == 24


async def test_holidays_of_a_country_that_there_is_not_are_told_and_the_forecast_stands(
    leader: ForecastingLeader,
) -> None:
    await leader.workload("site", holidays="XX")
    await leader.measure("site", Signal.CPU, daily(0.2))
    leader.start_forecasting()

    forecast = await leader.forecast("site", "cpu-5m")

    assert "HOLIDAYS_UNKNOWN" in {each.reason for each in forecast.warnings}
