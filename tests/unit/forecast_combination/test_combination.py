"""The combination weighs, drops, guards and calibrates, and says why."""

from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast import notes
from controlplane.forecast.combination import Combined, Present, combine
from controlplane.forecast.quantiles import LEVELS, MEDIAN, usable
from controlplane.forecast.rules import RULES
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track
from tests.unit.forecast_combination.worlds import HORIZON, MEMBERS, STEP, World, world


def member(made: Combined, name: str) -> FloatArray:
    """Answer a member's weights, (n, b)."""
    found: FloatArray = made.weights[:, :, made.members.index(name)]
    return found


def codes(made: Combined, row: int = 0) -> set[tuple[str, str]]:
    return {(note.code, note.member) for note in made.notes[row]}


def without_past(made: World) -> list[Track]:
    return [track.newest(0) for track in made.tracks]


def test_without_a_past_the_members_count_equally() -> None:
    made = world(seed=1)
    answer = combine(without_past(made), made.present)
    assert np.allclose(answer.weights, 1 / len(MEMBERS))
    assert np.allclose(answer.spreads, 1.0)
    assert codes(answer) == {(notes.NO_PAST, "")}
    assert all(usable(each) for each in answer.quantiles)


def test_the_member_that_did_best_counts_most() -> None:
    made = world(seed=2, errors={"Good": 0.2})
    answer = combine(made.tracks, made.present)
    assert (member(answer, "Good") > 0.8).all()
    assert np.allclose(answer.weights.sum(axis=-1), 1.0)


def test_a_series_without_a_past_learns_from_the_others() -> None:
    made = world(seed=3, series=4, errors={"Good": 0.2})
    tracks = [made.tracks[0].newest(0), *made.tracks[1:]]
    answer = combine(tracks, made.present)
    assert (member(answer, "Good")[0] > 0.6).all()
    assert (notes.NO_PAST, "") in codes(answer)


def test_a_member_that_is_much_too_wide_is_narrowed() -> None:
    made = world(seed=4, widths={"Good": 4.0})
    answer = combine(made.tracks, made.present)
    assert (answer.spreads[:, :, MEMBERS.index("Good")] < 0.5).all()
    assert (answer.spreads[:, :, MEMBERS.index("Other")] > 0.7).all()


def test_a_member_far_worse_than_the_seasonal_naive_is_dropped() -> None:
    made = world(seed=5, errors={"Other": 6.0})
    answer = combine(made.tracks, made.present)
    assert (member(answer, "Other") == 0).all()
    assert (notes.WORSE_THAN_SEASONAL_NAIVE, "Other") in codes(answer)
    words = next(note.words for note in answer.notes[0] if note.member == "Other")
    assert "1-3" in words
    assert "times the seasonal naive" in words


def test_a_member_with_a_gap_has_no_weight() -> None:
    made = world(seed=6)
    made.present.forecasts[0, 2, 5, 3] = np.nan
    answer = combine(made.tracks, made.present)
    assert (member(answer, MEMBERS[2])[0] == 0).all()
    assert (notes.NO_FORECAST, MEMBERS[2]) in codes(answer)
    assert usable(answer.quantiles)


def test_a_member_that_explodes_has_no_weight() -> None:
    made = world(seed=7)
    made.present.forecasts[0, 2] *= 1e6
    answer = combine(made.tracks, made.present)
    assert (member(answer, MEMBERS[2])[0] == 0).all()
    assert (notes.EXPLODED, MEMBERS[2]) in codes(answer)


def test_a_member_that_is_not_allowed_has_no_weight() -> None:
    made = world(seed=8, allowed=("Naive", "SeasonalNaive"))
    answer = combine(made.tracks, made.present)
    assert (member(answer, "Good") == 0).all()
    assert (notes.NOT_ALLOWED, "Good") in codes(answer)
    assert np.allclose(answer.weights.sum(axis=-1), 1.0)


