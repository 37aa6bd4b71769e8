"""Crane's DSP: find whether a day or a week repeats, clean the last one of noise, and repeat it.

Method: docs/tutorials/timeseriees-forecasting-by-dsp.md of gocrane/crane and, where it leaves something
open, what its pkg/prediction/dsp was seen to do (commit 2b0ddae). Its readings, each the better for Crane:

- A week is looked for where there are two of them, otherwise a day. Every period that the spectrum shows is
  a candidate, as the code has it; the page speaks of a day and a week alone, and so finds one more often.
- Extreme values are replaced before anything else, so in what is repeated too; the page has it for periods.
- A slow component that is weak loses its half, since the code takes the mirrored one for a fast one.
- Where nothing repeats Crane has no forecast, and its autoscaler goes by what is measured. Here the last
  value goes on. `DspOrDay` repeats a day instead, and does far worse: see docs/forecasting-measured.md.
- One of eight estimators is chosen by what it says of the last period. A forecast is a point: all quantiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

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
        count = len(values)
        spectrum = np.fft.fft(values)
        amplitudes = np.abs(spectrum) / count
        strongest = np.sort(amplitudes[1 : count // 2])[::-1]
        bar = max(self.weak, strongest[min(MOST_KEPT, len(strongest)) - 1])
        if len(strongest) >= self.least_kept:
            bar = min(bar, strongest[self.least_kept - 1])
        fast = np.arange(count) / (count * step_seconds) > FASTEST
        smooth = np.fft.ifft(np.where(fast & (amplitudes < bar), 0, spectrum)).real[-period:]
        return np.where(smooth <= 0, LEAST_VALUE, smooth) * (1 + self.margin)


ESTIMATORS = tuple(
    Estimator(least, weak, margin)
    for least, weak in ((3, 1.0), (50, 0.05))
    for margin in (0.01, 0.1, 0.15, 0.2)
)


def dsp(series: Series, horizon: int, *, always: bool = False) -> FloatArray:
    """Forecast; shape (horizon,).

    Args:
        series: Without gaps.
        horizon: Steps ahead.
        always: Whether a day is repeated where nothing is found to repeat, as far as there are two.
    """
    step = series.step_seconds
    values = without_outliers(series.newest(HISTORY // step).values)
    period = fundamental(values, step)
    if period is None and always and len(values) >= 2 * series.day:
        period = series.day
    if period is None:
        return last_value(series, horizon)
    values = _truncated(values, period)
    tried, came = values[:-period], values[-period:]
    errors = [error(came, each.estimate(tried, period, step)) for each in ESTIMATORS]
    best = ESTIMATORS[int(np.argmin(errors))]
    return best.estimate(values, period, step)[np.arange(horizon) % period]


def fundamental(values: FloatArray, step_seconds: int) -> int | None:
    """Answer how many steps repeat: those of a day or of a week; None where neither does."""
    day = DAY // step_seconds
    known = next((length for length in (7 * day, day) if len(values) >= 2 * length), None)
    if known is None:
        return None
    whole = _truncated(values, known)
    found = _highest_hill(whole, HILL // step_seconds) if np.ptp(whole) > 0 else None
    return found if found in {day, 7 * day} else None


def error(came: FloatArray, estimated: FloatArray) -> float:
    """Answer the mean relative error, too little weighing more; the absolute one where demand is near 0."""
    if (came < NEAR_ZERO).any():
        return float(np.abs(came - estimated).mean())
    apart = (estimated - came) / came
    amplified = -np.log(np.maximum(1 + np.minimum(apart, 0), np.finfo(float).tiny)) / np.log(AMPLIFIED)
    return float(np.where(apart < 0, amplified, apart).mean())


def without_outliers(values: FloatArray) -> FloatArray:
    """Answer the values with those beyond P0.1 and P99.9 replaced by the one before."""
    low, high = np.quantile(values, [0.001, 0.999])
    fair = (values >= low) & (values <= high)
    before = np.maximum.accumulate(np.where(fair, np.arange(len(values)), 0))
    return values[before]


def _highest_hill(values: FloatArray, reach: int) -> int | None:
    """Answer, of the periods that the spectrum shows, that on the highest hill of the autocorrelation."""
    standard = (values - values.mean()) / values.std()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(standard)) ** 2, len(values)) / len(values)
    candidates = _candidates(values)
    for period in candidates[np.argsort(-correlation[candidates], kind="stable")]:
        if correlation[period] <= 0:
            return None
        if _is_hill(correlation, int(period), min(reach, int(period) // 2)):
            return int(period)
    return None


def _candidates(values: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Answer the periods whose components are stronger than chance makes them."""
    power = np.abs(np.fft.rfft(values))[2 : len(values) // 2]
    return np.unique(len(values) // (2 + np.flatnonzero(power > _chance(values))))


def _is_hill(correlation: FloatArray, place: int, reach: int) -> bool:
    """Say whether lines through both sides rise towards a place; the series ends at its ends."""
    up = correlation[max(0, place - reach) : place + 1]
    down = correlation[place : place + reach + 1]
    return min(len(up), len(down)) > 1 and _slope(up) > 0 > _slope(down)


def _chance(values: FloatArray) -> float:
    """Answer which power the strongest component of a shuffled series rarely exceeds: its P99."""
    rng = np.random.default_rng(0)
    tops = [np.abs(np.fft.rfft(rng.permutation(values)))[1 : len(values) // 2].max() for _ in range(SHUFFLES)]
    return float(np.sort(tops)[SHUFFLES - 2])


def _truncated(values: FloatArray, period: int) -> FloatArray:
    """Answer the newest whole periods."""
    return values[len(values) % period :]


def _slope(values: Sequence[float] | FloatArray) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def Dsp() -> Local:  # noqa: N802 - models are asked for by the names of classes
    """Make the model."""
    return peer("CraneDsp", dsp)


def DspOrDay() -> Local:  # noqa: N802 - likewise
    """Make the model in the reading that always repeats something."""
    return peer("CraneDspOrDay", partial(dsp, always=True))
