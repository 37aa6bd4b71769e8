"""The linear pool mixes distributions, not quantiles; averaging does the other."""

import numpy as np

from controlplane.forecast.pooling import averaged, pool
from controlplane.forecast.quantiles import LEVELS, MEDIAN


def test_the_pool_of_a_point_is_the_point() -> None:
    assert np.allclose(pool(np.full((1, 2, 13), 3.0), np.ones(2)), 3.0)


def test_the_pool_of_zeros_is_zero() -> None:
    assert (pool(np.zeros((2, 13)), np.ones(2)) == 0).all()


def test_far_members_make_a_wide_pool() -> None:
    near, far = 100 + LEVELS, 200 + LEVELS
    mixed = pool(np.stack([near, far]), np.array([0.3, 0.7]))
    assert mixed[3] < 102
    assert mixed[MEDIAN] > 199
    # The level .2 of the mixture is the level 2/3 of the near member.
    assert np.isclose(mixed[3], 100 + 2 / 3, atol=1e-4)


def test_a_member_without_weight_or_with_a_gap_does_not_count() -> None:
    good, other = np.arange(13.0), np.full(13, 1e6)
    gap = other.copy()
    gap[3] = np.nan
    mixed = pool(np.stack([good, other, gap]), np.array([1.0, 0.0, 5.0]))
    assert np.allclose(mixed, good, atol=1e-5)


def test_without_weight_there_is_no_pool() -> None:
    assert np.isnan(pool(np.ones((2, 13)), np.zeros(2))).all()


def test_other_levels_can_be_asked_for() -> None:
    mixed = pool(LEVELS[None] * 100, np.ones(1), np.array([0.25, 0.5]))
    assert np.allclose(mixed, [25, 50])


def test_far_members_make_no_wide_average() -> None:
    mixed = averaged(np.stack([100 + LEVELS, 200 + LEVELS]), np.array([1.0, 3.0]))
    assert np.allclose(mixed, 175 + LEVELS)


def test_an_average_is_of_those_who_have_weight_and_a_forecast() -> None:
    good, gap = np.arange(13.0), np.full(13, np.nan)
    assert np.allclose(averaged(np.stack([good, gap, good + 9]), np.array([1.0, 5.0, 0.0])), good)
    assert np.isnan(averaged(np.stack([gap, good]), np.array([1.0, 0.0]))).all()
