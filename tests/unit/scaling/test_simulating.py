"""Requests, instances and time: known queues by hand, what is paid, and what must hold for any targets."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.simulating import Served, serve
from benchmarks.scaling.staffing import Work, carried, instances

STEP = 100.0


def run(
    targets: Sequence[int], arrivals: Sequence[float], durations: Sequence[float], lead: float = 0.0
) -> Served:
    return serve(
        targets, np.array(arrivals, float), np.array(durations, float), step=STEP, lead=lead, promised=50.0
    )


def test_one_instance_serves_in_order_of_arrival() -> None:
    found = run([1], [0.0, 10.0, 20.0], [30.0, 30.0, 30.0])

    assert found.waited == pytest.approx((30 - 10) + (60 - 20))
    assert (found.requests, found.missed) == (3, 1)  # 0+30, 20+30 and 40+30 seconds


def test_a_second_instance_takes_what_waits() -> None:
    assert run([2], [0.0, 10.0], [30.0, 30.0]).waited == 0.0


def test_what_is_launched_comes_after_the_lead_time() -> None:
    found = run([1, 2, 2], [100.0, 101.0], [99.0, 10.0], lead=50.0)

    assert found.waited == pytest.approx(150 - 101)


def test_a_launch_is_paid_from_the_moment_it_is_asked_for() -> None:
    found = run([1, 3], [], [], lead=500.0)

    assert found.hours == pytest.approx((1 + 3) * STEP / 3600)


def test_who_leaves_finishes_its_request_and_is_paid_until_then() -> None:
    found = run([2, 1, 1], [90.0, 91.0], [40.0, 49.0])

    assert found.missed == 0
    assert found.hours == pytest.approx((2 * STEP + 1 * STEP + 30 + 1 * STEP) / 3600)


def test_an_instance_about_to_leave_stays_where_it_is_wanted_again() -> None:
    found = run([1, 0, 1], [50.0, 210.0], [155.0, 10.0], lead=1000.0)

    assert found.waited == 0.0


def test_what_has_not_come_yet_is_let_go_first() -> None:
    found = run([2, 4, 2], [150.0, 220.0, 221.0], [10.0, 30.0, 30.0], lead=500.0)

    assert found.waited == 0.0
    assert found.hours == pytest.approx((2 + 4 + 2) * STEP / 3600)


def test_what_waits_at_the_end_is_worked_off_without_being_paid() -> None:
    found = run([1], [0.0, 1.0, 2.0], [90.0, 90.0, 90.0])

    assert found.missed == 3
    assert found.hours == pytest.approx(STEP / 3600)


ARRIVALS = st.lists(st.floats(0, 5 * STEP - 1), max_size=30).map(sorted)


@given(st.lists(st.integers(1, 6), min_size=5, max_size=5), ARRIVALS, st.integers(0, 2**32))
def test_more_instances_never_miss_more_and_cost_more(
    targets: list[int], arrivals: list[float], seed: int
) -> None:
    durations = np.random.default_rng(seed).uniform(1, 60, len(arrivals)).tolist()
    few, many = run(targets, arrivals, durations), run([each + 30 for each in targets], arrivals, durations)

    assert many.waited == 0.0
    assert many.missed <= few.missed
    assert many.hours > few.hours


@given(st.lists(st.integers(0, 6), min_size=5, max_size=5), ARRIVALS, st.sampled_from([0.0, 30.0, 250.0]))
def test_every_request_is_counted_and_no_instance_is_paid_twice(
    targets: list[int], arrivals: list[float], lead: float
) -> None:
    found = run(targets, arrivals, [20.0] * len(arrivals), lead)

    assert found.requests == len(arrivals)
    assert 0 <= found.missed <= found.requests
    assert sum(targets) * STEP / 3600 <= found.hours + 1e-9
    assert found.hours <= (sum(targets) * STEP + 20.0 * len(arrivals)) / 3600 + 1e-9


def test_the_table_of_instances_keeps_the_promise_of_a_queue() -> None:
    work = Work()
    table = carried(work, 60)
    rng = np.random.default_rng(3)
    count, load = 40_000, 20.0
    arrivals = np.sort(rng.uniform(0, count * work.seconds / load, count))
    targets = [int(instances(np.array([load]), table)[0])] * int(arrivals[-1] // STEP + 1)
    durations = work.durations(count, rng)
    found = serve(targets, arrivals, durations, step=STEP, lead=0.0, promised=work.promised)

    assert (durations > work.promised).mean() < 0.005
    assert found.missed / count < 0.01


@given(st.floats(0, 49), st.floats(0, 49))
def test_more_work_never_needs_fewer_instances(some: float, more: float) -> None:
    table = carried(Work(), 100)
    few, many = instances(np.array([some, some + more]), table)

    assert 1 <= few <= many
    assert many > some + more
