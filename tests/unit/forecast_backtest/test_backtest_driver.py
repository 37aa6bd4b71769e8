"""The backtest never looks ahead, reads again only what is still true, and outlives models that fail."""

from pathlib import Path

import numpy as np
import pytest

from controlplane.forecast.backtest.driver import Resources, forecasts
from controlplane.forecast.backtest.members import load
from controlplane.forecast.backtest.plan import Case, Plan, learnable, usual
from controlplane.forecast.backtest.session import Wanted, backtest
from controlplane.forecast.registry import COMBINED
from enchain.chains.errors import UnavailableError
from tests.unit.forecast_backtest.backtest_worlds import PLAN, case, changed

OVER_ALL = "tests.unit.forecast_backtest.backtest_worlds:FlatOverAll"
DYING = "tests.unit.forecast_backtest.backtest_worlds:Dying"
FAILING = "tests.unit.forecast_backtest.backtest_worlds:Failing"
MODELS = ("Naive", "SeasonalNaive", OVER_ALL)


def quiet(words: str) -> None:
    """Say nothing."""
    del words


def test_origins_are_where_they_should_be() -> None:
    assert PLAN.scored(200) == [178, 183, 188]
    assert PLAN.calibrating(200) == [150, 157, 164, 171]


def test_calibration_origins_without_a_day_before_them_are_left_out() -> None:
    assert PLAN.calibrating(22 + 24 + 15) == [25, 32]


@pytest.mark.parametrize("origin", range(PLAN.origins))
def test_no_forecast_changes_when_the_future_does(origin: int) -> None:
    wanted = Wanted((COMBINED, *MODELS), ("Naive", "SeasonalNaive"))
    before = [case("a", 200, 1), case("b", 150, 2)]
    after = [changed(each, PLAN.scored(len(each.series))[origin]) for each in before]

    plain = backtest(before, wanted, PLAN, Resources(), quiet).made
    other = backtest(after, wanted, PLAN, Resources(), quiet).made

    for (series, model), made in plain.items():
        last = origin - PLAN.origins
        np.testing.assert_array_equal(made.quantiles[last], other[series, model].quantiles[last])
        assert not np.array_equal(made.actuals[last], other[series, model].actuals[last])


def test_global_models_learn_anew_on_the_coarse_grid_unless_asked_otherwise() -> None:
    assert usual("1h").refit
    assert not usual("5min").refit
    assert not usual("1h", refit=False).refit


@pytest.mark.parametrize("refit", [False, True])
def test_what_is_learned_over_all_lies_before_every_origin_it_is_judged_at(refit: bool) -> None:
    plan = Plan(3600, horizon=12, origins=3, stride=5, calibration=4, spacing=7, history=168, refit=refit)
    before = [case("a", 200, 1), case("b", 150, 2)]
    firsts = {each.series.id: plan.starts(len(each.series))[0] for each in before}
    scored = {each.series.id: plan.scored(len(each.series))[0] for each in before}

    def made(cut: dict[str, int]) -> np.ndarray:
        cases = [changed(each, cut[each.series.id]) for each in before]
        return forecasts(cases, [OVER_ALL], plan, Resources(), quiet)["a", OVER_ALL].quantiles

    whole = forecasts(before, [OVER_ALL], plan, Resources(), quiet)["a", OVER_ALL].quantiles
    np.testing.assert_array_equal(made(firsts)[0], whole[0])
    np.testing.assert_array_equal(made(scored)[:5], whole[:5])


def test_columns_of_one_file_are_learned_from_up_to_the_first_origin_of_any() -> None:
    cases = [case("f:a", 200, 1, "f"), case("f:b", 150, 2, "f"), case("g", 180, 3)]

    windows = learnable(cases, {"f:a": 150, "f:b": 100, "g": 130})

    assert [len(window.series) for window in windows] == [100, 100, 130]


def test_kept_forecasts_are_read_again_until_the_data_change(tmp_path: Path) -> None:
    cases = [case("a", 200, 1), case("b:c", 150, 2)]
    resources = Resources(cache=tmp_path)
    told: list[str] = []

    first = forecasts(cases, MODELS, PLAN, resources, told.append)
    assert len(told) == 5
    again = forecasts(cases, MODELS, PLAN, resources, told.append)
    assert told[5:] == ["6 of 6 forecasts are kept already"]
    for key, made in first.items():
        np.testing.assert_array_equal(made.quantiles, again[key].quantiles)

    forecasts([cases[0], changed(cases[1], 60)], MODELS, PLAN, resources, told.append)
    assert told[6] == "2 of 6 forecasts are kept already"


def test_a_torn_file_is_not_read(tmp_path: Path) -> None:
    forecasts([case("a", 200, 1)], ["Naive"], PLAN, Resources(cache=tmp_path), quiet)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])

    assert load(path) is None
    assert load(tmp_path / "none.npz") is None


def test_processes_forecast_the_same(tmp_path: Path) -> None:
    cases = [case("a", 200, 1), case("b", 150, 2)]

    alone = forecasts(cases, MODELS, PLAN, Resources(jobs=1), quiet)
    pool = forecasts(cases, MODELS, PLAN, Resources(jobs=2), quiet)

    assert alone.keys() == pool.keys()
    for key, made in alone.items():
        np.testing.assert_array_equal(made.quantiles, pool[key].quantiles)


def test_a_process_that_dies_is_said() -> None:
    cases = [case("a", 200, 1), case("b", 200, 2)]

    with pytest.raises(UnavailableError, match="a process that ran a model died"):
        forecasts(cases, [DYING], PLAN, Resources(jobs=2), quiet)


def test_a_model_that_fails_costs_its_own_forecasts_and_is_told() -> None:
    cases: list[Case] = [case("fails", 200, 1), case("breaks", 200, 2)]
    told: list[str] = []

    session = backtest(cases, Wanted(("Naive", FAILING), ()), PLAN, Resources(), told.append)

    assert np.isnan(session.made["fails", "Failing"].quantiles).all()
    assert np.isnan(session.made["breaks", "Failing"].quantiles).all()
    assert any("Failing on fails: ValueError('no')" in words for words in told)
    assert any("quantiles cross" in words for words in told)
    naive, failing = session.results.lines
    assert naive.relative.series == 2
    assert failing.relative.series == 0
