"""The boosted trees: they serve series seen and unseen, long and short, within bounds, the same by seed."""

import pickle

import numpy as np
import pytest

from controlplane.forecast.models.boosting import Boosting, FittedBoosting
from controlplane.forecast.models.boosting_rows import COLUMNS, rows_of
from controlplane.forecast.peaks import PEAKS
from controlplane.forecast.quantiles import LEVELS, MEDIAN, usable
from controlplane.forecast.series import HOUR, Series, Window

HORIZON = 12


def wave(name: str, length: int, seed: int, size: float = 20.0) -> Window:
    rng = np.random.default_rng(seed)
    times = np.arange(length) * HOUR
    values = 3 * size + size * np.sin(2 * np.pi * times / 86400 + seed) + rng.normal(0, size / 10, length)
    return Window(Series(name, 0, HOUR, values))


def seen() -> list[Window]:
    return [wave("a", 24 * 40, 1), wave("b", 24 * 30, 2, 5000.0), wave("c", 60, 3), wave("d", 2, 4)]


@pytest.fixture(scope="module")
def fitted() -> FittedBoosting:
    return Boosting().fit(seen(), horizon=HORIZON, seed=7)


def test_it_forecasts_what_it_saw(fitted: FittedBoosting) -> None:
    told = fitted.forecast(seen(), HORIZON)
    assert told.shape == (4, HORIZON, len(LEVELS))
    assert usable(told[:3])
    assert np.isnan(told[3]).all()


def test_it_serves_a_series_it_never_saw(fitted: FittedBoosting) -> None:
    whole = wave("new", 24 * 41, 9, 300.0)
    cut = 24 * 40
    told = fitted.forecast([Window(whole.series.until(cut))], HORIZON)[0]
    assert np.abs(told[:, MEDIAN] - whole.series.values[cut : cut + HORIZON]).mean() < 60


@pytest.mark.parametrize("length", [3, 10, 30, 60])
def test_it_serves_a_short_history(fitted: FittedBoosting, length: int) -> None:
    assert usable(fitted.forecast([wave("short", length, 5)], HORIZON))


def test_the_same_seed_gives_the_same(fitted: FittedBoosting) -> None:
    again = Boosting().fit(seen(), horizon=HORIZON, seed=7)
    np.testing.assert_array_equal(fitted.forecast(seen(), HORIZON), again.forecast(seen(), HORIZON))


def test_it_can_be_kept(fitted: FittedBoosting) -> None:
    kept = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(kept.forecast(seen(), HORIZON), fitted.forecast(seen(), HORIZON))


def test_series_do_not_touch_each_other(fitted: FittedBoosting) -> None:
    together = fitted.forecast(seen(), HORIZON)
    alone = fitted.forecast(seen()[1:2], HORIZON)
    np.testing.assert_allclose(together[1], alone[0])


def test_bounds_and_constants_hold(fitted: FittedBoosting) -> None:
    flat = Window(Series("flat", 0, HOUR, np.full(600, 3.0)))
    none = Window(Series("none", 0, HOUR, np.zeros(600)))
    full = Window(Series("full", 0, HOUR, np.clip(wave("", 600, 1).series.values, 0, 70), upper=70.0))
    told = fitted.forecast([flat, none, full], HORIZON)
    assert usable(told)
    assert np.abs(told[0] - 3).max() < 0.1
    assert np.abs(told[1]).max() < 1e-3
    assert told[2].max() <= 70


def test_nothing_to_learn_from_forecasts_nothing() -> None:
    fitted = Boosting().fit([wave("d", 2, 4)], horizon=HORIZON, seed=1)
    assert np.isnan(fitted.forecast([wave("a", 24 * 20, 1)], HORIZON)).all()


def test_rows_are_finite_and_their_tail_is_newest() -> None:
    rows, learned = rows_of(wave("a", 24 * 40, 1), HORIZON, 1000, np.random.default_rng(0))
    assert learned is not None
    for part in rows:
        assert part.features.shape == (len(part.target), len(COLUMNS))
        assert np.isfinite(part.features).all()
        assert np.isfinite(part.target).all()
    assert 0.05 < (rows[0].part == 2).mean() < 0.3
    assert (rows[1].part == 0).all()


def test_trees_learn_what_stated_peaks_do() -> None:
    """Each stated peak doubles demand: with one ahead more is forecast than without."""
    rng = np.random.default_rng(5)
    length, horizon = 24 * 40, 12
    stated = np.zeros(length + horizon)
    for start in rng.integers(0, length - 6, 60):
        stated[start : start + 4] = 40.0
    day = 20 + 5 * np.sin(np.arange(length) * 2 * np.pi / 24)
    series = Series("peaky", 0, HOUR, day * (1 + (stated[:length] > 0)) + rng.normal(0, 0.3, length))
    with_peak = stated.copy()
    with_peak[length : length + 6], stated[length:] = 40.0, 0.0
    learned = Boosting().fit([Window(series, (), {PEAKS: stated})], horizon=horizon, seed=1)

    told = learned.forecast(
        [Window(series, (), {PEAKS: with_peak}), Window(series, (), {PEAKS: stated})], horizon
    )

    assert told[0, :4, MEDIAN].mean() > 1.3 * told[1, :4, MEDIAN].mean()
