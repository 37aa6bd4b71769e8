"""Evidence is a number whose mean is 1 where there is nothing to find: this makes every look valid."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from controlplane.experiments import confidence, msprt, power, quantiles, rare, ratio, tails
from controlplane.experiments.clusters import Moments


def arm(count: float, mean: float, deviation: float) -> Moments:
    number = np.asarray(float(count))
    return Moments(number, np.asarray(mean), np.asarray(deviation**2 / count), number, number - 1)


@pytest.mark.parametrize("size", [10, 1000, 20_000])
def test_normal_evidence_has_the_mean_one_where_there_is_no_difference(size: int) -> None:
    def weighed(score: float) -> float:
        log_e = msprt.log_evidence(np.asarray(score), np.asarray(size), 0.05)
        return math.exp(float(log_e) + float(stats.norm.logpdf(score)))

    def weighed_above(score: float) -> float:
        log_e = msprt.log_evidence_above(np.asarray(score), np.asarray(size), 0.05)
        return math.exp(float(log_e) + float(stats.norm.logpdf(score)))

    wide = 12 * math.sqrt(1 + size * msprt.mixing(0.05))
    assert integrate.quad(weighed, -wide, wide, limit=500, points=[0])[0] == pytest.approx(1, abs=1e-3)
    assert integrate.quad(weighed_above, -wide, wide, limit=500, points=[0])[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("drift", [0.3, 1.0, 3.0])
def test_evidence_of_more_has_a_mean_below_one_where_there_is_less(drift: float) -> None:
    scores = np.linspace(-12, 12, 20_001)
    log_e = msprt.log_evidence_above(scores, np.asarray(3000), 0.05)
    assert np.trapezoid(np.exp(log_e) * stats.norm.pdf(scores, -drift), scores) < 1


def test_evidence_grows_with_the_score() -> None:
    scores = np.linspace(0, 40, 4001)
    assert (np.diff(msprt.log_evidence(scores, np.asarray(3000), 0.05)) >= 0).all()
    assert msprt.log_evidence(-scores, np.asarray(3000), 0.05) == pytest.approx(
        msprt.log_evidence(scores, np.asarray(3000), 0.05)
    )
    both = np.linspace(-25, 40, 6501)
    assert (np.diff(msprt.log_evidence_above(both, np.asarray(3000), 0.05)) >= 0).all()


@pytest.mark.parametrize("coin", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("tosses", [1, 20, 300])
def test_evidence_of_rare_outcomes_has_the_mean_one_whatever_their_number(coin: float, tosses: int) -> None:
    treated = np.arange(tosses + 1.0)
    chances = stats.binom.pmf(treated, tosses, coin)
    where = np.full(tosses + 1, coin)
    assert (chances * np.exp(rare.log_evidence(tosses - treated, treated, where))).sum() == pytest.approx(1)
    above = np.exp(rare.log_evidence_above(tosses - treated, treated, where))
    assert (chances * above).sum() == pytest.approx(1)
    less_often = stats.binom.pmf(treated, tosses, coin * 0.8)
    assert (less_often * above).sum() < 1


@pytest.mark.parametrize("shares", [(0.6, 0.4), (0.97, 0.03), (0.5, 0.3, 0.2), (0.25, 0.25, 0.25, 0.25)])
def test_evidence_against_shares_has_the_mean_one(shares: tuple[float, ...]) -> None:
    number = 400 if len(shares) == 2 else 40
    rows = (row for row in itertools.product(range(number + 1), repeat=len(shares) - 1) if sum(row) <= number)
    counts = np.array([(*row, number - sum(row)) for row in rows])
    chances = stats.multinomial(number, shares).pmf(counts)
    assert chances.sum() == pytest.approx(1)
    assert (chances * np.exp(ratio.log_evidence(counts, np.array(shares)))).sum() == pytest.approx(1)


def test_evidence_against_the_share_of_an_only_arm_is_none() -> None:
    assert ratio.log_evidence(np.array([500.0]), np.array([1.0])) == pytest.approx(0)


@pytest.mark.parametrize("apart", [0.0, 2.0])
@pytest.mark.parametrize("level", [0.05, 0.0005])
def test_at_its_boundary_evidence_just_suffices(apart: float, level: float) -> None:
    size = np.array([1.0, 50, 700, 3000, 20_000, 1e6, 1e9])
    score = msprt.boundary(size, level, apart=apart)
    assert msprt.log_evidence(score, size, level, apart=apart) == pytest.approx(-math.log(level))


@given(
    st.floats(-3, 3),
    st.floats(0.1, 10),
    st.floats(-0.5, 0.5),
    st.integers(60, 10_000),
    st.integers(60, 10_000),
)
def test_intervals_exclude_none_exactly_where_the_evidence_suffices(
    mean: float, deviation: float, more: float, first: int, second: int
) -> None:
    control, treated = arm(first, mean, deviation), arm(second, mean + more, deviation)
    log_e = float(confidence.log_evidence(control, treated, 0.05))
    _, lower, upper = confidence.points(control, treated, 0.05)
    if abs(log_e - math.log(20)) > 1e-3:
        assert (not lower <= 0 <= upper) == (log_e > math.log(20))
    _, lower, upper = confidence.relative(control, treated, 0.05)
    if abs(log_e - math.log(20)) > 1e-3 and lower < upper:
        assert (not lower <= 1e-9 or not upper >= -1e-9) == (log_e > math.log(20))


def test_relative_differences_hold_for_means_below_zero_and_of_zero() -> None:
    below = confidence.relative(arm(1000, -10.0, 1.0), arm(1000, -9.0, 1.0), 0.05)
    above = confidence.relative(arm(1000, 10.0, 1.0), arm(1000, 11.0, 1.0), 0.05)
    assert below[0] == pytest.approx(0.1)
    assert below[1] < 0.1 < below[2]
    assert above[0] == pytest.approx(0.1)
    zero = confidence.relative(arm(1000, 0.0, 1.0), arm(1000, 0.5, 1.0), 0.05)
    assert zero[1] < 0.5 < zero[2]


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.1, 0.9))
def test_the_interval_of_rare_outcomes_agrees_with_the_evidence(
    control: int, treated: int, coin: float
) -> None:
    log_e = float(rare.log_evidence(np.asarray(control), np.asarray(treated), np.asarray(coin)))
    numbers = 10_000 * (1 - coin), 10_000 * coin
    lower, upper = rare.interval((control, numbers[0]), (treated, numbers[1]), 1.0, 0.05)
    assert lower <= upper
    if abs(log_e - math.log(20)) > 1e-3:
        # An end at nought is outside: no difference lies in an interval only where both ends are beyond it.
        assert (not lower < -1e-12 or not upper > 1e-12) == (log_e > math.log(20))


def test_an_arm_that_always_fails_is_found_within_ten_failures() -> None:
    found = rare.log_evidence_above(np.asarray(0), np.asarray(10), np.asarray(0.5))
    assert found > math.log(20)


def histogram(random: np.random.Generator, number: int, factor: float) -> np.ndarray:
    times = factor * random.lognormal(1, 1, number)
    return np.histogram(np.log(times) / math.log(1.02), bins=np.arange(-200, 400))[0].astype(float)


def test_quantiles_that_lie_apart_are_found_and_by_how_much() -> None:
    random = np.random.default_rng(3)
    control, treated = histogram(random, 6000, 1.0), histogram(random, 6000, 1.02**15)
    lower, upper = quantiles.shifts(control, treated, 0.95, 0.05, tails.NONE, 100)
    assert 0 < lower <= 15 <= upper < 40
    below = [quantiles.Below(np.cumsum(each), each.sum()) for each in (control, treated)]
    found = quantiles.scores(below[0], below[1], 0.95, tails.NONE)
    assert quantiles.log_evidence(found, 0.05) > math.log(20)
    assert quantiles.log_evidence_above(found, 0.05) > quantiles.log_evidence_above(found, 0.05, sign=-1)


def test_quantiles_of_the_same_are_not_told_apart() -> None:
    random = np.random.default_rng(4)
    same = histogram(random, 6000, 1.0), histogram(random, 6000, 1.0)
    lower, upper = quantiles.shifts(same[0], same[1], 0.95, 0.05, tails.NONE, 100)
    assert lower <= 0 <= upper


def test_what_takes_long_is_foreseen() -> None:
    error = power.error(0.1, 1000, 0.05)
    times = power.needed(error, 1000, 0.02, 0.05)
    assert power.detectable(error, 1000, times, 0.05) == pytest.approx(0.02, rel=1e-3)
    assert power.needed(error, 1000, 0.0, 0.05) == math.inf
    assert power.needed(error, 1000, 1e-6, 0.05) == math.inf
