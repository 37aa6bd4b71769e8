"""What is left out is left out, and nothing else; the whole is what the backtest makes."""

from dataclasses import asdict, replace

import numpy as np

from benchmarks.forecasting.ablation import networks, pool
from benchmarks.forecasting.ablation.__main__ import compared, document
from controlplane.forecast.backtest.driver import Resources, forecasts
from controlplane.forecast.backtest.session import Wanted, backtest
from controlplane.forecast.lstm.settings import TINY, Settings
from controlplane.forecast.quantiles import usable
from controlplane.forecast.registry import COMBINED, LIGHT, NAMES
from controlplane.forecast.rules import RULES, SEASONAL
from controlplane.forecast.series import HOUR, MINUTE, Window
from tests.unit.forecast_backtest.backtest_worlds import PLAN, case

MEMBERS = ("Naive", "SeasonalNaive", "Theta")
CASES = [case("a", 400, 1), case("b", 400, 2)]


def silent(words: str) -> None:
    del words


def test_each_variant_lacks_what_its_name_says() -> None:
    wanted = {variant.name: variant for variant in pool.variants(NAMES)}

    assert next(iter(wanted)) == pool.WHOLE
    assert wanted[pool.WHOLE] == pool.Variant(pool.WHOLE, NAMES, RULES)
    assert set(NAMES) - set(wanted["without MSTL and Theta"].members) == {"MSTL", "Theta"}
    assert wanted["models of numpy alone"].members == tuple(LIGHT)
    assert len({(each.members, each.rules) for each in wanted.values()}) == len(wanted)


def test_nobody_is_left_out_who_was_not_there() -> None:
    names = {variant.name for variant in pool.variants(MEMBERS)}

    assert "without Theta" in names
    assert not {"without LSTM", "without MSTL and Theta", "models of numpy alone"} & names


def test_the_whole_is_what_the_backtest_makes_and_variants_are_compared_with_it() -> None:
    session = backtest(CASES, Wanted((COMBINED,), MEMBERS), PLAN, Resources(), silent)
    found = forecasts(CASES, MEMBERS, PLAN, Resources(), silent)
    wanted = pool.variants(MEMBERS)

    made = {**found, **pool.pooled(CASES, PLAN, wanted, found)}
    cells = compared(CASES, PLAN, [variant.name for variant in wanted], made)

    for each in CASES:
        np.testing.assert_array_equal(
            made[each.series.id, pool.WHOLE].quantiles, session.made[each.series.id, COMBINED].quantiles
        )
    lines = [line.relative for line in session.results.lines if line.model == COMBINED]
    assert [cell.naive for cell in cells[pool.WHOLE]] == lines
    assert all(cell.whole.mean == 1.0 for cell in cells[pool.WHOLE])
    assert cells["without Theta"][0].whole.mean > 1.0
    assert set(document(cells, PLAN)["equal weights"]) == {"12"}
    assert made["a", SEASONAL] is found["a", SEASONAL]


def test_without_any_calibration_one_member_is_left_as_it_is() -> None:
    found = forecasts(CASES, (SEASONAL,), PLAN, Resources(), silent)
    alone = pool.Variant("alone", (SEASONAL,), replace(pool.UNCALIBRATED, stretched=False))

    made = pool.pooled(CASES, PLAN, [alone], found)

    for each in CASES:
        told, member = made[each.series.id, "alone"].quantiles, found[each.series.id, SEASONAL].quantiles
        np.testing.assert_allclose(told, member[-PLAN.origins :], rtol=5e-3)


def test_networks_differ_by_one_setting() -> None:
    changes = (networks.no_gate, networks.other_ridge, networks.other_mixtures, networks.alike)
    for step in (5 * MINUTE, HOUR):
        kept = networks.settings(step)
        for change in changes:
            before, after = asdict(kept), asdict(change(kept))
            assert sum(before[name] != after[name] for name in before) == 1
        assert networks.one_seed(kept) == replace(Settings(), seeds=1).on(step)


def test_the_table_says_which_way_round_a_network_is() -> None:
    kept = networks.settings(HOUR)

    names = list(networks.models(HOUR))

    assert names[0] == networks.REFERENCE
    assert f"{'without' if kept.ridge else 'with'} ridges among the candidates" in names


def test_a_changed_network_learns_over_all_series_and_keeps_the_ports_promise() -> None:
    windows = [Window(each.series) for each in CASES]
    variant = networks.Variant("small", lambda kept: networks.no_gate(replace(TINY, ridge=kept.ridge)))

    answer = variant.fit(windows, horizon=12, seed=0).forecast(windows, 12)

    assert variant.learns_over_all
    assert all(usable(each) for each in answer)
