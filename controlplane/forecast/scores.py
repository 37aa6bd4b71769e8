"""How good forecasts were: losses, coverage, and how they compare to the day before. Pure; numpy only.

The backtest and the accuracy that the service tells are counted here. A value that was not measured, or not
forecast, is left out and never counted as right. Two models are only compared on what both forecast.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.forecast.quantiles import LEVELS, MEDIAN, SCORED
from controlplane.forecast.series import FloatArray, Series

LOW, HIGH = 2, 10
"""Where the ends of the 10-90 % band are in the levels."""

UPPER = (10, 11, 12)
"""Where the levels .9, .95 and .99 are."""

DRAWS = 1000
"""How many times origins are drawn for an interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What one model's forecasts of one series were worth, point by point; NaN is left out.

    Attributes:
        loss: Shape (k origins, horizon): twice the pinball loss, mean over the levels .1 to .9.
        size: Shape (k, horizon): absolute actuals.
        scaled: Shape (k, horizon): absolute error of the median, in errors of the day before.
        symmetric: Shape (k, horizon): the same by the mean of forecast and actual, 0 to 2.
        inside: Shape (k, horizon): 1 where the actual lay within the 10-90 % band, otherwise 0.
        below: Shape (k, horizon, 3): 1 where it was not above the quantile .9, .95 and .99.
    """

    loss: FloatArray
    size: FloatArray
    scaled: FloatArray
    symmetric: FloatArray
    inside: FloatArray
    below: FloatArray


@dataclass(frozen=True, slots=True)
class Score:
    """One model on one series, over all origins and the steps up to a horizon. NaN where nothing counts.

    Attributes:
        wql: Mean over the levels .1 to .9 of twice the summed pinball loss by the summed absolute actuals.
        mase: Mean absolute error of the median by the in-sample error of the day before (Hyndman 2006).
        smape: In percent, 0 to 200.
        coverage: Share of actuals within the 10-90 % band.
        below: Shares not above the quantiles .9, .95 and .99.
    """

    wql: float
    mase: float
    smape: float
    coverage: float
    below: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Relative:
    """A model against another, as the geometric mean over series of their losses' ratios.

    Attributes:
        mean: Below 1 where the model is better; NaN where nothing can be compared.
        low: 5 % of the means over origins drawn with replacement lie below it.
        high: 95 % lie below it.
        series: Over how many series.
    """

    mean: float
    low: float
    high: float
    series: int


def seasonal_error(history: Series) -> float:
    """Answer the mean absolute difference from the day before, NaN where there is none or it is 0."""
    values, day = history.values, history.day
    if len(values) <= day:
        return float("nan")
    changes = np.abs(values[day:] - values[:-day])
    here = changes[np.isfinite(changes)]
    mean = float(here.mean()) if here.size else 0.0
    return mean if mean > 0 else float("nan")


def mark(quantiles: FloatArray, actuals: FloatArray, scales: FloatArray) -> Marks:
    """Compare forecasts with what came.

    Args:
        quantiles: Shape (k, horizon, len(LEVELS)).
        actuals: Shape (k, horizon).
        scales: Shape (k,): `seasonal_error` of the history at each origin.
    """
    counts = np.isfinite(actuals) & np.isfinite(quantiles).all(axis=-1)
    actual = np.where(counts, actuals, np.nan)
    levels = LEVELS[SCORED]
    short = actual[..., None] - quantiles[..., SCORED]
    loss = 2 * np.maximum(levels * short, (levels - 1) * short).mean(axis=-1)
    error, middle = np.abs(actual - quantiles[..., MEDIAN]), quantiles[..., MEDIAN]
    both = np.abs(actual) + np.abs(middle)
    within = (actual >= quantiles[..., LOW]) & (actual <= quantiles[..., HIGH])
    below = actual[..., None] <= quantiles[..., UPPER]
    return Marks(
        loss=loss,
        size=np.abs(actual),
        scaled=error / scales[:, None],
        symmetric=2 * error / np.where(both > 0, both, 1.0),
        inside=np.where(counts, within, np.nan),
        below=np.where(counts[..., None], below, np.nan),
    )


def score(marks: Marks, horizon: int) -> Score:
    """Answer a model's scores on one series over all origins and the steps up to a horizon."""
    size = float(np.nansum(marks.size[:, :horizon]))
    shares = tuple(_mean(marks.below[:, :horizon, level]) for level in range(len(UPPER)))
    return Score(
        wql=float(np.nansum(marks.loss[:, :horizon])) / size if size > 0 else float("nan"),
        mase=_mean(marks.scaled[:, :horizon]),
        smape=100 * _mean(marks.symmetric[:, :horizon]),
        coverage=_mean(marks.inside[:, :horizon]),
        below=(shares[0], shares[1], shares[2]),
    )


def losses(model: Marks, reference: Marks, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Answer both models' losses summed over steps, each of shape (k,), on what both forecast."""
    mine, theirs = model.loss[:, :horizon], reference.loss[:, :horizon]
    counts = np.isfinite(mine) & np.isfinite(theirs)
    return np.where(counts, mine, 0.0).sum(axis=1), np.where(counts, theirs, 0.0).sum(axis=1)


def ratio(model: Marks, reference: Marks, horizon: int) -> float:
    """Answer a model's loss on one series by another's; NaN where the other has none."""
    mine, theirs = (part.sum() for part in losses(model, reference, horizon))
    return float(mine / theirs) if theirs > 0 else float("nan")


def relative(
    pairs: list[tuple[Marks, Marks]], horizon: int, rng: np.random.Generator, draws: int = DRAWS
) -> Relative:
    """Answer the geometric mean over series of a model's loss by another's, with an interval.

    The interval comes from drawing origins with replacement, the same ones for all series, since series
    of one time move together.

    Args:
        pairs: Per series the marks of the model and of the other, all from as many origins.
        horizon: Up to which step.
        rng: Draws the origins.
        draws: How many times.
    """
    summed = [losses(model, reference, horizon) for model, reference in pairs]
    summed = [(mine, theirs) for mine, theirs in summed if mine.sum() > 0 and theirs.sum() > 0]
    if not summed:
        return Relative(float("nan"), float("nan"), float("nan"), 0)
    mine, theirs = (np.stack(part) for part in zip(*summed, strict=True))
    count = mine.shape[1]
    whole = _geometric(mine, theirs, np.arange(count)[None])[0]
    drawn = _geometric(mine, theirs, rng.integers(0, count, size=(draws, count)))
    low, high = np.quantile(drawn, [0.05, 0.95])
    return Relative(float(whole), float(low), float(high), len(summed))


def _geometric(
    mine: FloatArray, theirs: FloatArray, origins: np.ndarray[tuple[int, int], np.dtype[np.int64]]
) -> FloatArray:
    """Answer the geometric mean over series for each draw of origins, shape (draws,).

    A series whose losses in a draw are 0 says nothing there and is left out of it.
    """
    top, bottom = mine[:, origins].sum(axis=-1), theirs[:, origins].sum(axis=-1)
    counts = (top > 0) & (bottom > 0)
    logs = np.log(np.where(counts, top, 1.0) / np.where(counts, bottom, 1.0))
    return np.asarray(np.exp(logs.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)), dtype=np.float64)


def _mean(values: FloatArray) -> float:
    """Answer the mean of what counts, NaN where nothing does."""
    here = values[np.isfinite(values)]
    return float(here.mean()) if here.size else float("nan")
