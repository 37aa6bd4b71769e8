"""What every forecasting model keeps to: one function for each rule of the port, run over any model.

`test_our_forecasters` runs them over the models of the registry, `test_wrong_forecasters` over models that
break one each. A rule asks a `Subject`, so that a global model learns once and not for each rule. It raises
AssertionError and nothing else; that a model itself fails is its own error.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from controlplane.forecast.port import Fitted, Forecaster
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import HOUR, FloatArray, Window
from tests.conformance.forecasters.demand_samples import (
    HORIZON,
    demand,
    odd_cases,
    plain_cases,
    sale,
    training,
    unmeasured,
    window,
)

SEED = 11


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        model: The model.
        learns_over_all: It learns over all series, and forecasts series that it never saw.
        pickles: What it learned can be pickled.
        tolerance: Relative difference that the order of sums may make.
        learned: What a global model learned, by grid step.
    """

    model: Forecaster
    learns_over_all: bool = False
    pickles: bool = True
    tolerance: float = 0.0
    learned: dict[int, Fitted] = field(default_factory=dict)

    def fitted(self, windows: Sequence[Window]) -> Fitted:
        """Learn from windows; a global model from the training windows of their grid, once."""
        if not self.learns_over_all:
            return self.model.fit(windows, horizon=HORIZON, seed=SEED)
        step = windows[0].series.step_seconds if windows else HOUR
        if step not in self.learned:
            self.learned[step] = self.model.fit(training(step), horizon=HORIZON, seed=SEED)
        return self.learned[step]

    def forecast(self, windows: Sequence[Window], horizon: int = HORIZON) -> FloatArray:
        """Learn from windows and forecast them."""
        return self.fitted(windows).forecast(windows, horizon)

    def same(self, one: FloatArray, other: FloatArray) -> bool:
        """Say whether two forecasts are the same, up to the order of sums; NaN is NaN."""
        return bool(np.allclose(one, other, rtol=self.tolerance, atol=self.tolerance, equal_nan=True))


def answers_have_the_shape(subject: Subject) -> None:
    """It answers series by steps by levels, for any horizon up to the furthest, as float64."""
    windows = [window(demand(HOUR, 21, seed), name=f"s{seed}") for seed in range(3)]
    for horizon in (1, 7, HORIZON):
        told = subject.forecast(windows, horizon)
        assert told.shape == (3, horizon, len(LEVELS)), f"{told.shape} for {horizon} steps"
        assert told.dtype == np.float64, told.dtype


def no_windows_have_no_forecasts(subject: Subject) -> None:
    """It learns from nothing and forecasts nothing without failing."""
    assert subject.fitted([]).forecast([], HORIZON).shape == (0, HORIZON, len(LEVELS))
    subject.model.fit([], horizon=HORIZON, seed=SEED)


def enough_history_is_forecast(subject: Subject) -> None:
    """It does not decline a series with weeks of history, gaps or not."""
    for name, one in plain_cases().items():
        assert np.isfinite(subject.forecast([one])).all(), name


def nothing_measured_is_not_forecast(subject: Subject) -> None:
    """It does not make up demand where nothing was measured, nor from fewer values than it needs."""
    few = np.full(24 * 21, np.nan)
    few[-subject.model.needs :] = 5.0
    few[-1] = np.nan
    for one in (unmeasured(), window(few)):
        assert np.isnan(subject.forecast([one])).all()


def forecasts_are_whole(subject: Subject) -> None:
    """A forecast is finite throughout or NaN throughout, whatever demand looks like."""
    for name, told in _all_cases(subject).items():
        assert np.isfinite(told).all() or np.isnan(told).all(), name


def quantiles_never_cross(subject: Subject) -> None:
    """No quantile is below one of a lower level."""
    for name, told in _all_cases(subject).items():
        assert not (np.diff(told, axis=-1) < 0).any(), name


def forecasts_are_never_negative(subject: Subject) -> None:
    """No quantile is below 0."""
    for name, told in _all_cases(subject).items():
        assert not (told < 0).any(), name


def forecasts_keep_to_the_bound(subject: Subject) -> None:
    """No quantile is above what the signal can reach."""
    for seed in range(3):
        bounded = window(np.minimum(demand(HOUR, 21, seed, level=90.0), 100.0), upper=100.0)
        assert not (subject.forecast([bounded]) > 100.0).any()


