"""Smoothing in blocks is smoothing step by step; what is usual comes from before; quantiles have weights."""

import numpy as np

from controlplane.forecast.models.levels import BLOCK, smoothed, usual, weighted_quantiles
from controlplane.forecast.series import FloatArray


def test_smoothing_in_blocks_is_smoothing_step_by_step() -> None:
    values = np.random.default_rng(1).normal(size=(2, 2 * BLOCK + 5))
    level = values[0, 0]
    wanted = [level := level + 0.3 * (value - level) for value in values[0]]

    levels = smoothed(values, np.array([0.3, 1.0]))

    np.testing.assert_allclose(levels[0, 0], wanted)
    np.testing.assert_allclose(levels[1], values)


def test_the_usual_comes_from_earlier_seasons_newer_ones_counting_more() -> None:
    values: FloatArray = np.array([1.0, 2.0, 4.0, 8.0])

    told = usual(values, 2, 0.5, 3)

    assert np.isnan(told[:2]).all()
    np.testing.assert_allclose(told[2:4], [1, 2])
    np.testing.assert_allclose(told[4:], [(4 + 0.5) / 1.5, (8 + 1) / 1.5, (4 + 0.5) / 1.5])


def test_a_first_season_may_be_broken() -> None:
    np.testing.assert_allclose(usual(np.array([1.0, 2.0, 3.0]), 2, 1.0, 1), [np.nan, np.nan, 1.0, 2.0])


def test_weights_move_quantiles() -> None:
    values: FloatArray = np.array([3.0, 1.0, 2.0])

    assert weighted_quantiles(values, np.ones(3), np.array([0.5]))[0] == 2.0
    assert weighted_quantiles(values, np.array([9.0, 1.0, 1.0]), np.array([0.5]))[0] > 2.4
