"""The ridge: what it learns from a daily wave, from gaps, outliers and too little, never from the future."""

import pickle

import numpy as np
import pytest

from controlplane.forecast.features.track import Track
from controlplane.forecast.models.ridge import Ridge, anchors, learn
from controlplane.forecast.models.ridge_solve import solve
from controlplane.forecast.quantiles import LEVELS, MEDIAN, usable
from controlplane.forecast.series import HOUR, MINUTE, FloatArray, Series, Window


def wave(length: int, step: int = HOUR, seed: int = 0, noise: float = 2.0) -> Series:
    rng = np.random.default_rng(seed)
    times = np.arange(length) * step
    values = 50 + 20 * np.sin(2 * np.pi * times / 86400) + rng.normal(0, noise, length)
    return Series("wave", 0, step, values)


def forecast(series: Series, horizon: int = 48) -> FloatArray:
    windows = [Window(series)]
    told: FloatArray = Ridge().fit(windows, horizon=horizon, seed=0).forecast(windows, horizon)[0]
    return told


@pytest.mark.parametrize(("step", "days"), [(5 * MINUTE, 14), (HOUR // 2, 28), (HOUR, 56)])
def test_it_learns_a_daily_wave_at_any_grid(step: int, days: int) -> None:
    series = wave((days + 4) * 86400 // step, step)
    cut = days * 86400 // step
    told = forecast(series.until(cut))
    came = series.values[cut : cut + 48]
    assert usable(told)
    assert np.abs(told[:, MEDIAN] - came).mean() < 2.4
    inside = (came >= told[:, 2]) & (came <= told[:, 10])
    assert 0.6 < inside.mean() <= 1


def test_it_follows_a_new_level_at_once() -> None:
    rng = np.random.default_rng(1)
    level = np.cumsum(rng.normal(0, 1, 4000)) + 200
    told = forecast(Series("walk", 0, 5 * MINUTE, level), 12)
    assert abs(told[0, MEDIAN] - level[-1]) < 2
    assert np.diff(told[:, 10] - told[:, 2])[:6].sum() > 0


def test_outliers_of_the_past_move_it_little() -> None:
    clean = wave(24 * 40)
    dirty = Series("wave", 0, HOUR, clean.values.copy())
    dirty.values[np.arange(30, 900, 97)] = 5000.0
    moved = np.abs(forecast(dirty)[:, MEDIAN] - forecast(clean)[:, MEDIAN])
    assert np.median(moved) < 4  # all but the steps at whose very hour the last week had an outlier


def test_gaps_leave_it_whole() -> None:
    series = wave(24 * 40)
    series.values[np.random.default_rng(2).random(len(series)) < 0.3] = np.nan
    series.values[-5:] = np.nan
    assert usable(forecast(series))


@pytest.mark.parametrize("value", [0.0, 4.0])
def test_a_constant_goes_on(value: float) -> None:
    told = forecast(Series("flat", 0, HOUR, np.full(500, value)))
    np.testing.assert_allclose(told, value, atol=1e-6)


def test_what_it_cannot_forecast_is_nan_throughout() -> None:
    fitted = Ridge().fit([Window(wave(24 * 40)), Window(wave(30))], horizon=12, seed=0)
    other = Series("other", 0, HOUR, wave(500).values)
    short = Ridge().fit([Window(wave(30))], horizon=12, seed=0)
    assert np.isnan(fitted.forecast([Window(other)], 12)).all()
    assert np.isnan(short.forecast([Window(wave(30))], 12)).all()
    assert np.isnan(short.forecast([Window(wave(3))], 12)).all()


def test_bounds_hold() -> None:
    series = wave(24 * 40, noise=30.0)
    bounded = Series("wave", 0, HOUR, np.clip(series.values, 0, 70), upper=70.0)
    told = forecast(bounded)
    assert told.min() >= 0
    assert told.max() <= 70


def test_the_future_changes_nothing_and_a_fit_can_be_kept() -> None:
    series = wave(24 * 50)
    cut = [Window(series.until(24 * 40))]
    fitted = Ridge().fit(cut, horizon=48, seed=0)
    told = fitted.forecast(cut, 48)
    again = pickle.loads(pickle.dumps(fitted)).forecast([Window(series.until(24 * 40))], 48)
    np.testing.assert_array_equal(told, again)
    later = fitted.forecast([Window(series)], 24)
    assert later.shape == (1, 24, len(LEVELS))
    assert usable(later)


def test_far_horizons_lie_between_fewer_regressions() -> None:
    steps = anchors(576)
    assert steps[0] == 1
    assert steps[-1] == 576
    assert len(steps) < 64
    assert usable(forecast(wave(288 * 12, 5 * MINUTE), 576))


def test_held_out_residuals_are_larger_than_those_in_the_sample() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, 90, 20))
    rows[:, :, -1] = 1.0
    target = rows[:, :, 0] + rng.normal(size=(2, 90))
    solved = solve(rows, target, np.ones(90), 4)
    inside = target - np.einsum("hrp,hp->hr", rows, solved.coefficients)
    assert np.abs(solved.held_out).mean() > np.abs(inside).mean()
    assert abs(solved.coefficients[0, 0] - 1) < 0.3


def test_a_held_out_stretch_is_not_learned_from() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1, 300, 3))
    rows[:, :, -1] = 1.0
    target = rows[:, :, 0].copy()
    target[:, 200:] = -target[:, 200:]
    solved = solve(rows, target, np.ones(300), 10)
    assert np.abs(solved.held_out[:, 200:]).mean() > 1


def test_learning_says_what_it_learned_from() -> None:
    series = wave(24 * 40)
    lesson = learn(Track.of(series), 24)
    assert lesson is not None
    assert lesson.held_out.shape == (24, len(lesson.origins))
    assert lesson.origins[-1] == len(series) - 2
    assert lesson.learned.end == series.last


@pytest.mark.parametrize("extra", range(40, 180, 14))
def test_a_day_and_a_little_is_learned_or_left_out_but_never_a_fault(extra: int) -> None:
    told = forecast(wave(24 + extra))

    assert np.isnan(told).all() or np.isfinite(told).all()
