"""Made-up series keep the hours of the week of the real ones, and stay positive and finite."""

from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast.lstm.mixing import mixtures
from controlplane.forecast.series import DAY, HOUR, WEEK, Series, Window


def weekly(name: str, length: int, start: int) -> Window:
    """Make a series whose values are the hour of the week."""
    times = start + HOUR * np.arange(length)
    return Window(Series(name, start, HOUR, 1.0 + (times % WEEK) / HOUR))


@pytest.mark.parametrize("starts", [(0, 0), (0, 5 * DAY), (3 * DAY + HOUR, 11 * WEEK), (50 * WEEK, HOUR)])
@pytest.mark.parametrize("lengths", [(800, 800), (800, 300), (300, 800)])
def test_hours_of_the_week_agree(starts: tuple[int, int], lengths: tuple[int, int]) -> None:
    real = [weekly(str(place), *pair) for place, pair in enumerate(zip(lengths, starts, strict=True))]

    made = mixtures(real, 20, np.random.default_rng(0))

    assert made
    for each in made:
        hour = 1.0 + (each.series.times() % WEEK) / HOUR
        assert np.all(np.diff(each.series.values[np.argsort(hour, kind="stable")]) > -1e-9)
        assert len(each.series) >= min(lengths) - WEEK // HOUR


def test_nothing_comes_of_one_series_or_of_nothing(waves: list[Window]) -> None:
    empty = replace(waves[1], series=replace(waves[1].series, values=np.full(500, np.nan)))
    zeros = replace(waves[1], series=replace(waves[1].series, values=np.zeros(500)))

    assert mixtures(waves[:1], 5, np.random.default_rng(0)) == []
    assert mixtures([empty, zeros, zeros], 9, np.random.default_rng(0)) == []
    assert (
        mixtures([waves[0], replace(waves[1], series=waves[1].series.until(20))], 5, np.random.default_rng(0))
        == []
    )


def test_the_generator_decides(waves: list[Window]) -> None:
    one, other = (mixtures(waves, 4, np.random.default_rng(3)) for _ in range(2))

    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.series.values, b.series.values)
        assert np.isfinite(a.series.values).all()
        assert a.series.values.min() >= 0
