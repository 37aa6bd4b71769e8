"""Ridges as the network takes them: never of what they saw while learning, and the same for a day after."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from controlplane.forecast.features.track import Track
from controlplane.forecast.lstm.ridges import Ridges, held_out
from controlplane.forecast.series import Window


def test_held_out_forecasts_are_of_the_right_origins_and_in_the_right_unit(waves: list[Window]) -> None:
    series = waves[1].series

    found = held_out(series, 12)

    assert len(found) == 1
    origins, said = found[0].origins, found[0].said
    ahead = origins[:, None] + np.arange(1, 13)
    inside = ahead < len(series)
    apart = said.centre[inside] - series.values[ahead[inside]]
    assert np.abs(apart).mean() < 0.1 * np.ptp(series.values)
    assert said.scale.min() > 0
    assert np.isnan(said.centre[~inside]).all()


def test_long_series_are_cut_into_segments_newest_first(waves: list[Window]) -> None:
    values = np.tile(waves[1].series.values, 13)
    series = replace(waves[1].series, values=values)

    found = held_out(series, 12)

    starts = [int(each.origins[0]) for each in found]
    assert len(found) == 3
    assert starts == sorted(starts, reverse=True)
    assert all(later.origins[0] > earlier.origins[-1] for later, earlier in pairwise(found))


def test_short_series_have_no_ridge(waves: list[Window]) -> None:
    for length in (0, 3, 30, 60):
        series = waves[1].series.until(length)
        assert held_out(series, 12) == []
        if length:
            assert Ridges().said(series, Track.of(series), 12) is None


def test_what_is_said_is_a_function_of_the_window_alone(waves: list[Window]) -> None:
    series, used = waves[1].series, Ridges()
    ends = [*range(400, 440), 500, 410]

    for end in ends:
        window = series.until(end).newest(300)
        fresh = Ridges().said(window, Track.of(window), 12)
        kept = used.said(window, Track.of(window), 12)
        assert fresh is not None
        assert kept is not None
        np.testing.assert_array_equal(fresh.centre, kept.centre)

    assert len(used._kept) <= 6


def test_only_so_many_are_kept(waves: list[Window]) -> None:
    ridges = Ridges(kept=2)

    for end in (200, 300, 400, 500):
        window = waves[1].series.until(end)
        ridges.said(window, Track.of(window), 12)

    assert len(ridges._kept) == 2