def test_nothing_exceeds_three_times_the_largest_value_or_the_bound() -> None:
    made = world(seed=9, series=2)
    made.present.forecasts[...] *= 50
    made.present.upper[1] = 110.0
    answer = combine(made.tracks, made.present)
    assert answer.quantiles[0].max() <= 3 * made.present.highest[0]
    assert answer.quantiles[1].max() <= 110
    assert all(usable(each) for each in answer.quantiles)


def test_a_series_that_nobody_forecasts_is_not_made_up() -> None:
    made = world(seed=10, series=2)
    made.present.forecasts[0] = np.nan
    answer = combine(made.tracks, made.present)
    assert np.isnan(answer.quantiles[0]).all()
    assert (answer.weights[0] == 0).all()
    assert usable(answer.quantiles[1])


def test_a_pool_that_loses_to_the_seasonal_naive_hands_over() -> None:
    errors = {"Naive": 1.4, "Good": 1.4, "Other": 1.4, "SeasonalNaive": 1.0}
    # All but the seasonal naive err in the same direction, and the pool with them.
    made = world(seed=11, errors=errors, biased=("Naive", "Good", "Other"))
    made = made.with_bias(25.0)
    answer = combine(made.tracks, made.present)
    assert (member(answer, "SeasonalNaive") > 0.5).all()


def test_constant_and_zero_series_are_forecast_as_they_are() -> None:
    for value in (0.0, 5.0):
        made = world(seed=12).constant(value)
        answer = combine(made.tracks, made.present)
        assert np.allclose(answer.quantiles, value, atol=0.05 * value + 1e-9)
        assert usable(answer.quantiles[0])


def test_the_calibrated_pool_holds_as_often_as_it_says() -> None:
    made = world(seed=13, series=6, origins=60, widths=dict.fromkeys(MEMBERS, 0.3))
    hits, all_known = np.zeros(len(LEVELS)), 0
    for origin in range(20, 60):
        answer = combine(made.tracks, made.at(origin))
        for row, track in enumerate(made.tracks):
            hits += (track.actuals[origin][:, None] <= answer.quantiles[row]).sum(axis=0)
            all_known += HORIZON
    covered = hits / all_known
    assert covered[10] - covered[2] == pytest.approx(0.8, abs=0.03)
    assert covered[10] == pytest.approx(0.9, abs=0.02)
    assert covered[11] == pytest.approx(0.95, abs=0.02)
    assert covered[12] == pytest.approx(0.99, abs=0.02)
    assert covered[MEDIAN] == pytest.approx(0.5, abs=0.04)


def test_what_came_after_the_origin_is_not_looked_at() -> None:
    made = world(seed=14, origins=12)
    now = made.at(8)
    seen = combine(made.tracks, now)
    cut = [track.known_at(int(now.origins[0])) for track in made.tracks]
    assert np.array_equal(seen.quantiles, combine(cut, now).quantiles)
    for track in made.tracks:
        track.actuals[8:] = 1e9
    assert np.array_equal(seen.quantiles, combine(made.tracks, now).quantiles)


def test_tracks_of_fewer_steps_and_members_are_learned_from() -> None:
    made = world(seed=15)
    track = made.tracks[0]
    short = Track(track.members[:2], STEP, track.origins, track.forecasts[:, :2, :5], track.actuals[:, :5])
    answer = combine([short], made.present)
    assert usable(answer.quantiles[0])
    assert np.allclose(answer.weights.sum(axis=-1), 1.0)


def test_one_step_ahead_is_enough() -> None:
    made = world(seed=16)
    present = made.present
    one = Present(
        present.members, present.forecasts[:, :, :1], present.origins, present.highest, present.upper
    )
    answer = combine(made.tracks, one)
    assert answer.quantiles.shape == (1, 1, len(LEVELS))
    assert answer.buckets == (1,)


def test_a_rule_may_average_quantiles_and_leave_widths_alone() -> None:
    made = world(seed=4, widths={"Good": 4.0})
    still = combine(made.tracks, made.present, replace(RULES, stretched=False))
    averaged = combine(without_past(made), made.present, replace(RULES, mixed=False, doubt=0.0))
    assert (still.spreads == 1.0).all()
    assert np.allclose(averaged.quantiles, made.present.forecasts.mean(axis=1), rtol=1e-2)
