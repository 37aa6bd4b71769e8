"""Drift of profiles: what has changed is found and told, what has not raises no alarm whenever one looks."""

import math
from collections.abc import Sequence

import pytest

from benchmarks.drift import CHANGE_HOUR, QUIET_HOURS, Power, World, alarms, power
from controlplane.profiles.drift import ALARM, changes, drift_of
from controlplane.profiles.evidence import Sample, Trials, against_one_mean, against_one_share
from controlplane.profiles.statistics import HOURS_MAX
from enchain.v1 import learned_pb2

WEEK = 7 * 24
RUNS = 12
SEED = 100


def steady(
    count: int, *, seconds: float = 10.0, failed: int = 0, first: int = 0
) -> list[learned_pb2.HourSum]:
    """Hours of 20 operations each that hardly differ."""
    return [
        learned_pb2.HourSum(
            hour=first + hour,
            count=20,
            failed=failed,
            timed=20 - failed,
            log_seconds=(20 - failed) * (math.log(seconds) + (0.02 if hour % 2 else -0.02)),
        )
        for hour in range(count)
    ]


def reasons(hours: Sequence[learned_pb2.HourSum]) -> list[str]:
    return [change.reason for change in changes(hours)]


@pytest.mark.parametrize(
    ("seconds", "failed", "reason"), [(20.0, 0, "SLOWER"), (5.0, 0, "FASTER"), (10.0, 12, "FAILS_MORE")]
)
def test_a_plain_change_is_found_with_the_hour_in_which_it_began(
    seconds: float, failed: int, reason: str
) -> None:
    hours = [*steady(48), *steady(6, seconds=seconds, failed=failed, first=48)]

    (change,) = changes(hours)

    assert (change.reason, change.hour) == (reason, 48)
    assert reasons([*reversed(hours)]) == [reason]


def test_getting_better_is_told_too() -> None:
    assert reasons([*steady(48, failed=8), *steady(12, first=48)]) == ["FAILS_LESS"]


def test_a_change_that_is_too_small_to_matter_is_not_told() -> None:
    assert reasons([*steady(60), *steady(12, seconds=11.8, first=60)]) == []


@pytest.mark.parametrize("before", [0, 1, 4])
def test_less_than_a_day_is_nothing_to_measure_a_change_against(before: int) -> None:
    assert reasons([*steady(before), *steady(20, seconds=40, failed=10, first=before)]) == []


def test_a_single_slow_hour_is_no_change() -> None:
    assert reasons([*steady(48), *steady(1, seconds=100, first=48)]) == []


def test_hours_of_few_operations_are_taken_together() -> None:
    def hours(first: int, count: int, seconds: float) -> list[learned_pb2.HourSum]:
        told = steady(count, seconds=seconds, first=first)
        for hour in told:
            hour.count, hour.timed, hour.log_seconds = 2, 2, hour.log_seconds / 10
        return told

    assert reasons([*hours(0, 48, 10), *hours(48, 24, 40)]) == ["SLOWER"]


def test_hours_that_somebody_edited_say_nothing() -> None:
    odd = [learned_pb2.HourSum(hour=hour, count=-5, failed=9, timed=-3) for hour in range(60)]

    assert reasons(odd) == []


def test_the_gravest_change_is_told_of_whichever_verb() -> None:
    statistics = learned_pb2.ProfileStatistics()
    statistics.provision.hours.extend([*steady(48), *steady(6, seconds=5, first=48)])
    statistics.deprovision.hours.extend([*steady(48), *steady(6, failed=12, first=48)])

    drift = drift_of(statistics)

    assert drift is not None
    assert drift.reason == "FAILS_MORE"
    assert drift.description == "deprovision: 59.9% fail since then, 0.1% did in the days before"
    assert drift.time.seconds == 48 * 3600
    assert drift_of(learned_pb2.ProfileStatistics()) is None


@pytest.mark.parametrize(
    "kind",
    ["chance", "heavy tails", "hours differ", "time of day", "like the hour before", "failures differ"],
)
def test_where_nothing_changes_there_is_no_alarm_at_any_hour_of_a_week(kind: str) -> None:
    raised = {run: alarms(World(kind, 30), WEEK, SEED + run) for run in range(RUNS)}

    assert sum(map(bool, raised.values())) <= 1, f"seeds from {SEED}: {raised}"


@pytest.mark.parametrize("seed", [0, 2, 4, 8, 25, 33, 36, 42])
def test_durations_that_wander_raise_no_alarm_where_their_wandering_hardly_shows(seed: int) -> None:
    assert alarms(World("like the hour before", 30), QUIET_HOURS, seed) == {}


@pytest.mark.parametrize(
    ("world", "reason", "hours"),
    [
        (World("hours differ", 30, longer=1.5), "SLOWER", 12),
        (World("time of day", 30, longer=2.0), "SLOWER", 24),
        (World("chance", 30, longer=0.67), "FASTER", 12),
        (World("failures differ", 300, worse=4), "FAILS_MORE", 12),
        (World("chance", 300, worse=0.2), "FAILS_LESS", 30),
    ],
)
def test_what_changes_is_found_soon(world: World, reason: str, hours: int) -> None:
    found = power(world, reason, RUNS, SEED)

    assert found.found >= RUNS - 1, f"seeds from {SEED}: {found}"
    assert found.median_hours <= hours


def test_power_counts_only_what_was_found_after_the_change_and_by_the_right_name() -> None:
    assert power(World("chance", 30, longer=2), "FASTER", 2, SEED) == Power(0, 0)
    assert min(alarms(World("chance", 30, longer=2), CHANGE_HOUR + 9, SEED).values()) >= CHANGE_HOUR


def test_the_e_value_of_shares_is_none_above_one_on_average() -> None:
    # Exactly, over all ways in which 12 trials of one share may end, split in the middle.
    for share in (0.05, 0.3, 0.5, 0.9):
        mean = 0.0
        for before in range(7):
            for after in range(7):
                chance = math.comb(6, before) * math.comb(6, after) * share ** (before + after)
                chance *= (1 - share) ** (12 - before - after)
                mean += chance * math.exp(against_one_share(Trials(6, before), Trials(6, after)))
        assert mean <= 1


def test_the_e_value_of_means_tells_nothing_of_one_value_and_grows_with_the_distance() -> None:
    def evidence(distance: float) -> float:
        before = Sample(20, 0, 20 * 0.01)
        return against_one_mean(before, Sample(5, 5 * distance, 5 * (distance**2 + 0.01)))

    assert against_one_mean(Sample(1, 3, 9), Sample(1, 5, 25)) == 0
    assert evidence(0) < 0 < evidence(0.2) < evidence(0.4)
    assert evidence(0.4) > math.log(ALARM * HOURS_MAX)
