"""Other scalers' methods do what they publish: lines go on, days come again, noise is not forecast."""

from functools import partial

import numpy as np
import pytest

from benchmarks.forecasting.peers import crane, phpa
from benchmarks.forecasting.peers.plain_lstm import PlainLstm
from benchmarks.forecasting.report import PEERS, Share, beaten, document
from controlplane.forecast.backtest.driver import Resources
from controlplane.forecast.backtest.results import Line, Results
from controlplane.forecast.backtest.session import Wanted, backtest
from controlplane.forecast.lstm.settings import TINY
from controlplane.forecast.quantiles import usable
from controlplane.forecast.registry import COMBINED, forecaster
from controlplane.forecast.scores import Relative, Score
from controlplane.forecast.series import HOUR, MINUTE, FloatArray, Series, Window
from tests.unit.forecast_backtest.backtest_worlds import PLAN, case

EXAMPLE = [142.113944, 141.298431, 106.044174, 333.672509, 351.776239, 330.924931]
CALM = [111.250081, 98.200265, 85.81997, 138.57078, 116.824579, 66.361724]
"""Steps 1, 2, 3, 23, 25 and 30 by statsmodels 0.15."""

LIGHT = [name for name in PEERS if "lstm" not in name]


def daily(days: int, step: int = HOUR) -> FloatArray:
    times = np.arange(days * 24 * HOUR // step)
    return 100 + 50 * np.sin(2 * np.pi * times * step / (24 * HOUR))


def test_a_line_goes_on() -> None:
    values = np.concatenate([np.full(50, 9.0), 10 + 2.0 * np.arange(6)])

    np.testing.assert_allclose(phpa.line(Series("s", 0, HOUR, values), 3), [22, 24, 26])


def test_smoothing_repeats_a_perfect_day() -> None:
    values = daily(4)

    np.testing.assert_allclose(phpa.holt_winters(Series("s", 0, HOUR, values), 24), values[:24], atol=1e-6)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [(phpa.EXAMPLE, EXAMPLE), ((0.3, 0.1, 0.5), CALM)],
)
def test_smoothing_says_what_statsmodels_says(factors: phpa.Factors, expected: list[float]) -> None:
    places = np.arange(60.0)
    values = 100 + 50 * np.sin(places * 2 * np.pi / 24) + places * 7919 % 11

    told = phpa.holt_winters(Series("s", 0, HOUR, values), 30, factors)

    np.testing.assert_allclose(told[[0, 1, 2, 22, 24, 29]], expected, atol=1e-5)


