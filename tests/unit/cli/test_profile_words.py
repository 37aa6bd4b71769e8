"""How the command writes performance profiles: durations, rows, and what it says in words."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from enchain.cli.profiles import HEADINGS, profile_rows, profile_words, span
from enchain.v1 import profile_pb2


def lasting(seconds: float) -> Duration:
    wire = Duration()
    wire.FromTimedelta(timedelta(seconds=seconds))
    return wire


def profile(count: int = 120) -> profile_pb2.PerformanceProfile:
    """What one engine did at one step."""
    made = profile_pb2.PerformanceProfile(
        workload="workloads/site", steps=["configure", "serve"], engine="process", version="0.1.0"
    )
    made.provision.count = count
    made.provision.success = 0.9875
    made.provision.duration.p50.CopyFrom(lasting(3.214))
    made.provision.duration.p95.CopyFrom(lasting(150))
    return made


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0 ms"), (0.0452, "45.2 ms"), (0.5, "500 ms"), (3.214, "3.21 s"), (150, "2.5 m"), (7200, "2 h")],
)
def test_durations_are_written_to_three_digits(seconds: float, written: str) -> None:
    assert span(lasting(seconds)) == written


def test_a_profile_is_a_row_for_each_verb_that_was_measured() -> None:
    told = profile()
    told.deprovision.count = 3
    told.deprovision.success = 1
    told.cold_start.p50.CopyFrom(lasting(4))
    told.provision.cost = 0.0125
    told.provision.currency_code = "EUR"

    first, second = profile_rows([told])

    assert dict(zip(HEADINGS, first, strict=True)) == {
        "workload": "site",
        "steps": "configure+serve",
        "version": "0.1.0",
        "verb": "provision",
        "n": "120",
        "success": "98.8%",
        "p50": "3.21 s",
        "p95": "2.5 m",
        "mean cost": "0.0125 EUR",
        "cold start": "4 s",
    }
    assert second[3:] == ["deprovision", "3", "100.0%", "-", "-", "-", "4 s"]


def test_nothing_is_said_of_a_profile_that_is_as_it_should_be() -> None:
    assert profile_words([profile()]) == []


def test_few_calls_failures_crowding_and_drift_are_said_in_words() -> None:
    told = profile(count=7)
    told.provision.failures.update({"A": 0.01, "B": 0.02, "C": 0.02, "D": 0.001})
    for in_flight, seconds in ((1, 3.0), (2, 3.5), (4, 6.0)):
        told.provision.concurrency.add(in_flight=in_flight, weight=2, mean=lasting(seconds))
    told.drift.reason = "FAILS_MORE"
    told.drift.description = "provision: 5.0% fail since then, 1.0% did in the days before"
    told.drift.time.FromDatetime(datetime(2026, 3, 1, 12, tzinfo=UTC))

    assert profile_words([told]) == [
        f"site configure+serve 0.1.0: fails more since 2026-03-01 12:00Z ({told.drift.description})",
        "site configure+serve 0.1.0 provision: only 7 so far, so take the figures with care",
        "site configure+serve 0.1.0 provision: fails by B 2.0%, C 2.0%, A 1.0% and 1 more",
        "site configure+serve 0.1.0 provision: takes 3 s where 1 ran at once on an instance, 6 s where 4 did",
    ]
