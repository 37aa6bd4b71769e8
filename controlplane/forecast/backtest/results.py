"""What a backtest found: scores per model and series, and where the combination beat no naive one. Pure.

The command prints it; the peers' report and the gates read it. It compares nothing that was not forecast from
the same origins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.registry import COMBINED
from controlplane.forecast.rules import NAIVE, SEASONAL
from controlplane.forecast.scores import Marks, Relative, Score, mark, ratio, relative, score, seasonal_error
from controlplane.forecast.series import FloatArray

SHORT = 12
"""The nearer of the two horizons that are told."""


@dataclass(frozen=True, slots=True)
class Line:
    """One model at one horizon.

    Attributes:
        model: As it is shown.
        horizon: Over the steps up to it.
        relative: Its loss against the reference's.
        by_series: Its scores on each series that it forecast.
        ratios: Its loss by the reference's on each series, NaN where they cannot be compared.
        pooled: Shares over all points: within the 10-90 % band, and below the quantiles .9, .95 and .99.
    """

    model: str
    horizon: int
    relative: Relative
    by_series: Mapping[str, Score]
    ratios: Mapping[str, float]
    pooled: tuple[float, float, float, float]

    def median(self, what: str) -> float:
        """Answer the median over series of `wql`, `mase` or `smape`; NaN where there is none."""
        values = np.array([getattr(each, what) for each in self.by_series.values()], dtype=np.float64)
        seen = values[np.isfinite(values)]
        return float(np.median(seen)) if seen.size else float("nan")


@dataclass(frozen=True, slots=True)
class Worse:
    """A series on which the combination is worse than a naive model.

    Attributes:
        series: Its id.
        than: The naive model.
        horizon: Over the steps up to it.
        ratio: The combination's loss by the naive model's, above 1.
    """

    series: str
    than: str
    horizon: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Results:
    """What a backtest found.

    Attributes:
        horizons: Those that are told, ascending.
        lines: Per horizon and model, in the order asked for.
        seconds: Over all series and origins, by model.
        worse: Where the combination is worse than a naive model.
    """

    horizons: tuple[int, ...]
    lines: tuple[Line, ...]
    seconds: Mapping[str, float]
    worse: tuple[Worse, ...]


def marks(
    cases: Sequence[Case], plan: Plan, made: Mapping[tuple[str, str], MemberForecasts]
) -> dict[tuple[str, str], Marks]:
    """Mark the scored origins of all forecasts, by series and model."""
    scales = {case.series.id: _scales(case, plan) for case in cases}
    return {
        key: mark(one.quantiles[-plan.origins :], one.actuals[-plan.origins :], scales[key[0]])
        for key, one in made.items()
    }


def results(
    models: Sequence[str], plan: Plan, marked: Mapping[tuple[str, str], Marks], seconds: Mapping[str, float]
) -> Results:
    """Count what was found.

    Args:
        models: To be shown, in their order.
        plan: How the backtest went.
        marked: By series and model; the reference and `Naive` may be among them unasked.
        seconds: By model.
    """
    horizons = tuple(sorted({min(SHORT, plan.horizon), plan.horizon}))
    lines = tuple(_line(model, horizon, plan, marked) for horizon in horizons for model in models)
    return Results(horizons, lines, seconds, tuple(_worse(horizons, marked)))


def _line(model: str, horizon: int, plan: Plan, marked: Mapping[tuple[str, str], Marks]) -> Line:
    mine = {series: each for (series, name), each in marked.items() if name == model}
    mine = {series: each for series, each in mine.items() if np.isfinite(each.loss).any()}
    pairs = {series: (each, marked[series, SEASONAL]) for series, each in mine.items()}
    return Line(
        model=model,
        horizon=horizon,
        relative=relative(list(pairs.values()), horizon, np.random.default_rng(plan.seed)),
        by_series={series: score(each, horizon) for series, each in mine.items()},
        ratios={series: ratio(*pair, horizon) for series, pair in pairs.items()},
        pooled=_pooled(list(mine.values()), horizon),
    )


def _pooled(mine: Sequence[Marks], horizon: int) -> tuple[float, float, float, float]:
    if not mine:
        return (float("nan"),) * 4
    inside = np.concatenate([each.inside[:, :horizon].ravel() for each in mine])
    below = np.concatenate([each.below[:, :horizon].reshape(-1, 3) for each in mine])
    shares = [float(part[np.isfinite(part)].mean()) for part in (inside, *below.T)]
    return shares[0], shares[1], shares[2], shares[3]


def _worse(horizons: Sequence[int], marked: Mapping[tuple[str, str], Marks]) -> list[Worse]:
    """Answer where the combination is worse than the reference, and at the nearer horizon than `Naive`."""
    found = []
    for (series, model), mine in marked.items():
        if model != COMBINED:
            continue
        asked = [(SEASONAL, horizon) for horizon in horizons] + [(NAIVE, horizons[0])]
        for than, horizon in asked:
            other = marked.get((series, than))
            if other is not None and (share := ratio(mine, other, horizon)) > 1:
                found.append(Worse(series, than, horizon, share))
    return sorted(found, key=lambda each: -each.ratio)


def _scales(case: Case, plan: Plan) -> FloatArray:
    starts = plan.scored(len(case.series))
    return np.array([seasonal_error(case.window(start, plan.history).series) for start in starts])
