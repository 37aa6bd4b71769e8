"""The sequential tests by simulation: they hardly ever alarm for nothing, and see what is worse.

Each prints the seed that it began with and how many alarmed.
"""

import math
from collections.abc import Callable
from random import Random

import pytest

from controlplane.switching.sequential import MARGIN, Counts, failing_more, slower
from controlplane.switching.watching import ALARM

SEED = 20_261_124
RUNS = 200
LOOKS = 60
OLD = 60

Draw = Callable[[Random], float]


def lognormal(rng: Random) -> float:
    return rng.lognormvariate(0.0, 0.6)


def heavy(rng: Random) -> float:
    return rng.paretovariate(1.2)


def stepped(rng: Random) -> float:
    """Durations that are often the same."""
    return float(rng.choice([1, 1, 1, 2, 5]))


def two_kinds(rng: Random) -> float:
    return rng.uniform(0.9, 1.1) if rng.random() < 0.7 else rng.uniform(9, 11)


def alarms_of_durations(draw: Draw, factor: float, *, runs: int = RUNS) -> float:
    """The share of runs in which at least one look alarms."""
    rng, alarmed = Random(SEED), 0
    for _ in range(runs):
        old = [draw(rng) for _ in range(OLD)]
        new: list[float] = []
        for _ in range(LOOKS):
            new.append(factor * draw(rng))
            if slower(old, new, []) >= math.log(ALARM):
                alarmed += 1
                break
    print(f"seed {SEED}: {draw.__name__} x {factor}: {alarmed} of {runs} alarmed")  # noqa: T201 - seed and outcome are to be seen
    return alarmed / runs


def alarms_of_failures(before: float, after: float, *, runs: int = RUNS) -> float:
    rng, alarmed = Random(SEED), 0
    for _ in range(runs):
        old = Counts(OLD, sum(rng.random() < before for _ in range(OLD)))
        failed = 0
        for number in range(1, LOOKS + 1):
            failed += rng.random() < after
            if failing_more(old, Counts(number, failed)) >= math.log(ALARM):
                alarmed += 1
                break
    print(f"seed {SEED}: failures {before} then {after}: {alarmed} of {runs} alarmed")  # noqa: T201 - seed and outcome are to be seen
    return alarmed / runs


def beyond_chance(share: float) -> bool:
    """Whether so many alarms are more than the promised one in ALARM, by four standard deviations."""
    promised = 1 / ALARM
    return share > promised + 4 * math.sqrt(promised * (1 - promised) / RUNS)


@pytest.mark.parametrize("draw", [lognormal, heavy, stepped, two_kinds])
@pytest.mark.parametrize("factor", [MARGIN, 1.0, 0.5])
def test_an_equal_or_faster_chain_is_hardly_ever_called_slower(draw: Draw, factor: float) -> None:
    assert not beyond_chance(alarms_of_durations(draw, factor))


@pytest.mark.parametrize(("before", "after"), [(0.02, 0.02), (0.2, 0.2), (0.5, 0.5), (0.2, 0.05), (0.0, 0.0)])
def test_a_chain_that_fails_no_more_often_is_hardly_ever_called_worse(before: float, after: float) -> None:
    assert not beyond_chance(alarms_of_failures(before, after))


@pytest.mark.parametrize(("draw", "factor"), [(lognormal, 3.0), (stepped, 6.0), (two_kinds, 3.0)])
def test_a_slower_chain_is_found(draw: Draw, factor: float) -> None:
    assert alarms_of_durations(draw, factor, runs=100) > 0.95


@pytest.mark.parametrize(("before", "after"), [(0.02, 0.5), (0.2, 0.9), (0.0, 0.5)])
def test_a_chain_that_fails_more_often_is_found(before: float, after: float) -> None:
    assert alarms_of_failures(before, after, runs=100) > 0.95


def test_a_chain_on_which_all_hang_is_found_before_anything_has_ended() -> None:
    old = [1.0 + number / OLD for number in range(OLD)]

    assert slower(old, [], [60.0] * 8) >= math.log(ALARM)
    assert slower(old, [], [0.5] * 80) == 0.0


def test_where_nothing_was_measured_nothing_is_said() -> None:
    assert slower([], [100.0] * 50, []) == 0.0
    assert failing_more(Counts(0, 0), Counts(50, 50)) == 0.0
    assert failing_more(Counts(50, 0), Counts(0, 0)) == 0.0
