"""Fill what was not measured, for models that need whole series. Pure; numpy only.

The models under `controlplane.forecast.models` call it. It never fills with zero for want of anything better,
never changes what was measured, and never looks at a value outside the series.
"""

from dataclasses import replace

import numpy as np

from controlplane.forecast.series import HOUR, FloatArray, Series

SHORT_SECONDS = HOUR
"""A gap up to this long is bridged by a straight line: demand rarely turns twice within it."""

EDGE = 6
"""How many measured values beside a gap say at which level demand is."""


def known(series: Series) -> int:
    """Count the values that were measured."""
    return int(np.isfinite(series.values).sum())


def whole(series: Series) -> Series:
    """Answer the series from its first measured value on, without gaps.

    Short gaps become straight lines; at the end, the last value goes on. Long gaps take what other days had
    at the same time of day, moved to the level on both sides of the gap, within what was ever measured.

    Returns:
        A series without NaN, or an empty one where nothing was measured.
    """
    measured = np.flatnonzero(np.isfinite(series.values))
    if measured.size == 0:
        return series.newest(0)
    cut = int(measured[0])
    rest = replace(series, start=series.start + cut * series.step_seconds, values=series.values[cut:])
    return replace(rest, values=_filled(rest.values, rest.day, max(3, SHORT_SECONDS // rest.step_seconds)))


def _filled(values: FloatArray, day: int, short: int) -> FloatArray:
    """Fill a series that starts with a measured value."""
    gaps = ~np.isfinite(values)
    if not gaps.any():
        return values
    at = np.arange(values.size)
    line = np.interp(at, at[~gaps], values[~gaps])
    bounds = np.flatnonzero(np.diff(np.concatenate(([False], gaps, [False])).astype(np.int8)))
    long = [(int(a), int(b)) for a, b in bounds.reshape(-1, 2) if b - a > short]
    if not long:
        return line
    return _like_other_days(values, line, day, long)


def _like_other_days(
    values: FloatArray, line: FloatArray, day: int, long: list[tuple[int, int]]
) -> FloatArray:
    """Fill long gaps [start, end) by the profile of the measured days, moved to the level."""
    profile = _profile(values, day)[np.arange(values.size) % day]
    apart = values - profile
    low, high = np.nanmin(values), np.nanmax(values)
    filled = line.copy()
    for start, end in long:
        before = _level(apart[max(0, start - EDGE) : start])
        after = _level(apart[end : end + EDGE]) if end < values.size else before
        shift = np.linspace(before, after, end - start + 2)[1:-1]
        filled[start:end] = np.clip(profile[start:end] + shift, low, high)
    return filled


def _level(apart: FloatArray) -> float:
    """Answer how far demand is from the profile, from the measured values beside a gap."""
    here = apart[np.isfinite(apart)]
    return float(np.median(here)) if here.size else 0.0


def _profile(values: FloatArray, day: int) -> FloatArray:
    """Answer the mean of each phase of the day, shape (day,); phases never measured lie on a line."""
    measured = np.isfinite(values)
    phase = np.flatnonzero(measured) % day
    count = np.bincount(phase, minlength=day)
    total = np.bincount(phase, weights=values[measured], minlength=day)
    seen = np.flatnonzero(count)
    return np.interp(np.arange(day), seen, total[seen] / count[seen], period=day)
