"""What a performance profile shows of the operations that were folded into it."""

from datetime import timedelta

import pytest

from controlplane.profiles import starts
from controlplane.profiles.reader import ProfileReader
from controlplane.profiles.statistics import busyness
from controlplane.profiles.view import profile_of
from enchain.v1 import profile_pb2
from tests.harness.outbox import START, Entry
from tests.harness.profiles import CLEAN, PARTIAL, ended, step, used

WEEK = 7 * 24


def shown(*entries: Entry) -> profile_pb2.PerformanceProfile:
    reader = ProfileReader()
    statistics = reader.empty("site/configure.terraform@1.15.0")
    for entry in entries:
        statistics = reader.fold(statistics, [entry])
    return profile_of(statistics)


def test_it_says_whose_it_is_and_from_when() -> None:
    profile = shown(ended(step()), ended(step(), hour=5))

    assert profile.name == "workloads/site/performanceProfiles/configure.terraform@1.15.0"
    assert (profile.workload, list(profile.steps)) == ("workloads/site", ["configure"])
    assert (profile.engine, profile.version) == ("terraform", "1.15.0")
    assert profile.last_time.seconds - profile.first_time.seconds == 5 * 3600
    assert not profile.HasField("update")
    assert not profile.HasField("cold_start")
    assert not profile.HasField("drift")


def test_success_and_failures_are_shares() -> None:
    profile = shown(
        *(ended(step(attempts=2)) for _ in range(7)),
        ended(step(outcome=CLEAN, code="NO_QUOTA")),
        ended(step(outcome=CLEAN, code="NO_QUOTA")),
        ended(step(outcome=PARTIAL)),
    )

    assert profile.provision.count == 10
    assert profile.provision.success == pytest.approx(0.7)
    assert dict(profile.provision.failures) == pytest.approx({"NO_QUOTA": 0.2, "FAILED_PARTIAL": 0.1})
    assert profile.provision.attempts == pytest.approx(1.7)


def test_durations_are_those_of_what_succeeded() -> None:
    entries = [ended(step(float(seconds))) for seconds in range(1, 101)]
    duration = shown(*entries, ended(step(9999, outcome=CLEAN))).provision.duration

    assert duration.weight == 100
    assert duration.mean.ToTimedelta().total_seconds() == pytest.approx(50.5)
    assert duration.p50.ToTimedelta().total_seconds() == pytest.approx(50, rel=0.011)
    assert duration.p95.ToTimedelta().total_seconds() == pytest.approx(95, rel=0.011)
    assert duration.p99.ToTimedelta().total_seconds() == pytest.approx(99, rel=0.011)
    assert duration.variation == pytest.approx(28.87 / 50.5, rel=0.02)


def test_newer_operations_weigh_more_and_all_are_counted() -> None:
    old = [ended(step(10, outcome=CLEAN)) for _ in range(4)]
    provision = shown(*old, ended(step(2), hour=2 * WEEK)).provision

    assert (provision.count, provision.weight) == (5, 2.0)
    assert provision.success == pytest.approx(0.5)


def test_what_steps_used_up_and_cost_is_the_mean_of_those_that_told() -> None:
    provision = shown(
        ended(used(step(), cpu=2, memory=2**30, cost=0.25)),
        ended(used(step(), cpu=4, memory=2**29, cost=0.75)),
        ended(step()),
    ).provision

    assert provision.cpu_seconds == pytest.approx(3)
    assert provision.peak_memory_bytes == pytest.approx(0.75 * 2**30)
    assert provision.network_bytes == pytest.approx(0.75 * 2**30)
    assert provision.cost == pytest.approx(0.5)
    assert provision.currency_code == "EUR"


def test_money_of_another_currency_is_not_added_up() -> None:
    provision = shown(
        *(ended(used(step(), cost=10, currency="EUR")) for _ in range(3)),
        *(ended(used(step(), cost=900, currency="JPY"), hour=3 * WEEK) for _ in range(2)),
    ).provision

    assert provision.cost == pytest.approx(900)
    assert provision.currency_code == "JPY"


def test_what_was_undone_counts_as_done_and_neither_its_time_nor_its_cost() -> None:
    provision = shown(ended(used(step(None), cpu=99, cost=5)), ended(used(step(2), cpu=1, cost=1))).provision

    assert (provision.success, provision.duration.weight) == (1, 1)
    assert provision.cpu_seconds == pytest.approx(1)
    assert provision.cost == pytest.approx(1)


def test_durations_are_told_by_how_much_ran_at_once() -> None:
    provision = shown(
        ended(step(2, in_flight=1)),
        ended(step(4, in_flight=1)),
        ended(step(9, in_flight=3)),
        ended(step(1, in_flight=0)),
    ).provision

    levels = [(each.in_flight, each.weight, each.mean.ToTimedelta()) for each in provision.concurrency]
    assert levels == [(1, 2, timedelta(seconds=3)), (3, 1, timedelta(seconds=9))]


def test_many_at_once_are_told_in_two_steps_for_each_doubling() -> None:
    assert [busyness(n) for n in (1, 15, 16, 17, 23, 24, 31, 32, 47, 48, 900, 1024, 10**6)] == [
        1, 15, 16, 16, 16, 24, 24, 32, 32, 48, 768, 1024, 1024,
    ]  # fmt: skip


def test_a_profile_says_how_long_instances_of_its_version_take_to_start() -> None:
    statistics = starts.empty("terraform", "1.15.0")
    for seconds in (4.0, 6.0):
        statistics = starts.fold(statistics, seconds, START)
    later = starts.fold(statistics, 9.0, START + timedelta(weeks=1))
    reader = ProfileReader()

    profile = profile_of(reader.empty("site/configure.terraform@1.15.0"), later)

    assert (statistics.count, later.count) == (2, 3)
    assert later == starts.fold(
        starts.fold(
            starts.fold(starts.empty("terraform", "1.15.0"), 9.0, START + timedelta(weeks=1)), 6.0, START
        ),
        4.0,
        START,
    )
    assert profile.cold_start.mean.ToTimedelta().total_seconds() == pytest.approx(7)