def forecasts_are_of_the_size_of_demand(subject: Subject) -> None:
    """The median of steady demand is near it, in any unit; of constant demand it is that demand."""
    for level in (1e-6, 1.0, 1e9):
        steady = level * (100 + np.random.default_rng(3).normal(0, 1, 24 * 21))
        told = subject.forecast([window(steady)])[0, :, 6] / (100 * level)
        assert (np.abs(told - 1) < 0.2).all(), f"at {level}: {told}"


def the_future_is_not_seen(subject: Subject) -> None:
    """What lies behind the end of a window changes nothing, nor does what is planned far ahead."""
    values = demand(HOUR, 30, 5)
    end = 24 * 21
    other = values.copy()
    other[end:] = 1e6
    one, two = window(values), window(other)
    before = [replace(each, series=each.series.until(end)) for each in (one, two)]
    planned = replace(before[0], events=(sale(40),))
    first, second, third = (subject.forecast([each]) for each in (*before, planned))
    assert subject.same(first, second), "values after the end"
    assert subject.same(first, third), "an event after the horizon"


def the_past_is_seen(subject: Subject) -> None:
    """Another past makes another forecast: the answer is not made up."""
    one, two = (window(demand(HOUR, 21, seed, level=10.0**seed)) for seed in (1, 2))
    assert not np.allclose(subject.forecast([one]), subject.forecast([two]), rtol=1e-3)


def company_changes_nothing(subject: Subject) -> None:
    """A series is forecast the same alone, among others and in another order."""
    windows = [window(demand(HOUR, 21, seed, level=10.0**seed), name=f"s{seed}") for seed in range(4)]
    alone = subject.forecast(windows[:1])
    among, turned = subject.forecast(windows), subject.forecast(windows[::-1])
    assert subject.same(alone[0], among[0]), "among others"
    assert subject.same(among, turned[::-1]), "in another order"


def a_seed_makes_it_again(subject: Subject) -> None:
    """Learning twice with one seed, and forecasting twice, gives the same forecast."""
    windows = [window(demand(HOUR, 21, seed), name=f"s{seed}") for seed in range(2)]
    source = training(HOUR) if subject.learns_over_all else windows
    fitted = [subject.model.fit(source, horizon=HORIZON, seed=SEED) for _ in range(2)]
    once = fitted[0].forecast(windows, HORIZON)
    assert subject.same(once, fitted[0].forecast(windows, HORIZON)), "forecast twice"
    assert subject.same(once, fitted[1].forecast(windows, HORIZON)), "learned twice"


def new_data_and_new_series_are_taken(subject: Subject) -> None:
    """What was learned forecasts from later data, and series that it has not seen, without learning again."""
    values = demand(HOUR, 28, 6)
    fitted = subject.fitted([window(values[: 24 * 21])])
    later = window(values)
    told = fitted.forecast(
        [later, window(values[: 24 * 21]), window(demand(HOUR, 21, 7), name="new")], HORIZON
    )
    assert np.isfinite(told[:2]).all()
    assert not np.allclose(told[0], told[1]), "later data change nothing"
    assert np.isfinite(told[2]).all() or np.isnan(told[2]).all()


def what_was_learned_can_be_pickled(subject: Subject) -> None:
    """It comes back from pickle as it was, unless the model says that it does not."""
    if not subject.pickles:
        return
    windows = [window(demand(HOUR, 21, 1))]
    fitted = subject.fitted(windows)
    try:
        copy: Fitted = pickle.loads(pickle.dumps(fitted))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"cannot be pickled: {error}") from error
    assert subject.same(copy.forecast(windows, HORIZON), fitted.forecast(windows, HORIZON))


def _all_cases(subject: Subject) -> Mapping[str, FloatArray]:
    """Forecast every case, each by itself."""
    return {name: subject.forecast([one]) for name, one in (plain_cases() | odd_cases()).items()}


RULES: tuple[Callable[[Subject], None], ...] = (
    answers_have_the_shape,
    no_windows_have_no_forecasts,
    enough_history_is_forecast,
    nothing_measured_is_not_forecast,
    forecasts_are_whole,
    quantiles_never_cross,
    forecasts_are_never_negative,
    forecasts_keep_to_the_bound,
    forecasts_are_of_the_size_of_demand,
    the_future_is_not_seen,
    the_past_is_seen,
    company_changes_nothing,
    a_seed_makes_it_again,
    new_data_and_new_series_are_taken,
    what_was_learned_can_be_pickled,
)
