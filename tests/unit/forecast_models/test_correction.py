"""What is usual is corrected by what lately was, as far as that lasted; no origin knows what came."""

import numpy as np

from controlplane.forecast.models.correction import Usual, around, scales, steady
from controlplane.forecast.quantiles import LEVELS, MEDIAN
from controlplane.forecast.series import FloatArray

DAY, HORIZON = 24, 12
NOISE = np.random.default_rng(3).normal(0, 1, 24 * 20)


def _around(values: FloatArray, idea: Usual) -> FloatArray:
    told = around(values, np.ones(len(values)), DAY, HORIZON, [idea])
    assert told is not None
    return told


def test_a_distance_that_never_lasts_is_forgotten() -> None:
    plain, _ = scales(NOISE)
    values: FloatArray = 50 + NOISE
    values[-1] += 30

    told = _around(values, steady(plain, np.full(len(values) + HORIZON, 50.0)))

    np.testing.assert_allclose(told[:, MEDIAN], 50, atol=2)


def test_a_distance_that_lasts_is_kept() -> None:
    plain, _ = scales(NOISE)
    values: FloatArray = 50 + np.cumsum(NOISE)

    told = _around(values, steady(plain, np.full(len(values) + HORIZON, 50.0)))

    np.testing.assert_allclose(told[:3, MEDIAN], values[-1], atol=2)
    assert (np.diff(told[:, -1] - told[:, 0])[[0, 6]] > 0).any()


def test_a_layer_learned_later_is_not_replayed_before_it_was_held() -> None:
    """The second layer knows the past by heart: were it replayed there, the errors would be nought."""
    plain, _ = scales(NOISE)
    values: FloatArray = 50 + NOISE
    blind = np.full(len(values) + HORIZON, 50.0)
    knowing = np.concatenate((values, blind[:HORIZON]))
    idea = Usual(plain, np.array([blind, knowing]), np.array([24, len(values)]))

    told = _around(values, idea)

    assert np.mean(told[:, -3] - told[:, 2]) > 2


def test_on_the_scale_of_logarithms_nothing_is_below_zero() -> None:
    values: FloatArray = np.exp(NOISE)
    _, logarithmic = scales(values)

    told = _around(values, steady(logarithmic, np.zeros(len(values) + HORIZON)))

    assert told[:, 0].min() > -0.1
    assert told.shape == (HORIZON, len(LEVELS))


def test_a_past_too_short_to_replay_has_no_answer() -> None:
    plain, _ = scales(NOISE)

    assert around(np.ones(5), np.ones(5), DAY, HORIZON, [steady(plain, np.zeros(5 + HORIZON))]) is None


def test_both_scales_come_back_where_they_were() -> None:
    for scale in scales(np.array([0.0, 5.0, 10.0])):
        np.testing.assert_allclose(scale.back(scale.into(np.array([0.0, 7.0]))), [0, 7], atol=1e-12)
