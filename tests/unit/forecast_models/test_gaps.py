"""Gaps are filled from what was measured, and never with zero."""

import numpy as np

from controlplane.forecast.gaps import known, whole
from controlplane.forecast.series import HOUR, FloatArray, Series

HOURS = np.arange(10 * 24)
DAILY: FloatArray = 100 + 50 * np.sin(2 * np.pi * HOURS / 24) + 0.1 * HOURS


def _hourly(values: FloatArray) -> Series:
    return Series("s", 0, HOUR, values)


def test_a_series_without_gaps_stays_as_it_is() -> None:
    np.testing.assert_array_equal(whole(_hourly(DAILY)).values, DAILY)


def test_a_short_gap_becomes_a_straight_line() -> None:
    filled = whole(_hourly(np.array([1.0, np.nan, np.nan, 4.0])))

    np.testing.assert_allclose(filled.values, [1, 2, 3, 4])


def test_after_the_last_measured_value_it_goes_on() -> None:
    np.testing.assert_allclose(whole(_hourly(np.array([1.0, 4.0, np.nan]))).values, [1, 4, 4])


def test_a_long_gap_is_like_other_days_at_the_level_of_here() -> None:
    broken = DAILY.copy()
    broken[100:130] = np.nan

    filled = whole(_hourly(broken)).values

    np.testing.assert_allclose(filled, DAILY, atol=3)


def test_a_long_gap_at_the_end_is_like_other_days() -> None:
    broken = DAILY.copy()
    broken[-20:] = np.nan

    np.testing.assert_allclose(whole(_hourly(broken)).values, DAILY, atol=5)


def test_what_lies_before_the_first_measured_value_is_cut_off() -> None:
    filled = whole(_hourly(np.array([np.nan, np.nan, 5.0, 6.0])))

    assert filled.start == 2 * HOUR
    np.testing.assert_allclose(filled.values, [5, 6])


def test_nothing_measured_leaves_nothing() -> None:
    empty = _hourly(np.full(5, np.nan))

    assert known(empty) == 0
    assert len(whole(empty)) == 0


def test_no_fill_leaves_what_was_ever_measured() -> None:
    broken = DAILY.copy()
    broken[30:90] = np.nan
    broken[200:] = np.nan

    filled = whole(_hourly(broken)).values

    assert np.isfinite(filled).all()
    assert filled.min() >= np.nanmin(broken) > 0
    assert filled.max() <= np.nanmax(broken)
