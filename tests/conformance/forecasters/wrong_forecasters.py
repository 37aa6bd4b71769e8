"""A model that keeps to every rule of the port, and for each rule one that breaks it, no more than it must.

`test_wrong_forecasters` shows with them that the suite sees what it is there for. They are as simple as can
be: none is meant to forecast well.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Window

_COUNT = itertools.count()


@dataclass(frozen=True)
class RightFitted:
    """Spreads the newest day around its median; what is wrong with it is done to the answer by `spoil`."""

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port."""
        told = np.full((len(windows), horizon, len(LEVELS)), np.nan)
        for answer, window in zip(told, windows, strict=True):
            values = window.series.values
            measured = values[np.isfinite(values)][-window.series.day :]
            if measured.size:
                answer[:] = np.quantile(measured, LEVELS)
        return self.spoil(told, windows)

    def spoil(self, told: FloatArray, windows: Sequence[Window]) -> FloatArray:
        """Answer what was told as it is."""
        del windows
        return told


class Right:
    """A model that breaks no rule."""

    name = "Right"
    needs = 1
    kind: type[RightFitted] = RightFitted

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> RightFitted:
        """Learn nothing."""
        del windows, horizon, seed, told
        return self.kind()


def _wrong(name: str, spoil: Callable[[FloatArray, Sequence[Window]], FloatArray]) -> type[Right]:
    """Make a model whose answers are spoiled."""
    fitted = type(f"{name}Fitted", (RightFitted,), {"spoil": lambda _, told, windows: spoil(told, windows)})
    # Pickle finds a class by its name in its module.
    globals()[f"{name}Fitted"] = fitted
    fitted.__module__ = __name__
    return type(name, (Right,), {"name": name, "kind": fitted})


def _cut(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told[:, :, :-1]


def _single(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told.astype(np.float32)


def _flat_when_empty(told: FloatArray, windows: Sequence[Window]) -> FloatArray:
    return told if windows else np.zeros(0)


def _nothing(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return np.full_like(told, np.nan)


def _nothing_with_gaps(told: FloatArray, windows: Sequence[Window]) -> FloatArray:
    gaps = [not np.isfinite(window.series.values).all() for window in windows]
    return np.where(np.array(gaps, dtype=bool)[:, None, None], np.nan, told)


def _zero_for_nothing(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return np.nan_to_num(told)


def _partly(told: FloatArray, windows: Sequence[Window]) -> FloatArray:
    short = [len(window.series) == 3 for window in windows]
    return np.where(np.array(short, dtype=bool)[:, None, None] & (LEVELS > 0.9), np.nan, told)


def _single_overflow(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    with np.errstate(over="ignore"):
        return np.where(np.abs(told) > np.finfo(np.float32).max, np.inf, told)


def _crossing(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told[:, :, [*range(5), 6, 5, *range(7, len(LEVELS))]]


def _negative(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told - np.nanmax(told, initial=0.0) / 2


def _unbounded(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told * np.linspace(1.0, 1.2, len(LEVELS))


def _of_one_unit(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told + 1.0


def _looking_ahead(told: FloatArray, windows: Sequence[Window]) -> FloatArray:
    whole = [window.series.values.base for window in windows]
    last = [0.0 if array is None else float(np.asarray(array)[-1]) for array in whole]
    raised: FloatArray = told + np.nan_to_num(np.array(last))[:, None, None]
    return raised


def _looking_at_events(told: FloatArray, windows: Sequence[Window]) -> FloatArray:
    factors = [2.0 if window.events else 1.0 for window in windows]
    raised: FloatArray = told * np.array(factors)[:, None, None]
    return raised


def _made_up(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return np.where(np.isfinite(told), np.linspace(1.0, 2.0, len(LEVELS)), told)


def _in_company(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return np.broadcast_to(told.mean(axis=0), told.shape) if len(told) else told


def _by_place(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told * (1 + np.arange(len(told)))[:, None, None]


def _ever_new(told: FloatArray, _: Sequence[Window]) -> FloatArray:
    return told * (1 + next(_COUNT) / 1e6)


class Forgetful(Right):
    """Forecasts from what it learned and sees no newer data."""

    name = "Forgetful"

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> RightFitted:
        """Keep the windows by the series' ids."""
        del horizon, seed, told
        return _ForgetfulFitted({window.series.id: window for window in windows})


@dataclass(frozen=True)
class _ForgetfulFitted(RightFitted):
    seen: dict[str, Window]

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        return super().forecast([self.seen.get(window.series.id, window) for window in windows], horizon)


class Unpicklable(Right):
    """Keeps a function that pickle cannot find again."""

    name = "Unpicklable"

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> RightFitted:
        """Keep it."""
        del windows, horizon, seed, told
        return _UnpicklableFitted(lambda values: values)


@dataclass(frozen=True)
class _UnpicklableFitted(RightFitted):
    kept: Callable[[FloatArray], FloatArray]


WRONG: tuple[tuple[str, type[Right]], ...] = (
    ("answers_have_the_shape", _wrong("Cut", _cut)),
    ("answers_have_the_shape", _wrong("Single", _single)),
    ("no_windows_have_no_forecasts", _wrong("FlatWhenEmpty", _flat_when_empty)),
    ("enough_history_is_forecast", _wrong("Nothing", _nothing)),
    ("enough_history_is_forecast", _wrong("NothingWithGaps", _nothing_with_gaps)),
    ("nothing_measured_is_not_forecast", _wrong("ZeroForNothing", _zero_for_nothing)),
    ("forecasts_are_whole", _wrong("Partly", _partly)),
    ("forecasts_are_whole", _wrong("SingleOverflow", _single_overflow)),
    ("quantiles_never_cross", _wrong("Crossing", _crossing)),
    ("forecasts_are_never_negative", _wrong("Negative", _negative)),
    ("forecasts_keep_to_the_bound", _wrong("Unbounded", _unbounded)),
    ("forecasts_are_of_the_size_of_demand", _wrong("OfOneUnit", _of_one_unit)),
    ("the_future_is_not_seen", _wrong("LookingAhead", _looking_ahead)),
    ("the_future_is_not_seen", _wrong("LookingAtEvents", _looking_at_events)),
    ("the_past_is_seen", _wrong("MadeUp", _made_up)),
    ("company_changes_nothing", _wrong("InCompany", _in_company)),
    ("company_changes_nothing", _wrong("ByPlace", _by_place)),
    ("a_seed_makes_it_again", _wrong("EverNew", _ever_new)),
    ("new_data_and_new_series_are_taken", Forgetful),
    ("what_was_learned_can_be_pickled", Unpicklable),
)
"""The rule that is broken, and the model that breaks it."""
