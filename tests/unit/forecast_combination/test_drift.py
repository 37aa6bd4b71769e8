"""Falling back is by rule, says why, and does not flutter."""

import numpy as np
import pytest

from controlplane.forecast import drift, track
from controlplane.forecast.drift import ALL, LOCAL, SIMPLE, Drift, Seen
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import Series

BAD, SO_SO, GOOD = Seen(1.3, 8, 0.0), Seen(1.0, 8, 0.0), Seen(0.6, 8, 0.0)


def after(*checks: Seen, start: Drift | None = None) -> Drift:
    state = start or Drift()
    for seen in checks:
        state = drift.checked(state, seen)
    return state


def test_it_falls_after_three_bad_checks_and_says_why() -> None:
    assert after(BAD, BAD).level == ALL
    fallen = after(BAD, BAD, BAD)
    assert fallen.level == LOCAL
    assert "1.30" in fallen.reason
    assert after(BAD, BAD, BAD, BAD, BAD, BAD).level == SIMPLE
    assert after(*[BAD] * 20).level == SIMPLE


def test_bad_checks_must_follow_each_other() -> None:
    assert after(BAD, BAD, SO_SO, BAD, BAD, GOOD, BAD, BAD).level == ALL


def test_coming_back_takes_longer() -> None:
    fallen = after(*[BAD] * 3)
    assert after(*[GOOD] * 5, start=fallen).level == LOCAL
    assert after(*[GOOD] * 5, SO_SO, *[GOOD] * 5, start=fallen).level == LOCAL
    back = after(*[GOOD] * 6, start=fallen)
    assert back.level == ALL
    assert "again" in back.reason


def test_the_reason_stays_while_the_level_does() -> None:
    fallen = after(*[BAD] * 3)
    assert after(GOOD, SO_SO, BAD, start=fallen).reason == fallen.reason


def test_changed_demand_makes_one_bad_check_enough() -> None:
    fallen = after(Seen(1.05, 8, 0.9))
    assert fallen.level == LOCAL
    assert "stability" in fallen.reason
    assert after(Seen(0.8, 8, 0.9)).level == ALL


@pytest.mark.parametrize("seen", [Seen(9.0, 2, 9.0), Seen(float("nan"), 8, 9.0)])
def test_too_little_evidence_changes_nothing(seen: Seen) -> None:
    state = Drift(LOCAL, bad=2, reason="before")
    assert drift.checked(state, seen) == state


def test_who_is_left() -> None:
    members = ("Naive", "Theta", "LSTM")
    assert drift.kept(Drift(ALL), members) == members
    assert drift.kept(Drift(LOCAL), members) == ("Naive", "Theta")
    assert drift.kept(Drift(SIMPLE), members) == ("Naive",)
    assert drift.kept(Drift(SIMPLE), ("LSTM",)) == ("LSTM",)


def test_the_relative_loss_is_of_the_newest_known_origins() -> None:
    step, horizon = 300, 3
    one = track.empty(("SeasonalNaive",), step, horizon)
    for origin in range(12):
        good = np.broadcast_to(float(origin) + 1 + LEVELS * 0, (horizon, len(LEVELS))).copy()
        forecasts = {"SeasonalNaive": good + 4, "Combined": good + (8 if origin < 3 else 1)}
        one = one.with_origin(origin * step * horizon, forecasts)
    values = np.repeat(np.arange(12.0) + 1, horizon)
    known = one.with_actuals(Series("cpu", step, step, values[: 11 * horizon]))
    relative, origins = drift.relative_loss(known, "Combined")
    assert origins == 8
    assert relative == pytest.approx(0.25)
    assert drift.relative_loss(known, "Theta") == pytest.approx((np.nan, 0), nan_ok=True)


def test_equal_losses_of_nothing_are_equal() -> None:
    zero = np.zeros((3, len(LEVELS)))
    one = track.empty(("SeasonalNaive",), 300, 3).with_origin(0, {"SeasonalNaive": zero, "Combined": zero})
    known = one.with_actuals(Series("cpu", 300, 300, np.zeros(3)))
    assert drift.relative_loss(known, "Combined") == (1.0, 1)


def test_the_stability_index_tells_change_from_noise() -> None:
    random = np.random.default_rng(3)
    history, same = random.normal(10, 2, 4000), random.normal(10, 2, 288)
    assert drift.stability(same, history) < 0.1
    assert drift.stability(same * 2, history) > 0.5
    gaps = history.copy()
    gaps[::3] = np.nan
    assert drift.stability(same, gaps) < 0.1


def test_the_stability_index_of_constants() -> None:
    flat = np.full(1000, 5.0)
    assert drift.stability(flat[:288], flat) < 0.1
    assert drift.stability(flat[:288] + 1, flat) > 0.5
    assert drift.stability(flat[:0], flat) == 0.0
