"""The pure parts of the demonstration of scaling: what is replayed, when requests come, what is told."""

from pathlib import Path

import numpy as np
import pytest

from controlplane.planning.rules import ENOUGH_SAMPLES
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import recommendation_pb2
from examples.demo_scaling import hindsight
from examples.demo_scaling.ahead import HOUR, needed_at, taken_at
from examples.demo_scaling.engine import TimedEngine
from examples.demo_scaling.priming import AT_ONCE, REQUESTS
from examples.demo_scaling.replaying import STEP, compressed
from examples.demo_scaling.requests import Request, arrivals
from examples.demo_scaling.stage import (
    INSTANCES_MAX,
    LARGE,
    LARGE_AT_ONCE,
    PRICE_HOUR,
    PRICE_LARGE_HOUR,
    PRICE_REQUEST,
    PROMISED_SECONDS,
    WORK_SECONDS,
)
from examples.demo_scaling.traces import SOURCES, replays, steepest
from examples.demo_scaling.watching import KINDS, Watched


def test_traces_come_from_the_package_cut_where_it_was_fixed_beforehand() -> None:
    found = replays(None, 240, 1.3)

    assert [each.name for each in found] == [source.name for source in SOURCES]
    for each in found:
        assert len(each.coming) == 240
        assert each.past.mean() == pytest.approx(1.3)
        assert 4 * 288 <= len(each.past) <= 14 * 288


def test_the_steepest_climb_is_in_the_middle_of_what_is_replayed() -> None:
    values = np.full(12 * 288, 10.0)
    values[2000:2100] += np.linspace(0.0, 5.0, 100)  # a gentle climb, and down at once
    values[2500:2560] += np.linspace(0.0, 20.0, 60)
    values[3000:3060] -= 5.0

    start = steepest(values, 240)

    assert start + 120 == pytest.approx(2530, abs=30)


def test_the_steepest_climb_leaves_room_for_history_and_for_the_replay() -> None:
    values = np.full(8 * 288, 10.0)
    values[:100] = 1.0
    values[-20:] = 100.0

    start = steepest(values, 240)

    assert 4 * 288 <= start <= len(values) - 240


def test_a_folder_without_the_traces_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"alibaba2018_machines\.csv is not there"):
        replays(tmp_path, 240, 1.3)


def test_requests_come_as_often_as_the_trace_says_and_the_same_each_time() -> None:
    rates = np.array([2.0, 0.0, 6.0])

    times = arrivals(rates, 100.0, np.random.default_rng(7))

    assert np.all(np.diff(times) >= 0)
    counts = np.histogram(times, [0, 100, 200, 300])[0]
    assert counts[1] == 0
    # Counts of a Poisson process are within five deviations of their mean but once in a million.
    assert abs(counts[0] - 200) < 5 * np.sqrt(200)
    assert abs(counts[2] - 600) < 5 * np.sqrt(600)
    assert np.array_equal(times, arrivals(rates, 100.0, np.random.default_rng(7)))


def test_reactive_scaling_keeps_enough_for_the_most_of_half_an_hour_within_bounds() -> None:
    seen = [9.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0]

    assert hindsight.instances(seen, 1.5) == int(np.ceil(1.5 * 3.0 * WORK_SECONDS))
    assert hindsight.instances([0.0] * 6, 1.5) == 1
    assert hindsight.instances([1000.0] * 6, 1.5) == INSTANCES_MAX


def test_work_alone_hardly_ever_misses_what_is_promised() -> None:
    longest = WORK_SECONDS * np.exp(3.0 * TimedEngine.SPREAD) + hindsight.OVERHEAD_SECONDS

    assert longest < PROMISED_SECONDS


def test_engines_are_measured_as_full_as_they_are_planned_to_be() -> None:
    assert AT_ONCE[LARGE] == LARGE_AT_ONCE
    assert all(REQUESTS >= 3 * ENOUGH_SAMPLES and REQUESTS % at_once == 0 for at_once in AT_ONCE.values())


def test_hindsight_takes_no_more_headroom_than_pays() -> None:
    idle, busy = np.full(60, 0.1), np.full(60, 2.0)

    def best(coming: np.ndarray) -> float:
        times = arrivals(coming, STEP, np.random.default_rng(1))
        return hindsight.best_headroom(coming, coming, times, step=STEP, lead=3.5)

    # One instance is enough for the first, whatever the headroom; two are busy all the time with the second.
    assert best(idle) == hindsight.HEADROOMS[0]
    assert best(busy) > hindsight.HEADROOMS[0]


def test_a_forecast_in_compressed_time_keeps_its_rates() -> None:
    fan = np.sort(np.random.default_rng(3).random((48, 13)), axis=1)

    message = compressed(fan, 1_000_000.25, 0.5)

    assert message.step.ToMilliseconds() == STEP * 1000
    assert message.origin_time.ToMilliseconds() == 1_000_000_250
    assert list(message.steps[7].quantiles) == pytest.approx((3600 * fan[7]).tolist())
    assert message.recent_max == 1800


def test_a_switch_is_needed_from_the_first_step_whose_demand_takes_its_chain() -> None:
    rates = [1.0, 1.0, 1.0, 2.5, 1.0]

    def taken(rate: float) -> str:
        return "busy" if rate > 2 else "calm"

    assert needed_at(taken, "busy", rates, decided=1, reach=10) == 3
    assert needed_at(taken, "busy", rates, decided=1, reach=1) is None
    assert needed_at(taken, "calm", rates, decided=1, reach=10) == 0


def test_instances_are_paid_from_look_to_look() -> None:
    watched = Watched(times=[0.0, 1800.0, 3600.0])
    watched.paid["static"] = [2, 4, 4]

    assert watched.instance_hours("static") == 3.0


def test_what_was_settled_when_a_switch_was_decided_does_not_say_which_chain_suits_a_demand() -> None:
    inputs = recommendation_pb2.PlanningInputs(workload="shop", levels=[0.5], settled_chain="dear@1")
    inputs.step.FromSeconds(1)
    inputs.demand.add(values=[HOUR])
    for name, price in (("dear", 2.0), ("cheap", 1.0)):
        chain = inputs.chains.add(chain=f"{name}@1")
        step = chain.steps.add(steps=["make"], engine=name, version="1", samples=100, success=1, attempts=1)
        step.mean_seconds = 0.1
        inputs.engines.add(engine=name, version="1", price_per_request=price, capacity=9, ready=1, target=1)

    assert taken_at(inputs)(1.0) == "cheap@1"


def test_large_machines_are_paid_by_whoever_has_them_and_count_as_the_places_that_they_have() -> None:
    watched = Watched(times=[0.0, 3600.0])
    for kind in KINDS:
        watched.paid[kind] = [1, 1]
        watched.ready[kind] = [1, 1]

    assert watched.cost("static", 0) == pytest.approx(PRICE_HOUR)
    assert watched.cost("enchain", 2) == pytest.approx(PRICE_HOUR + PRICE_LARGE_HOUR + 2 * PRICE_REQUEST)
    assert watched.places("static") == [1, 1]
    assert watched.places("enchain") == [1 + LARGE_AT_ONCE] * 2


@pytest.mark.parametrize(
    ("seconds", "failed", "missed"),
    [(PROMISED_SECONDS, "", False), (PROMISED_SECONDS + 0.01, "", True), (0.1, "NO_ROUTER", True)],
)
def test_what_fails_or_is_late_has_missed(seconds: float, failed: str, missed: bool) -> None:
    assert Request("static", 0.0, seconds, "", failed).missed == missed
