"""Forecasts anew at every step: never from what has not come, kept between runs, and the same each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scaling.keeping import kept_walk
from benchmarks.scaling.peering import DSP, PEERS
from benchmarks.scaling.policies import ENCHAIN, ORACLE
from benchmarks.scaling.trials import at_steps
from benchmarks.scaling.walking import Told, walk
from controlplane.forecast.backtest.plan import Case, usual
from controlplane.forecast.series import Series

MEMBERS = ("Naive", "SeasonalNaive", "Envelope")
PLAN = usual("5min", origins=1, horizon=48, calibration=0)
FIRST, STEPS = 300, 30


def case(seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    time = np.arange(FIRST + STEPS + 10)
    values = 10 + 5 * np.sin(time / 288 * 2 * np.pi) + rng.gamma(2.0, 0.5, len(time))
    return Case(Series(f"s{seed}", 1_600_000_200, 300, values), f"s{seed}")


def silent(words: str) -> None:
    del words


@pytest.fixture(scope="module")
def told() -> Told:
    (found,) = walk([case()], PLAN, [FIRST], STEPS, MEMBERS, silent)
    return found


def test_every_step_has_a_forecast(told: Told) -> None:
    assert told.quantiles.shape == (STEPS, 48, 13)
    assert np.isfinite(told.quantiles).all()
    assert (np.diff(told.quantiles, axis=-1) >= 0).all()
    assert {name: each.shape for name, each in told.points.items()} == dict.fromkeys(PEERS, (STEPS, 48))


def test_forecasts_made_anew_less_often_are_the_same_at_their_moments(told: Told) -> None:
    (seldom,) = walk([case()], PLAN, [FIRST], STEPS, MEMBERS, silent, every=4)
    trial, whole = at_steps([case()], PLAN, [seldom]), at_steps([case()], PLAN, [told])

    assert np.array_equal(seldom.quantiles, told.quantiles[::4])
    assert seldom.known.tolist() == told.known[::4].tolist()
    assert np.array_equal(trial.demand, whole.demand[:, ::4], equal_nan=True)
    assert np.array_equal(trial.wanted[ENCHAIN], whole.wanted[ENCHAIN][:, ::4])
    for name, points in seldom.points.items():
        assert np.array_equal(points, told.points[name][::4])


def test_how_forecasts_kept_their_word_is_counted_as_values_come(told: Told) -> None:
    assert (
        np.diff(told.known[1:]) > 0
    ).all()  # each value that comes judges the forecast kept at the first step
    assert (told.above <= told.known).all()


@pytest.mark.parametrize("cut", [3, 13, 29])
def test_no_step_sees_a_value_that_comes_later(told: Told, cut: int) -> None:
    before = case()
    values = before.series.values.copy()
    values[FIRST + cut :] = 1e6
    (other,) = walk(
        [replace(before, series=replace(before.series, values=values))], PLAN, [FIRST], STEPS, MEMBERS, silent
    )

    assert np.array_equal(other.quantiles[: cut + 1], told.quantiles[: cut + 1])
    assert other.above[: cut + 1].tolist() == told.above[: cut + 1].tolist()
    for name, points in other.points.items():
        assert np.array_equal(points[: cut + 1], told.points[name][: cut + 1])
    assert not np.array_equal(other.quantiles[-1], told.quantiles[-1]) or cut == STEPS - 1


def test_a_model_that_learns_once_learns_from_nothing_that_comes_later() -> None:
    before = case()
    values = before.series.values.copy()
    values[FIRST:] = 1e6
    other = replace(before, series=replace(before.series, values=values))
    members = ("Naive", "Ridge", "LightGBM")
    first, changed, without = (
        walk([each], PLAN, [FIRST], 1, names, silent)[0].quantiles
        for each, names in ((before, members), (other, members), (before, members[:2]))
    )

    assert np.array_equal(first, changed)
    assert not np.array_equal(first, without)


def test_a_forecast_that_is_not_made_anew_goes_on_from_where_it_was(told: Told) -> None:
    assert np.array_equal(told.points[DSP][0, 5:40], told.points[DSP][5, :35])


def test_the_trial_says_what_came_and_nothing_where_the_series_ends(told: Told) -> None:
    made = at_steps([case()], PLAN, [told])

    assert made.demand[0, 0, 0] == case().series.values[FIRST]
    assert made.demand[0, 4, 2] == case().series.values[FIRST + 6]
    assert np.isnan(made.demand[0, -1, 11:]).all()
    assert made.wanted[ENCHAIN].shape == made.demand.shape
    assert np.array_equal(np.nan_to_num(made.demand), made.wanted[ORACLE])


def test_a_walk_is_kept_and_read_again(told: Told, tmp_path: Path) -> None:
    said: list[str] = []
    arguments = ([case()], PLAN, [FIRST], STEPS, MEMBERS, tmp_path, said.append)
    (made,), (read,) = kept_walk(*arguments), kept_walk(*arguments)

    assert said[-1] == "the walk of 1 series is kept already"
    assert np.array_equal(made.quantiles, told.quantiles)
    assert read.quantiles == pytest.approx(told.quantiles, rel=1e-6)
    assert read.points.keys() == told.points.keys()


def test_a_kept_walk_of_other_data_is_not_read(tmp_path: Path) -> None:
    said: list[str] = []
    for seed in (0, 1):
        kept_walk([case(seed)], PLAN, [FIRST], 2, MEMBERS, tmp_path, said.append)

    assert not any("kept already" in words for words in said)