def test_tuning_takes_what_was_the_least_off() -> None:
    values = np.repeat(daily(20), 2)  # every value twice: a line through two says nothing

    told = phpa.tuned(
        [partial(phpa.line, stored=2), phpa.holt_winters], Series("s", 0, HOUR // 2, values), 12
    )

    np.testing.assert_array_equal(told, phpa.holt_winters(Series("s", 0, HOUR // 2, values), 12))


def test_tuning_of_too_little_takes_the_first() -> None:
    series = Series("s", 0, HOUR, daily(1))

    told = phpa.tuned([phpa.line, phpa.holt_winters], series, 48)

    np.testing.assert_array_equal(told, phpa.line(series, 48))


def test_smoothing_of_less_than_two_days_is_the_last_value() -> None:
    assert (phpa.holt_winters(Series("s", 0, HOUR, daily(1)), 5) == daily(1)[-1]).all()


@pytest.mark.parametrize("step", [5 * MINUTE, HOUR])
def test_a_day_is_found_and_repeated_with_the_least_margin(step: int) -> None:
    series = Series("s", 0, step, daily(8, step))

    assert crane.fundamental(series.values, step) == series.day
    np.testing.assert_allclose(crane.dsp(series, series.day), 1.01 * series.values[: series.day], rtol=1e-6)


def test_a_week_is_found_where_days_differ() -> None:
    hours = np.arange(15 * 24)
    values = 100 + 50 * np.sin(2 * np.pi * hours / (7 * 24))

    assert crane.fundamental(values, HOUR) == 7 * 24


def test_a_period_that_is_neither_a_day_nor_a_week_is_none() -> None:
    hours = np.arange(14 * 24)

    assert crane.fundamental(100 + 50 * np.sin(2 * np.pi * hours / 12), HOUR) is None


def test_extreme_values_are_replaced_by_the_one_before() -> None:
    values = np.concatenate([np.tile([4.0, 6.0], 999), [5.0, 900.0]])

    np.testing.assert_array_equal(crane.without_outliers(values), [*values[:-1], 5.0])


def test_noise_is_not_forecast() -> None:
    values = np.random.default_rng(0).uniform(5, 15, 8 * 24)
    series = Series("s", 0, HOUR, values)

    assert crane.fundamental(values, HOUR) is None
    assert (crane.dsp(series, 7) == values[-1]).all()
    assert np.ptp(crane.dsp(series, 7, always=True)) > 1


def test_a_constant_is_not_periodic() -> None:
    assert crane.fundamental(np.full(200, 3.0), HOUR) is None


def test_too_little_is_a_greater_error_than_too_much() -> None:
    came = np.array([10.0, 10.0])

    assert crane.error(came, np.array([9.0, 9.0])) > crane.error(came, np.array([11.0, 11.0]))
    assert crane.error(np.array([0.0, 10.0]), np.array([1.0, 12.0])) == 1.5


@pytest.mark.parametrize("name", LIGHT)
def test_a_point_is_all_quantiles(name: str) -> None:
    window = Window(Series("s", 0, HOUR, daily(8)))

    answer = forecaster(name).fit([window], horizon=30, seed=0).forecast([window], 30)

    assert np.isfinite(answer).all()
    assert (np.ptp(answer, axis=-1) == 0).all()


def test_a_plain_lstm_learns_over_all_series_and_keeps_the_ports_promise() -> None:
    windows = [Window(case(name, 400, seed).series) for seed, name in enumerate("ab")]
    short = Window(case("c", 50, 3).series)

    fitted = PlainLstm(TINY).fit(windows, horizon=12, seed=0)
    answer = fitted.forecast([*windows, short], 12)

    assert all(usable(each) for each in answer[:2])
    assert np.isnan(answer[2]).all()
    np.testing.assert_array_equal(answer, fitted.forecast([*windows, short], 12))
    assert np.isnan(PlainLstm(TINY).fit([short], horizon=12, seed=0).forecast(windows, 12)).all()


def test_who_is_beaten_is_counted() -> None:
    told: list[str] = []

    session = backtest(
        [case("a", 400, 1), case("b", 400, 2)],
        Wanted((COMBINED, *LIGHT), ("Naive", "SeasonalNaive")),
        PLAN,
        Resources(),
        told.append,
    )

    assert beaten(session.results, "PhpaHoltWinters", 12) == Share(("a", "b"), ())
    found = document(session.results)["PhpaHoltWinters"]["12"]
    assert found["wql"] == found["mase"] == {"won": 2, "of": 2, "lost": []}
    assert found["relative_wql"]["mean"] > 1


def test_a_series_on_which_a_peer_is_better_is_named() -> None:
    def scored(wql: float) -> Score:
        return Score(wql, wql, wql, wql, (wql, wql, wql))

    def line(model: str, on_a: float, on_b: float) -> Line:
        by_series = {"a": scored(on_a), "b": scored(on_b)}
        none = Relative(1.0, 1.0, 1.0, 2)
        return Line(model, 12, none, by_series, {"a": on_a, "b": on_b}, (0.0, 0.0, 0.0, 0.0))

    found = Results((12,), (line(COMBINED, 1.0, 2.0), line("Peer", 1.5, 2.0)), {}, ())

    assert beaten(found, "Peer", 12) == Share(("a",), ("b",))
    assert beaten(found, "Peer", 12, "mase") == Share(("a",), ("b",))
