"""Stated peaks on a grid."""

from datetime import UTC, datetime

import numpy as np
import pytest

from controlplane.forecast.peaks import Peak, peak_rates
from controlplane.forecast.series import HOUR, Series

MONDAY = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())


def _series(length: int, step: int = HOUR) -> Series:
    return Series("a", MONDAY, step, np.zeros(length))


def test_a_peak_of_working_days_stands_from_nine_to_six() -> None:
    rates = peak_rates(_series(24 * 6), [Peak("0 9 * * 1-5", 9 * HOUR, 40.0)], ahead=24)

    days = rates.reshape(7, 24)
    assert (days[:5, 9:18] == 40).all()
    assert days[:5, :9].sum() == days[:5, 18:].sum() == 0
    assert days[5:].sum() == 0


def test_a_cell_counts_by_the_share_that_is_covered() -> None:
    rates = peak_rates(_series(2), [Peak("30 0 * * *", HOUR, 40.0)], ahead=0)

    np.testing.assert_allclose(rates, [20.0, 20.0])


def test_a_peak_that_began_before_the_series_reaches_into_it() -> None:
    rates = peak_rates(_series(3), [Peak("0 23 * * *", 2 * HOUR, 6.0)], ahead=0)

    np.testing.assert_allclose(rates, [6.0, 0.0, 0.0])


def test_peaks_add_up() -> None:
    peaks = [Peak("0 0 * * *", HOUR, 6.0), Peak("0 0 * * *", HOUR, 4.0)]

    assert peak_rates(_series(1), peaks, ahead=0)[0] == 10


@pytest.mark.parametrize("cron", ["", "rubbish", "61 * * * *", "0 9 * *"])
def test_a_line_that_cannot_be_read_states_nothing(cron: str) -> None:
    assert peak_rates(_series(24), [Peak(cron, HOUR, 6.0)], ahead=0).sum() == 0


def test_a_peak_every_minute_ends() -> None:
    assert np.isfinite(peak_rates(_series(24 * 60), [Peak("* * * * *", 60, 6.0)], ahead=0)).all()
