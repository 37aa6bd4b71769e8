"""What a plan rests on, put together from what is known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.planning.assembling import Known, assemble
from controlplane.planning.recent import reactive_rate
from enchain.v1 import (
    chain_pb2,
    diagnostic_pb2,
    engine_pb2,
    forecast_pb2,
    learned_pb2,
    pool_pb2,
    profile_pb2,
    workload_pb2,
)

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
CHAIN = "workloads/site/chains/default@a"


def workload(unit: dict[str, float] | None = None) -> workload_pb2.Workload:
    return workload_pb2.Workload(
        name="workloads/site",
        slo=workload_pb2.ServiceLevel(success=0.99),
        demand=workload_pb2.DemandProfile(unit=unit or {}),
        cost=workload_pb2.CostWeights(miss_price=2.0),
    )


def chain() -> chain_pb2.Chain:
    steps = [chain_pb2.ChainStep(steps=["configure", "serve"], engine="ansible", version="2")]
    return chain_pb2.Chain(name=CHAIN, steps=steps)


def forecast(signal: str, *steps: tuple[float, ...], origin: datetime = NOW) -> forecast_pb2.Forecast:
    made = forecast_pb2.Forecast(
        name=f"workloads/site/forecasts/{signal}-5m",
        levels=[0.1, 0.5, 0.9],
        steps=[forecast_pb2.ForecastStep(quantiles=step) for step in steps],
    )
    made.origin_time.FromDatetime(origin)
    made.step.FromSeconds(300)
    return made


def test_steps_that_have_ended_are_left_out() -> None:
    # The newest known value is of the cell from 8:40 on; the first step is of the cell from 8:45 to 8:50.
    made = forecast("requests", (1, 2, 3), (4, 5, 6), (7, 8, 9), origin=NOW - timedelta(minutes=20))

    inputs = assemble(Known(workload(), [chain()], forecasts={"requests": made}), NOW)

    assert [list(step.values) for step in inputs.demand] == [[7, 8, 9]]
    assert inputs.forecast == "workloads/site/forecasts/requests-5m"


def test_the_most_of_late_is_the_forecasts_word_while_that_is_fresh() -> None:
    made = forecast("requests", *[(1, 2, 3)] * 12, origin=NOW - timedelta(minutes=10))
    known = Known(workload(), [chain()], forecasts={"requests": made}, reactive_rate=5.0)
    assert assemble(known, NOW).reactive_rate == 5.0

    made.recent_max = 77.0
    assert assemble(known, NOW).reactive_rate == 77.0
    assert assemble(known, NOW + timedelta(minutes=10, seconds=1)).reactive_rate == 5.0


def test_without_a_forecast_what_came_of_late_is_taken_to_go_on() -> None:
    inputs = assemble(Known(workload(), [chain()], reactive_rate=42.0), NOW)

    assert list(inputs.levels) == [0.5]
    assert {tuple(step.values) for step in inputs.demand} == {(42.0,)}
    assert inputs.forecast == ""


def test_requests_are_lifted_to_what_utilisation_will_take() -> None:
    requests = forecast("requests", *[(1.0, 2.0, 3.0)] * 24, origin=NOW - timedelta(minutes=5))
    cpu = forecast("cpu", *[(5.0, 10.0, 30.0)] * 24, origin=NOW - timedelta(minutes=5))
    known = Known(
        workload({"cpu": 0.5}), [chain()], forecasts={"requests": requests, "cpu": cpu}, resources=10
    )

    inputs = assemble(known, NOW)

    # 30 cores are 60 units, 50 more than there are; they come within two hours at the last step.
    assert list(inputs.demand[0].values) == [1.0, 10.0, 50.0]
    assert list(inputs.demand[-1].values) == pytest.approx([1.0, 5.0, 25.0])


def test_what_was_measured_becomes_the_calls_facts() -> None:
    profile = profile_pb2.PerformanceProfile(steps=["configure", "serve"], engine="ansible", version="2")
    profile.provision.count, profile.provision.weight, profile.provision.success = 30, 21.5, 0.97
    profile.provision.duration.mean.FromMilliseconds(2500)
    profile.provision.duration.p95.FromSeconds(6)
    profile.cold_start.p95.FromSeconds(11)

    inputs = assemble(Known(workload(), [chain()], profiles=[profile]), NOW)

    call = inputs.chains[0].steps[0]
    assert (call.samples, call.mean_seconds, call.p95_seconds) == (21.5, 2.5, 6.0)
    assert (call.success, call.attempts) == (0.97, 1.0)
    assert inputs.engines[0].cold_start_p95_seconds == 11


def test_an_engine_without_instances_runs_as_many_steps_at_once_as_one_was_seen_to() -> None:
    profile = profile_pb2.PerformanceProfile(steps=["configure", "serve"], engine="ansible", version="2")
    profile.provision.concurrency.add(in_flight=1)
    profile.provision.concurrency.add(in_flight=12)
    other = profile_pb2.PerformanceProfile(steps=["configure", "serve"], engine="ansible", version="1")
    other.provision.concurrency.add(in_flight=40)
    ready = engine_pb2.EngineInstance(
        engine="ansible", version="2", capacity=16, state=engine_pb2.EngineInstance.STATE_READY
    )
    gone = Known(workload(), [chain()], profiles=[profile, other])

    assert assemble(gone, NOW).engines[0].capacity == 12
    assert assemble(replace(gone, instances=[ready]), NOW).engines[0].capacity == 16
    assert assemble(Known(workload(), [chain()]), NOW).engines[0].capacity == 1


def test_what_was_never_measured_stays_unknown() -> None:
    call = assemble(Known(workload(), [chain()]), NOW).chains[0].steps[0]

    assert call.samples == 0
    assert call.mean_seconds == 0


def test_what_is_planned_together_is_no_load_of_others() -> None:
    pool = pool_pb2.Pool(name="engines/ansible/pools/2", demands={"workloads/db": 1.5, "workloads/web": 2})
    known = Known(workload(), [chain()], pools={("ansible", "2"): pool})

    assert assemble(known, NOW).engines[0].other_load == [3.5]
    assert assemble(known, NOW, ["site", "db"]).engines[0].other_load == [2]


def test_what_arms_of_experiments_ask_for_is_asked_for_their_workload() -> None:
    demands = {"workloads/site/experiments/-": 3, "workloads/db/experiments/-": 1.5, "workloads/db": 1}
    pool = pool_pb2.Pool(name="engines/ansible/pools/2", demands=demands)
    known = Known(workload(), [chain()], pools={("ansible", "2"): pool})

    assert assemble(known, NOW).engines[0].other_load == [2.5]
    assert not assemble(known, NOW, ["site", "db"]).engines[0].other_load


def test_what_other_workloads_ask_of_a_pool_is_load_on_it() -> None:
    pool = pool_pb2.Pool(name="engines/ansible/pools/2", demands={"workloads/site": 2, "workloads/db": 1.5})
    instances = [
        engine_pb2.EngineInstance(engine="ansible", version="2", capacity=4, state=state)
        for state in (engine_pb2.EngineInstance.STATE_READY, engine_pb2.EngineInstance.STATE_DRAINING)
    ]
    engine = engine_pb2.Engine(
        price=engine_pb2.Price(hour=diagnostic_pb2.Money(currency_code="EUR", nanos=40_000_000))
    )

    inputs = assemble(
        Known(
            workload(),
            [chain()],
            engines={"ansible": engine},
            instances=instances,
            pools={("ansible", "2"): pool},
        ),
        NOW,
    )

    facts = inputs.engines[0]
    assert (facts.ready, facts.capacity, list(facts.other_load)) == (1, 4, [6.0])
    assert facts.price_per_hour == pytest.approx(0.04)
    assert inputs.currency_code == "EUR"


def test_what_others_need_is_kept_whatever_is_planned() -> None:
    assert assemble(Known(workload(), [chain()], needed={("ansible", "2")}), NOW).engines[0].floor == 1
    assert assemble(Known(workload(), [chain()], needed={("ansible", "1")}), NOW).engines[0].floor == 0


def test_the_chain_in_force_is_the_one_with_the_most_buckets() -> None:
    shares = [
        chain_pb2.RouteShare(chain=CHAIN, start=0, end=3000),
        chain_pb2.RouteShare(chain="workloads/site/chains/other@b", start=3000, end=10000),
    ]

    inputs = assemble(Known(workload(), [chain()], route=chain_pb2.Route(shares=shares)), NOW)

    assert inputs.current_chain == "workloads/site/chains/other@b"
    assert not inputs.pinned


def test_the_reactive_rate_is_the_most_of_five_minutes_within_half_an_hour() -> None:
    statistics = learned_pb2.RequestRateStatistics(provisions=[100] + [0] * 40 + [3, 4, 0, 0, 0] + [1] * 5)
    statistics.first_minute.FromDatetime(NOW - timedelta(minutes=50))

    assert reactive_rate(statistics, NOW) == 7 * 12
    assert reactive_rate(statistics, NOW + timedelta(hours=1)) == 0
