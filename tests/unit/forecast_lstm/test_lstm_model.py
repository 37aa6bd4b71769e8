"""The LSTM keeps the port's promises, learns, and serves series that it never saw."""

from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast.lstm.model import FittedLstm, Lstm
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.quantiles import LEVELS, MEDIAN, usable
from controlplane.forecast.series import FloatArray, Window


def with_values(window: Window, values: FloatArray, upper: float | None = None) -> Window:
    return replace(window, series=replace(window.series, values=values, upper=upper))


def test_it_forecasts_an_unseen_series_in_any_unit(fitted: FittedLstm, waves: list[Window]) -> None:
    known = waves[1].series.values
    unseen = with_values(waves[0], 1e-3 * np.roll(known, 5))
    cut = replace(unseen, series=unseen.series.until(400))

    told = fitted.forecast([cut], 12)[0]

    came = unseen.series.values[400:412]
    assert usable(told)
    assert np.abs(told[:, MEDIAN] - came).mean() < 0.1 * np.ptp(unseen.series.values)
    assert (told[:, 0] < came).mean() > 0.7
    assert (came < told[:, -1]).mean() > 0.7


def test_shapes_bounds_and_order_hold_for_odd_series(fitted: FittedLstm, waves: list[Window]) -> None:
    values = waves[1].series.values
    gaps = np.where(np.random.default_rng(0).random(len(values)) < 0.6, np.nan, values)
    odd = {
        "constant": np.full(200, 7.0),
        "zeros": np.zeros(200),
        "gaps": gaps,
        "ends in a gap": np.concatenate([values[:300], np.full(40, np.nan)]),
        "short": values[:24],
        "one spike": np.concatenate([np.zeros(150), [1e9], np.zeros(20)]),
        "tiny": values * 1e-12,
        "huge": values * 1e15,
    }

    told = fitted.forecast([with_values(waves[0], one) for one in odd.values()], 12)

    for name, one, series in zip(odd, told, odd.values(), strict=True):
        assert usable(one), name
        assert one.min() >= 0, name
        assert one.max() <= 3 * np.nanmax(series), name


def test_what_it_cannot_forecast_is_nan_throughout(fitted: FittedLstm, waves: list[Window]) -> None:
    told = fitted.forecast([with_values(waves[0], np.full(100, np.nan)), waves[1], wave_of(3)], 12)

    assert np.isnan(told[0]).all()
    assert usable(told[1])
    assert np.isnan(told[2]).all()


def wave_of(length: int) -> Window:
    from tests.unit.forecast_lstm.conftest import wave

    return wave("short", length)


def test_nothing_is_above_the_upper_bound(fitted: FittedLstm, waves: list[Window]) -> None:
    full = with_values(waves[0], np.minimum(waves[1].series.values * 1.4, 100.0), upper=100.0)

    told = fitted.forecast([full], 12)

    assert usable(told)
    assert told.max() <= 100.0


def test_the_horizon_may_be_shorter_or_longer_than_what_was_learned(
    fitted: FittedLstm, waves: list[Window]
) -> None:
    assert fitted.forecast(waves, 3).shape == (3, 3, len(LEVELS))
    assert usable(fitted.forecast(waves, 30))


def test_a_forecast_does_not_depend_on_its_company(fitted: FittedLstm, waves: list[Window]) -> None:
    together = fitted.forecast([*waves, waves[1]], 12)

    np.testing.assert_allclose(together[1], fitted.forecast([waves[1]], 12)[0], rtol=1e-4)
    np.testing.assert_allclose(together[1], together[3], rtol=1e-4)


def test_the_seed_decides_everything(tiny: Lstm, waves: list[Window], fitted: FittedLstm) -> None:
    again = tiny.fit(waves, horizon=12, seed=7)

    np.testing.assert_array_equal(fitted.forecast(waves, 12), again.forecast(waves, 12))


def test_several_networks_are_averaged(waves: list[Window]) -> None:
    settings = Settings(units=4, width=8, seeds=2, per_series=40, epochs=1, batch=32)
    said: list[float] = []

    fitted = Lstm(settings).fit(
        waves, horizon=6, seed=1, told=lambda share, activity: said.append(share) if activity else None
    )

    one, two = (replace(fitted, networks=(each,)).forecast(waves, 6) for each in fitted.networks)
    both = fitted.forecast(waves, 6)
    assert (one != two).all()
    assert (np.minimum(one, two) - 1e-6 * both <= both).all()
    assert (both <= np.maximum(one, two) + 1e-6 * both).all()
    assert said == [0.5, 1.0]


@pytest.mark.parametrize("length", [0, 3, 12])
def test_too_little_to_learn_from_is_no_error(tiny: Lstm, length: int, waves: list[Window]) -> None:
    fitted = tiny.fit([wave_of(length)] if length else [], horizon=12, seed=0)

    assert np.isnan(fitted.forecast(waves, 12)).all()


def test_it_never_looks_beyond_a_window_end(tiny: Lstm, waves: list[Window], fitted: FittedLstm) -> None:
    cut = [replace(each, series=each.series.until(300)) for each in waves]
    poisoned = [
        with_values(each, np.concatenate([each.series.values[:300], np.full(100, 1e12)])).series.until(300)
        for each in waves
    ]

    told = fitted.forecast([replace(each, series=one) for each, one in zip(cut, poisoned, strict=True)], 12)

    np.testing.assert_array_equal(fitted.forecast(cut, 12), told)
