"""A series of demand on a regular UTC grid, and what is known beside it. Pure; numpy only.

Everything under `controlplane.forecast` speaks of these. A gap is NaN; nothing here ever fills one with zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Values on a regular grid.

    Attributes:
        id: Unique among the series of one call, such as `site/cpu-5m` or `nab_elb_requests`.
        start: Time of the first value, seconds since the epoch, UTC.
        step_seconds: Distance of the values.
        values: Shape (n,), float64, in the unit of the signal, NaN where nothing was measured.
        upper: What no value can exceed, such as 100 for a percentage; None where there is no such bound.
            The lower bound of every demand is 0.
    """

    id: str
    start: int
    step_seconds: int
    values: FloatArray
    upper: float | None = None

    def __len__(self) -> int:
        """Count the grid's points, gaps included."""
        return len(self.values)

    @property
    def last(self) -> int:
        """Time of the last value."""
        return self.start + (len(self.values) - 1) * self.step_seconds

    @property
    def day(self) -> int:
        """How many steps a day has, at least 1."""
        return max(1, DAY // self.step_seconds)

    @property
    def week(self) -> int:
        """How many steps a week has."""
        return 7 * self.day

    def times(self, ahead: int = 0) -> NDArray[np.int64]:
        """Answer the time of each value, shape (n + ahead,), and of so many steps after the last."""
        return self.start + self.step_seconds * np.arange(len(self.values) + ahead, dtype=np.int64)

    def until(self, length: int) -> "Series":
        """Answer the first `length` values: all that was known then."""
        return replace(self, values=self.values[:length])

    def newest(self, length: int) -> "Series":
        """Answer the last `length` values, or all where there are fewer."""
        cut = max(0, len(self.values) - length)
        return replace(self, start=self.start + cut * self.step_seconds, values=self.values[cut:])


@dataclass(frozen=True, slots=True)
class Event:
    """Something known beforehand that moves demand.

    Attributes:
        name: Unique among the events of a series.
        type: Events of one type are learned from together.
        start: Seconds since the epoch, UTC.
        end: Likewise; after `start`.
        expected_uplift: What people expect demand to be multiplied by; None: learn it.
    """

    name: str
    type: str
    start: int
    end: int
    expected_uplift: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """All that a model may know when it forecasts: the past of one series, and what is planned.

    Attributes:
        series: Up to and with the origin, which is its last value.
        events: Past and planned ones, as they were known at the origin.
        covariates: Further inputs by name, each of shape (n + ahead,), known ahead, such as stated peaks.
    """

    series: Series
    events: tuple[Event, ...] = ()
    covariates: Mapping[str, FloatArray] = field(default_factory=dict)
