"""Made-up series from real ones: mixtures of two, so that few series teach what many would.

`training` calls it. Pure; numpy only. Two series are laid over each other so that hours and weekdays agree,
each in its own scale (the idea of TSMix, Ansari et al. 2024). All randomness comes from the generator given.
"""

from collections.abc import Sequence

import numpy as np

from controlplane.forecast.series import WEEK, FloatArray, Series, Window

SHORTEST = 96
"""A mixture of fewer values teaches nothing."""


def mixtures(windows: Sequence[Window], count: int, rng: np.random.Generator) -> list[Window]:
    """Make series up.

    Args:
        windows: Real ones, all of one grid.
        count: How many pairs are tried.
        rng: All randomness.

    Returns:
        At most `count` series; a pair that does not lie over each other for long enough is left out.
    """
    made = []
    for number in range(count if len(windows) > 1 else 0):
        one, other = rng.choice(len(windows), 2, replace=False)
        share = float(rng.uniform(0.25, 0.75))
        mixed = _mixed(windows[one].series, windows[other].series, share, number, rng)
        made += [Window(mixed)] if mixed is not None else []
    return made


def _mixed(one: Series, other: Series, share: float, number: int, rng: np.random.Generator) -> Series | None:
    """Lay one series over another and mix them; their sum or their product, as it falls."""
    week = WEEK // one.step_seconds
    shift = round((other.start - one.start) / one.step_seconds) % week
    # Value i of the one and value i - first of the other are at the same time of the week, and the shorter
    # lies within the longer where that can be.
    spare = len(one) - len(other)
    least, most = -((shift - min(0, spare)) // week), (max(0, spare) - shift) // week
    first = shift + week * (int(rng.integers(least, most + 1)) if least <= most else -(shift > week // 2))
    start, stop = max(0, first), min(len(one), first + len(other))
    if stop - start < SHORTEST:
        return None
    a, b = one.values[start:stop], other.values[start - first : stop - first]
    size_a, size_b = (_size(values) for values in (a, b))
    if size_a <= 0 or size_b <= 0:
        return None
    a, b = a / size_a, b / size_b
    values = share * a + (1 - share) * b
    if rng.random() < 0.5:  # noqa: PLR2004 - a coin
        values = np.maximum(a, 0.0) ** share * np.maximum(b, 0.0) ** (1 - share)
    return Series(f"mixture-{number}", one.start + start * one.step_seconds, one.step_seconds, values)


def _size(values: FloatArray) -> float:
    """Answer what a series is divided by: its mean."""
    there = values[np.isfinite(values)]
    return float(np.abs(there).mean()) if len(there) else 0.0
