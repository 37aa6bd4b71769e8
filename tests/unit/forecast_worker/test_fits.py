"""Whose turn it is to learn: the oldest first, within the budget, and again once a fit has grown old."""

from collections.abc import Sequence

import numpy as np

from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import HOUR, FloatArray, Series, Window
from controlplane.forecast.worker.fits import Fits


class _Flat:
    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        return np.zeros((len(windows), horizon, len(LEVELS)))


class _Slow:
    """A model that takes a second of its clock to fit, and notes whom it fitted."""

    name = "Slow"
    needs = 1

    def __init__(self) -> None:
        self.now = 0.0
        self.fitted: list[str] = []

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> _Flat:
        del horizon, seed, told
        self.now += 1.0
        self.fitted.append(windows[0].series.id)
        if windows[0].series.id == "bad":
            raise ValueError("singular")
        return _Flat()


def _windows(*names: str, length: int = 3) -> list[Window]:
    return [Window(Series(name, 0, 300, np.ones(length))) for name in names]


def _fits(model: _Slow, *, lasting: bool = False) -> Fits:
    return Fits(horizon=4, seed=1, monotonic=lambda: model.now, lasting=lasting)


def test_a_budget_is_kept_and_the_rest_is_fitted_the_next_time() -> None:
    model = _Slow()
    fits = _fits(model)

    assert fits.refresh({"Slow": model}, _windows("a", "b", "c"), 2.0) == 1
    assert model.fitted == ["a", "b"]
    assert fits.refresh({"Slow": model}, _windows("a", "b", "c"), 2.0) == 0
    assert model.fitted == ["a", "b", "c"]


def test_a_fit_is_used_until_it_is_six_hours_old() -> None:
    model = _Slow()
    fits = _fits(model)
    fits.refresh({"Slow": model}, _windows("a", length=1), 9.0)

    fits.refresh({"Slow": model}, _windows("a", length=6 * HOUR // 300), 9.0)
    assert model.fitted == ["a"]
    fits.refresh({"Slow": model}, _windows("a", length=6 * HOUR // 300 + 1), 9.0)
    assert model.fitted == ["a", "a"]


def test_lasting_fits_are_made_once() -> None:
    model = _Slow()
    fits = _fits(model, lasting=True)
    for length in (1, 100, 1000):
        fits.refresh({"Slow": model}, _windows("a", length=length), 9.0)

    assert model.fitted == ["a"]


def test_a_series_on_which_a_model_fails_costs_that_one_alone() -> None:
    model = _Slow()
    fits = _fits(model)
    windows = _windows("bad", "good")

    assert fits.refresh({"Slow": model}, windows, 9.0) == 0

    assert fits.fit_of("Slow", windows[0]) is None
    assert fits.fit_of("Slow", windows[1]) is not None
    assert fits.failures == {"Slow": "bad: ValueError: singular"}


def test_series_that_are_gone_are_forgotten() -> None:
    model = _Slow()
    fits = _fits(model)
    windows = _windows("a", "b")
    fits.refresh({"Slow": model}, windows, 9.0)

    fits.keep(windows[1:])

    assert fits.fit_of("Slow", windows[0]) is None
    assert fits.fit_of("Slow", windows[1]) is not None
