"""Crane's DSP: find whether a day or a week repeats, clean the last one of noise, and repeat it.

Method: docs/tutorials/timeseriees-forecasting-by-dsp.md of gocrane/crane, and the defaults of its eight
estimators. Where nothing repeats it forecasts nothing; then the last value goes on here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.forecasting.peers.points import last_value, peer
from controlplane.forecast.models.local import Local
from controlplane.forecast.series import DAY, HOUR, FloatArray, Series

HISTORY = 15 * DAY
SHUFFLES = 100
HILL = 4 * HOUR
"""How far to both sides of a peak the autocorrelation must fall."""

FASTEST = 1 / HOUR
"""Hertz. What is slower is never noise."""

MOST_KEPT = 100
LEAST_VALUE = 0.01
NEAR_ZERO = 1e-3
AMPLIFIED = 1.25


@dataclass(frozen=True, slots=True)
class Estimator:
    """A low-pass filter and what is put on top.

    Attributes:
        least_kept: How many components are kept however weak.
        weak: Amplitude below which a fast component is noise.
        margin: Share that is put on top.
    """

    least_kept: int
    weak: float
    margin: float

    def estimate(self, values: FloatArray, period: int, step_seconds: int) -> FloatArray:
        """Answer the next period: the last one without noise, plus the margin; shape (period,)."""
        spectrum = np.fft.rfft(values)
        amplitudes = np.abs(spectrum) / len(values)
        strongest = np.sort(amplitudes[1 : len(values) // 2])[::-1]
        bar = max(self.weak, strongest[min(MOST_KEPT, len(strongest)) - 1])
        if len(strongest) >= self.least_kept:
            bar = min(bar, strongest[self.least_kept - 1])
        noise = (amplitudes < bar) & (np.fft.rfftfreq(len(values), step_seconds) > FASTEST)
        smooth = np.fft.irfft(np.where(noise, 0, spectrum), len(values))[-period:]
        return np.where(smooth <= 0, LEAST_VALUE, smooth) * (1 + self.margin)


ESTIMATORS = tuple(
    Estimator(least, weak, margin)
    for least, weak in ((3, 1.0), (50, 0.05))
    for margin in (0.01, 0.1, 0.15, 0.2)
)


def dsp(series: Series, horizon: int) -> FloatArray:
    """Forecast; shape (horizon,)."""
    recent = series.newest(HISTORY // series.step_seconds)
    period = fundamental(recent)
    if period is None:
        return last_value(series, horizon)
    values = _truncated(recent.values, period)
    tried, came = values[:-period], values[-period:]
    errors = [error(came, each.estimate(tried, period, series.step_seconds)) for each in ESTIMATORS]
    best = ESTIMATORS[int(np.argmin(errors))]
    return best.estimate(values, period, series.step_seconds)[np.arange(horizon) % period]


def fundamental(series: Series) -> int | None:
    """Answer how many steps repeat: a day or a week, whichever correlates more; None if neither."""
    cleaned = replace(series, values=_without_outliers(series.values))
    found = {period: _strength(cleaned, period) for period in (series.day, series.week)}
    best = max(found, key=lambda period: found[period])
    return best if found[best] > 0 else None


def error(came: FloatArray, estimated: FloatArray) -> float:
    """Answer the mean relative error, too little weighing more; the absolute one where demand is near 0."""
    if (came < NEAR_ZERO).any():
        return float(np.abs(came - estimated).mean())
    apart = (estimated - came) / came
    amplified = -np.log(np.maximum(1 + np.minimum(apart, 0), np.finfo(float).tiny)) / np.log(AMPLIFIED)
    return float(np.where(apart < 0, amplified, apart).mean())


def _strength(series: Series, period: int) -> float:
    """Answer the autocorrelation at a period that is a candidate and a peak, otherwise 0."""
    values = _truncated(series.values, period)
    if len(values) < 2 * period or np.ptp(values) == 0:
        return 0.0
    power = np.abs(np.fft.rfft(values))
    if power[len(values) // period] <= _chance(values):
        return 0.0
    standard = (values - values.mean()) / values.std()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(standard)) ** 2, len(values)) / len(values)
    reach = min(HILL // series.step_seconds, period // 2)
    up = correlation[period - reach : period + 1]
    down = correlation[period : period + reach + 1]
    return float(correlation[period]) if _slope(up) > 0 > _slope(down) else 0.0


def _chance(values: FloatArray) -> float:
    """Answer which power the strongest component of a shuffled series rarely exceeds: its P99."""
    rng = np.random.default_rng(0)
    tops = [np.abs(np.fft.rfft(rng.permutation(values)))[1 : len(values) // 2].max() for _ in range(SHUFFLES)]
    return float(np.sort(tops)[SHUFFLES - 2])


def _without_outliers(values: FloatArray) -> FloatArray:
    """Answer the values with those beyond P0.1 and P99.9 replaced by the one before."""
    low, high = np.quantile(values, [0.001, 0.999])
    fair = (values >= low) & (values <= high)
    before = np.maximum.accumulate(np.where(fair, np.arange(len(values)), 0))
    return values[before]


def _truncated(values: FloatArray, period: int) -> FloatArray:
    """Answer the newest whole periods."""
    return values[len(values) % period :]


def _slope(values: Sequence[float] | FloatArray) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def Dsp() -> Local:  # noqa: N802 - models are asked for by the names of classes
    """Make the model."""
    return peer("CraneDsp", dsp)
