"""What demand follows besides events: time of day, working days, a level that wanders. Pure; numpy only.

`uplift` fits it together with the events, so that what recurs at one time of day is not taken for the work
of an event, nor the other way round. It is there to tell these apart, not to forecast.
"""

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.series import DAY, FloatArray

WAVES = 4
"""Waves of the day: as fine as a few weeks let one tell."""

KNOT_DAYS = 2
"""The level may bend every so many days."""

SATURDAY = 5

WEEK_DAYS = 8
"""Days from which weekends are told from working days."""


def design(times: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Answer the columns of demand without events.

    Args:
        times: Seconds since the epoch, ascending.

    Returns:
        Columns of shape (n, k), and the precision of each column's prior of nought, shape (k, k), in units of
        the noise of one step: columns of the level are held together, not to nought.
    """
    phase = 2 * np.pi * (times % DAY) / DAY
    angles = phase[:, None] * np.arange(1, WAVES + 1)
    day = np.concatenate((np.sin(angles), np.cos(angles)), axis=1)
    # The epoch began on a Thursday.
    weekend = ((times // DAY + 3) % 7 >= SATURDAY).astype(np.float64)[:, None]
    level = _level(times)
    parts = [level, day]
    if times[-1] - times[0] >= WEEK_DAYS * DAY:
        parts += [weekend, weekend * day]
    columns = np.concatenate(parts, axis=1)
    precision = np.eye(columns.shape[1])
    knots = level.shape[1]
    steps = np.diff(np.eye(knots), axis=0)
    precision[:knots, :knots] = steps.T @ steps + 1e-6 * np.eye(knots)
    return columns, precision


def _level(times: NDArray[np.int64]) -> FloatArray:
    """Answer hats over knots, shape (n, knots): between knots the level is a line."""
    at = (times - times[0]) / (KNOT_DAYS * DAY)
    knots = np.arange(int(np.ceil(at[-1])) + 1)
    hats: FloatArray = np.maximum(0.0, 1 - np.abs(at[:, None] - knots))
    return hats
