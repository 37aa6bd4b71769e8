"""Figures of independent libraries, which are not needed to run this project.

Each vector stands beside the library, its version and the call that gave it.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from controlplane.experiments import clusters, msprt, ratio
from controlplane.experiments.clusters import Moments
from controlplane.experiments.cuped import Sums, adjusted

CLUSTERS = np.arange(256)


def mean_of(count: float, total: float, squares: float) -> Moments:
    nothing = np.zeros(1)
    first, second, third = np.array([count, total, squares])
    return clusters.moments(first, second, third, nothing, nothing, repeating=False)


@pytest.mark.parametrize(
    ("control", "treated", "level", "tuning", "interval"),
    [
        ((1000, 2000, 9000), (1100, 2400, 12000), 0.05, 5000, (-0.13875608803838818, 0.5023924516747516)),
        ((5000, 5200, 30000), (4900, 4600, 27000), 0.01, 2000, (-0.2626165066892545, 0.060167527097417794)),
    ],
)
def test_the_boundary_is_that_of_gbstats(
    control: tuple[int, int, int],
    treated: tuple[int, int, int],
    level: float,
    tuning: float,
    interval: tuple[float, float],
) -> None:
    """By gbstats 0.8.0: SequentialTwoSidedTTest of two SampleMeanStatistic, difference_type="absolute"."""
    first, second = mean_of(*control), mean_of(*treated)
    error = np.sqrt(first.variance + second.variance)
    half = msprt.boundary(first.count + second.count, level, tuning, apart=0) * error
    difference = second.mean - first.mean
    assert (difference - half, difference + half) == pytest.approx(interval, rel=1e-9)


def test_evidence_is_that_of_ville() -> None:
    """By ville 0.1.0: MSPRT(theta0=0, sigma=2, tau=.3), after 400 values with the sum -1.6239493441808666."""
    total, number, variance, mixed = -1.6239493441808666, 400, 4.0, 0.09 / 4.0
    tuning = msprt.mixing(0.05, 1.0) / mixed
    score = np.asarray(total / np.sqrt(number * variance))
    assert msprt.log_evidence(score, np.asarray(number), 0.05, tuning, apart=0) == pytest.approx(
        -1.1505508307703918
    )
    score = np.asarray(-34.80145338193239 / np.sqrt(100 * variance))
    assert msprt.log_evidence(score, np.asarray(100), 0.05, tuning, apart=0) == pytest.approx(
        0.4587754265843027
    )


def sums(values: np.ndarray, counts: np.ndarray) -> Sums:
    squares = np.asarray((values**2 / counts).sum())
    return Sums(np.asarray(counts.sum()), np.asarray(values.sum()), squares, counts, values)


@pytest.mark.parametrize(
    ("counts", "variance", "tolerance"),
    [
        (np.full(256, 8.0), 0.018651023580363087, 1e-9),
        ((8 + 3 * np.sin(2.3 * CLUSTERS)).round(), 0.06007157166610537, 1e-3),
    ],
)
def test_the_variance_of_clustered_units_is_that_of_gbstats(
    counts: np.ndarray, variance: float, tolerance: float
) -> None:
    """By gbstats 0.8.0: RatioStatistic(n=256, ...).variance / 256, which takes all clusters for equal."""
    values = 8 * (12 + 3 * np.sin(1.7 * CLUSTERS)) + 6 * np.sin(5.3 * CLUSTERS)
    found = clusters.moments(
        np.asarray(counts.sum()), np.asarray(values.sum()), np.asarray(0.0), counts, values, repeating=True
    )
    assert found.variance == pytest.approx(variance, rel=tolerance)


def tenants(arm: int) -> tuple[Sums, Sums]:
    level = np.sin(1.7 * CLUSTERS + arm)
    past = 5 * (10 + 3 * level) + 4 * np.cos(3.1 * CLUSTERS + arm)
    now = 8 * (12 + 3 * level + 0.5 * arm) + 6 * np.sin(5.3 * CLUSTERS + 2 * arm)
    return sums(now, np.full(256, 8.0)), sums(past, np.full(256, 5.0))


def test_adjusting_by_the_time_before_is_that_of_tea_tasting() -> None:
    """By tea-tasting 1.14.0: RatioOfMeans("y", "n", "x", "m", use_t=False); plain without "x" and "m".

    Its slope is that of all rows at once, ours that of deviations from each arm's own means.
    """
    first, second = tenants(0), tenants(1)
    plain = [arm.moments(repeating=True) for arm in (first[0], second[0])]
    less, removed = adjusted([first[0], second[0]], [first[1], second[1]])
    for (control, treated), difference, statistic, tolerance in (
        (plain, 0.5102873515472144, 2.635364415948107, 1e-9),
        (less, 0.5009631600278759, 7.358736926753946, 2e-3),
    ):
        error = np.sqrt(control.variance + treated.variance)
        assert treated.mean - control.mean == pytest.approx(difference, rel=tolerance)
        assert (treated.mean - control.mean) / error == pytest.approx(statistic, rel=tolerance)
    assert 0.8 < removed < 0.95


@pytest.mark.parametrize("size", [3, 10, 30, 255])
@pytest.mark.parametrize("score", [-2.0, 0.5, 3.0, 5.0])
def test_scores_of_student_are_as_rare_as_those_of_scipy(size: float, score: float) -> None:
    rare = stats.norm.isf(stats.t.sf(abs(score), size))
    found = clusters.normal_score(np.asarray(score), np.asarray(size))
    assert abs(found) == pytest.approx(rare, rel=0.02)
    assert clusters.student_score(found, np.asarray(size)) == pytest.approx(score)


def test_evidence_against_shares_is_that_of_scipy() -> None:
    shares, counts = np.array([0.5, 0.3, 0.2]), np.array([520, 290, 210])
    plain = stats.multinomial(counts.sum(), shares)
    anyhow = stats.dirichlet_multinomial(ratio.CONCENTRATION * shares, counts.sum()).pmf(counts)
    slight = []
    for place, off in itertools.product(range(3), (1, -1)):
        odds = np.ones(3)
        odds[place] = np.exp(off * ratio.SLIGHT / np.sqrt(shares[place] * (1 - shares[place])))
        slight.append(stats.multinomial(counts.sum(), shares * odds / (shares * odds).sum()).pmf(counts))
    mixed = ratio.ANYHOW * anyhow + (1 - ratio.ANYHOW) * np.mean(slight)
    found = ratio.log_evidence(counts.astype(float), shares)
    assert found == pytest.approx(np.log(mixed) - plain.logpmf(counts), abs=1e-6)
