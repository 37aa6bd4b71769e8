"""Boosted trees over all series at once, around the ridge of each.

The worker runs it; an API process never imports LightGBM. The trees see what the LSTM sees, and learn by how
much and in which direction the ridge is off, in its own scale: so they serve series that they never saw. It
never teaches them with a ridge that had seen the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import lightgbm
import numpy as np

from controlplane.forecast.features.candidates import candidates
from controlplane.forecast.features.compression import Scale, scale_of
from controlplane.forecast.features.covariates import covariates
from controlplane.forecast.features.track import Track
from controlplane.forecast.models.boosting_rows import Placed, cold, inputs, joined, rows_of, warm
from controlplane.forecast.models.boosting_trees import ask, grow
from controlplane.forecast.models.ridge import REACH, FittedRidge, Learned, learn, recent
from controlplane.forecast.port import Fitted, Told, silent
from controlplane.forecast.quantiles import LEVELS, bounded, ordered
from controlplane.forecast.series import DAY, FloatArray, Series, Window

ROWS = 60_000
"""About how many rows are learned from, over all series."""

MOST = 7_000
"""The most rows of one series."""

NEEDS = 3
"""The fewest values it forecasts from."""

FRESH = DAY
"""A ridge older than this, beside the window's end, is learned anew."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedBoosting:
    """What was learned. Can be pickled.

    Attributes:
        boosters: One for each of `LEVELS`; none where there was nothing to learn from.
        ridges: By the id of their series.
        horizon: The furthest step ahead.
    """

    boosters: tuple[lightgbm.Booster, ...]
    ridges: Mapping[str, Learned]
    horizon: int

    @property
    def stands_on(self) -> str:
        """The model whose fits it takes as centre."""
        return "Ridge"

    def standing(self, fits: Sequence[Fitted]) -> "FittedBoosting":
        """Answer itself around ridges that were learned meanwhile; fits of other models are left out."""
        ridges = {
            name: one for fit in fits if isinstance(fit, FittedRidge) for name, one in fit.learned.items()
        }
        return replace(self, ridges={**self.ridges, **ridges})

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port."""
        answers = np.full((len(windows), horizon, len(LEVELS)), np.nan)
        asked = [place for place, window in enumerate(windows) if _measured(window.series) >= NEEDS]
        if not self.boosters or not asked:
            return answers
        prepared = [self._prepare(windows[place], horizon) for place in asked]
        features = np.concatenate([features for features, _, _ in prepared])
        told = np.sinh(ask(self.boosters, features)).reshape(len(asked), horizon, len(LEVELS))
        for place, (_, placed, scale), one in zip(asked, prepared, told, strict=True):
            quantiles = placed.centre[0][:, None] + placed.scale[0][:, None] * one
            series = windows[place].series
            answers[place] = bounded(ordered(scale.back(quantiles)), 0.0, _upper(series))
        return answers

    def _prepare(self, window: Window, horizon: int) -> tuple[FloatArray, Placed, Scale]:
        """Answer what the trees see of a window, shape (horizon, n columns), its place and its scale."""
        series = recent(window.series)
        cut = len(window.series) - len(series)
        ahead = {name: values[cut:] for name, values in covariates(window, horizon).items()}
        learned = self.ridges.get(series.id)
        if learned is not None and not 0 <= series.last - learned.end <= FRESH:
            learned = None
        scale = scale_of(series) if learned is None else learned.scale
        track = Track.of(scale.series(series))
        origins = np.array([len(series) - 1], dtype=np.int64)
        if learned is None:
            lesson = learn(track, max(horizon, self.horizon))
            learned = None if lesson is None else lesson.learned
        found = candidates(track, origins, horizon)
        placed = cold(track, origins, found) if learned is None else warm(learned, track, origins, horizon)
        return inputs(track, origins, found, placed, learned, ahead)[0], placed, scale


@dataclass(frozen=True, slots=True)
class Boosting:
    """The forecaster.

    Attributes:
        name: What it is called.
        needs: The fewest values it forecasts from.
        rows: About how many rows are learned from, over all series.
    """

    name: str = "LightGBM"
    needs: int = NEEDS
    rows: int = ROWS

    def fit(
        self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent
    ) -> FittedBoosting:
        """Learn over all series; see the port."""
        rng = np.random.default_rng(seed)
        each = min(MOST, self.rows // max(1, len(windows)))
        rows, ridges = [], {}
        for place, window in enumerate(windows):
            told(0.3 * place / len(windows), f"features of {window.series.id}")
            scale = scale_of(recent(window.series))
            seen = Window(scale.series(window.series), (), covariates(window, horizon))
            drawn, learned = rows_of(seen, horizon, each, rng)
            rows += drawn
            if learned is not None:
                ridges[window.series.id] = replace(learned, scale=scale)
        if not rows:
            return FittedBoosting((), ridges, horizon)
        boosters = grow(joined(rows), seed, lambda share: told(0.3 + 0.7 * share, "growing trees"))
        return FittedBoosting(tuple(boosters), ridges, horizon)


def _measured(series: Series) -> int:
    return int(np.isfinite(series.values).sum())


def _upper(series: Series) -> float:
    """Answer what no forecast is above."""
    reach = REACH * float(np.nanmax(np.where(np.isfinite(series.values), series.values, 0.0)))
    return reach if series.upper is None else min(series.upper, reach)
