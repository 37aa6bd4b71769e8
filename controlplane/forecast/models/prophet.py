"""Prophet (Taylor & Letham 2018) in logarithms, with events and stated peaks; its level follows new data.

The registry makes it; only the worker imports it. `fit` is dear: it runs Stan once a series. `forecast`
never does: it takes the coefficients that were learned, and follows the level and measures errors as the
other models do (see `correction`), since Prophet's own bands are too narrow. Trends are not carried on:
they are the level's.
"""

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from controlplane.forecast.gaps import known, whole
from controlplane.forecast.models import prophet_inputs as inputs
from controlplane.forecast.models.correction import Scale, around, scales, steady
from controlplane.forecast.models.local import each
from controlplane.forecast.port import Told, silent
from controlplane.forecast.series import MINUTE, FloatArray, Series, Window

# It says on import that it lacks plotly, which it would draw with.
logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its own dependencies say to each other is not ours to mend
    import pandas as pd
    from prophet import Prophet

# They tell of each run that it started and ended, and put up a handler of their own where there is none.
for _name in ("cmdstanpy", "prophet"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).setLevel(logging.ERROR)
    logging.getLogger(_name).propagate = False

COARSE_SECONDS = 15 * MINUTE
"""Finer grids are learned from at this step: its seasons are smooth, and Stan's time grows with the rows."""

PRIOR = 0.5
"""How freely events and covariates may move demand, relative to the greatest distance from the mean."""


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    """The coefficients of one series, on the scale of logarithms.

    Attributes:
        scale: The scale.
        level: What demand is without season or event.
        cycles: The seasons and their coefficients.
        effects: The coefficients of events and covariates by column; and what a covariate is divided by.
    """

    scale: Scale
    level: float
    cycles: tuple[tuple[inputs.Cycle, FloatArray], ...]
    effects: Mapping[str, tuple[float, float]]

    def usual(self, window: Window, series: Series, horizon: int) -> FloatArray:
        """Answer what is usual, shape (n + horizon,), on the scale."""
        times = inputs.middles(series.times(horizon), series.step_seconds)
        told = np.full(len(times), self.level)
        for cycle, weights in self.cycles:
            told += inputs.waves(times, cycle) @ weights
        for name, column in inputs.columns(window, horizon).items():
            weight, size = self.effects.get(name, (0.0, 1.0))
            told += weight * _sized(name, column[-len(times) :], size)
        return told


def _sized(name: str, column: FloatArray, size: float) -> FloatArray:
    """Answer a covariate relative to its size, on the scale of logarithms; an event's share as it is."""
    return np.log1p(np.maximum(column, 0.0) / size) if name.startswith("covariate") else column


def _table(window: Window, series: Series, scale: Scale) -> tuple["pd.DataFrame", dict[str, float], float]:
    """Answer the rows that Prophet learns from, the size of each column that says something, and the mean."""
    size = max(1, COARSE_SECONDS // series.step_seconds)
    values = inputs.grouped(scale.into(np.maximum(series.values, 0.0)), size)
    middles = inputs.grouped(inputs.middles(series.times(), series.step_seconds), size)
    mean = float(values.mean())
    rows: dict[str, Any] = {"ds": pd.to_datetime(middles, unit="s"), "y": values - mean}
    sizes = {}
    for name, column in inputs.columns(window, 0).items():
        here = column[-len(series) :]
        greatness = float(np.mean(np.abs(here))) if name.startswith("covariate") else 1.0
        # A column that never moved has nothing to learn from; its effect stays nought.
        if greatness > 0 and np.ptp(here) > 0:
            sizes[name] = greatness
            rows[name] = inputs.grouped(_sized(name, here, greatness), size)
    return pd.DataFrame(rows), sizes, mean


def _learn(window: Window, seed: int) -> _Learned | None:
    """Run Prophet on one series; None where it saw less than a day, or Stan finds no answer."""
    series = whole(window.series)
    if len(series) < max(2, series.day):
        return None
    scale = scales(series.values)[1]
    table, sizes, mean = _table(window, series, scale)
    told = inputs.cycles(Window(series))
    model = _run(table, told, sizes, seed)
    if model is None:
        return None
    height = float(model.y_scale)
    weights = np.asarray(model.params["beta"], dtype=np.float64)[0] * height
    cycles, at = [], 0
    for cycle in told:
        cycles.append((cycle, weights[at : at + 2 * cycle[2]]))
        at += 2 * cycle[2]
    effects = {
        name: (float(weight), size)
        for (name, size), weight in zip(sizes.items(), weights[at : at + len(sizes)], strict=True)
    }
    level = mean + float(np.asarray(model.params["m"]).reshape(-1)[0]) * height
    return _Learned(scale, level, tuple(cycles), effects)


def _run(
    table: "pd.DataFrame", told: Sequence[inputs.Cycle], names: Mapping[str, float], seed: int
) -> Any | None:
    """Let Stan find the coefficients; None where it fails."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="prophet-") as folder:
        warnings.simplefilter("ignore")  # pandas warns of how Prophet calls it
        model = Prophet(
            growth="flat", daily_seasonality=False, weekly_seasonality=False, yearly_seasonality=False,
            uncertainty_samples=0,
        )  # fmt: skip
        for name, period, order in told:
            model.add_seasonality(name, period, order)
        for name in names:
            model.add_regressor(name, prior_scale=PRIOR, standardize=False)
        try:
            # Its files go with the folder; left to itself it keeps them until the process ends.
            model.fit(table, seed=seed, output_dir=folder)
        except (RuntimeError, ValueError):
            return None
    return model


@dataclass(frozen=True, slots=True, eq=False)
class FittedProphet:
    """Coefficients by the series' ids, and the seed for series that are not among them."""

    learned: Mapping[str, _Learned]
    seed: int

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port. A series that was not learned is learned first, which is dear."""
        return each(self._rule, windows, horizon, ProphetModel.needs)

    def _rule(self, window: Window, horizon: int) -> FloatArray | None:
        """Forecast one series."""
        series = whole(window.series)
        learned = self.learned.get(series.id) or _learn(window, self.seed)
        if learned is None:
            return None
        measured = np.isfinite(window.series.values[-len(series) :]).astype(np.float64)  # noqa: PD011 - no pandas
        usual = learned.usual(window, series, horizon)
        ideas = [steady(learned.scale, usual), steady(Scale(None), learned.scale.back(usual))]
        return around(series.values, measured, series.day, horizon, ideas)


class ProphetModel:
    """The model. It answers NaN before a whole day was seen; `needs` is the least that any grid asks for.

    Give it the history as it was measured together with its events, or a history that events were taken out
    of, without events: not both, or they count twice.
    """

    name = "Prophet"
    needs = 2

    def fit(
        self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent
    ) -> FittedProphet:
        """Learn each series by itself; see the port."""
        del horizon
        learned = {}
        for done, window in enumerate(windows, start=1):
            one = _learn(window, seed) if known(window.series) else None
            if one:
                learned[window.series.id] = one
            told(done / len(windows), f"learned {done} of {len(windows)} series")
        return FittedProphet(learned, seed)
