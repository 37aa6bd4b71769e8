"""Which scores the levels need: pooled over series, wider or narrower by series, none of it by one spike."""

from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast.conformal import SCORES, Scored, calibration
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.rules import RULES, Rules
from controlplane.forecast.series import FloatArray

STEPS, ORIGINS = 12, 25
STILL = replace(RULES, doubt=0.0, adaptation=0.0)
"""Rules that leave out what only few origins or the newest ones add."""


def scored(*widths: float, shift: float = 0.0) -> Scored:
    """Answer scores of one series per width, normally distributed."""
    random = np.random.default_rng(5)
    scores = shift + np.array(widths)[:, None] * random.normal(size=(len(widths), ORIGINS * STEPS))
    return Scored(scores, np.full(scores.shape, 1 / STEPS), STEPS)


def levels(past: Scored, rules: Rules = STILL) -> FloatArray:
    return calibration(past, np.full(len(past.scores), float(ORIGINS)), rules)


def test_a_calibrated_past_changes_nothing() -> None:
    assert levels(scored(*[1.0] * 8)) == pytest.approx(np.tile(SCORES, (8, 1)), abs=0.25)


def test_a_pool_that_was_too_narrow_is_widened() -> None:
    found = levels(scored(*[2.0] * 8))
    assert found[:, 10] == pytest.approx(2 * SCORES[10], rel=0.15)
    assert found[:, 2] == pytest.approx(2 * SCORES[2], rel=0.15)


def test_a_series_that_is_wider_than_others_is_believed_by_how_many_origins_it_has() -> None:
    past = scored(*[1.0] * 7, 2.0)
    alone, trusted = levels(past)[-1, 10], levels(past, replace(STILL, width_prior=1.0))[-1, 10]
    assert 1.1 * levels(past)[0, 10] < alone < trusted
    assert trusted == pytest.approx(2 * SCORES[10], rel=0.2)


def test_one_spike_does_not_say_how_wide_a_series_is() -> None:
    past = scored(*[1.0] * 8)
    before = levels(past)
    past.scores[0, :STEPS] = 1e6
    after = levels(past)
    assert after[0, 10] < 1.3 * before[0, 10]
    assert after[1, 10] == pytest.approx(before[1, 10], rel=0.1)


def test_an_error_of_the_median_over_all_series_is_put_right_by_a_share() -> None:
    past = scored(*[1.0] * 8, shift=1.0)
    whole = levels(past, replace(STILL, shift=1.0))[0, MEDIAN]
    assert whole == pytest.approx(1.0, abs=0.15)
    assert levels(past)[0, MEDIAN] == pytest.approx(RULES.shift * whole)
    assert levels(past, replace(STILL, shift=0.0))[0, MEDIAN] == 0.0


def test_few_origins_are_doubted() -> None:
    past = scored(1.0)
    few, many = (
        calibration(past, np.array([count]), replace(STILL, doubt=1.0))[0, 12] for count in (1.0, 1e6)
    )
    assert few > many


def test_levels_ascend_whatever_came() -> None:
    random = np.random.default_rng(6)
    past = Scored(random.standard_cauchy((4, 36)), random.random((4, 36)), STEPS)
    assert (np.diff(levels(past, RULES), axis=-1) >= 0).all()
