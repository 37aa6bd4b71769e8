"""Stated peaks of a workload: what its owner says will be asked for, and when. Pure.

While history is short they are the prior of the request rate; once there is history they are an input of the
models that take inputs, and what really came is believed. Times are UTC.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from cronsim import CronSim, CronSimError

from controlplane.forecast.series import FloatArray, Series

PEAKS = "peaks"
"""Name of the covariate."""

STARTS_MAX = 10_000
"""Starts of one peak that are looked at: every minute of a week."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A stated peak.

    Attributes:
        cron: Five fields: when it starts.
        seconds: How long it lasts.
        rate_per_hour: Requests an hour while it lasts.
    """

    cron: str
    seconds: int
    rate_per_hour: float


def peak_rates(series: Series, peaks: Sequence[Peak], ahead: int) -> FloatArray:
    """Answer the stated rate at each value of a series and so many steps after it.

    A value counts what is stated for its cell, by the share of the cell that a peak covers; peaks that
    overlap add up. A cron line that cannot be read states nothing.

    Returns:
        Shape (len(series) + ahead,), requests an hour, 0 where nothing is stated.
    """
    rates = np.zeros(len(series) + ahead)
    end = series.start + len(rates) * series.step_seconds
    for peak in peaks:
        for start in _starts(peak, series.start, end):
            _add(rates, series, start, peak)
    return rates


def _starts(peak: Peak, since: int, until: int) -> Iterator[int]:
    """Yield the starts of all peaks that reach into a span, seconds since the epoch."""
    first = datetime.fromtimestamp(since - peak.seconds, UTC) - timedelta(minutes=1)
    try:
        starts = CronSim(peak.cron, first)
    except CronSimError:
        return
    for _, start in zip(range(STARTS_MAX), starts, strict=False):
        if start.timestamp() >= until:
            return
        yield int(start.timestamp())


def _add(rates: FloatArray, series: Series, start: int, peak: Peak) -> None:
    step = series.step_seconds
    first = max(0, (start - series.start) // step)
    last = min(len(rates), -(-(start + peak.seconds - series.start) // step))
    cells = series.start + step * np.arange(first, last)
    covered = np.minimum(cells + step, start + peak.seconds) - np.maximum(cells, start)
    rates[first:last] += peak.rate_per_hour * np.clip(covered, 0, step) / step
