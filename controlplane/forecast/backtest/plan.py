"""Which origins are forecast from, and what may be known at each. Pure.

Everything in the backtest asks here what a model may see, so that a look into the future could only come from
this file. It never hands out a value at or after the first step that is forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.events.adjust import clean
from controlplane.forecast.series import DAY, HOUR, MINUTE, WEEK, Event, FloatArray, Series, Window

FREQUENCIES = {"5min": 5 * MINUTE, "1h": HOUR}
"""Grids by how they are asked for."""

STRIDES = {"5min": 139, "1h": 37}
"""Steps between origins, coprime to the day, so that origins fall on many times of the day."""

SPACINGS = {"5min": 48, "1h": 13}
"""Steps between calibration origins."""

REFITS = {"5min": False, "1h": True}
"""Whether global models learn anew before the scored origins: on the grid of an hour calibration begins days
before them, and the service learns every day."""

HISTORIES = {"5min": 2 * WEEK, "1h": 8 * WEEK}
"""How many seconds of the past models are shown."""


def frequency_of(step_seconds: int) -> str:
    """Answer how a grid is asked for.

    Raises:
        KeyError: There is no such grid.
    """
    return {seconds: name for name, seconds in FREQUENCIES.items()}[step_seconds]


PERCENT = 100.0
BOUNDED = ("cpu", "mem", "percent")
"""What the name of a share of 100 holds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a backtest goes.

    Attributes:
        step_seconds: Distance of the values.
        horizon: Steps ahead.
        origins: How many origins are scored.
        stride: Steps between them.
        calibration: How many origins before them the combination may learn from.
        spacing: Steps between those, and from the last of them to the first that is scored.
        history: How many values models are shown.
        refit: Whether global models learn anew before the scored origins. Otherwise they learn once, before
            the first calibration origin.
        seed: All randomness comes from it.
    """

    step_seconds: int
    horizon: int
    origins: int
    stride: int
    calibration: int
    spacing: int
    history: int
    refit: bool = False
    seed: int = 0

    @property
    def least(self) -> int:
        """How many values must lie before an origin's first step: a day, so that a day comes again."""
        return max(2, DAY // self.step_seconds)

    def scored(self, length: int) -> list[int]:
        """Answer the indexes of the first steps forecast from the scored origins of a series."""
        last = length - self.horizon
        return [last - (self.origins - 1 - index) * self.stride for index in range(self.origins)]

    def calibrating(self, length: int) -> list[int]:
        """Answer the same of the calibration origins, those with too short a past left out."""
        first = self.scored(length)[0]
        starts = [first - (self.calibration - index) * self.spacing for index in range(self.calibration)]
        return [start for start in starts if start >= self.least]

    def starts(self, length: int) -> list[int]:
        """Answer both, ascending."""
        return [*self.calibrating(length), *self.scored(length)]


def usual(
    freq: str,
    *,
    origins: int = 8,
    stride: int | None = None,
    horizon: int = 48,
    calibration: int = 6,
    spacing: int | None = None,
    days: int | None = None,
    refit: bool | None = None,
    seed: int = 0,
) -> Plan:
    """Answer a plan on a grid of `FREQUENCIES`, with what is usual there for what is not given.

    Args:
        freq: Which grid; the other arguments are those of `Plan`.
        origins: See there.
        stride: See there.
        horizon: See there.
        calibration: See there.
        spacing: See there.
        days: How many days of the past models are shown.
        refit: See there.
        seed: See there.
    """
    step = FREQUENCIES[freq]
    return Plan(
        step_seconds=step,
        horizon=horizon,
        origins=origins,
        stride=stride or STRIDES[freq],
        calibration=calibration,
        spacing=spacing or SPACINGS[freq],
        history=(days * DAY if days else HISTORIES[freq]) // step,
        refit=REFITS[freq] if refit is None else refit,
        seed=seed,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A series to forecast, and what is known about it.

    Attributes:
        series: All of it, the future too: only this file cuts it.
        source: Which file it is from: columns of one file move together.
        events: Past and planned.
    """

    series: Series
    source: str
    events: tuple[Event, ...] = ()

    def window(self, start: int, history: int | None) -> Window:
        """Answer what is known before a step, `history` values of it or all."""
        past = self.series.until(start)
        return Window(past if history is None else past.newest(history), self.events)

    def shown(self, start: int, history: int | None) -> Window:
        """Answer what models are shown of that: demand out of which past events were taken."""
        window = self.window(start, history)
        return clean(window).window if window.events else window

    def actuals(self, starts: Sequence[int], horizon: int) -> FloatArray:
        """Answer what came, shape (len(starts), horizon)."""
        return np.stack([self.series.values[start : start + horizon] for start in starts])

    def times(self, starts: Sequence[int]) -> NDArray[np.int64]:
        """Answer the times of the last values seen, shape (len(starts),)."""
        last = np.asarray(starts, dtype=np.int64) - 1
        return self.series.start + self.series.step_seconds * last


def bounded(case: Case, plan: Plan) -> Case:
    """Answer a case whose upper bound is known where its name and its values before the first origin say so.

    Later values are not asked, since a bound that was found in the future would be a look at it.
    """
    name = case.series.id.lower()
    before = case.series.values[: plan.starts(len(case.series))[0]]
    seen = before[np.isfinite(before)]
    if any(word in name for word in BOUNDED) and seen.size and seen.max() <= PERCENT:
        return replace(case, series=replace(case.series, upper=PERCENT))
    return case


def learnable(cases: Sequence[Case], first: dict[str, int]) -> list[Window]:
    """Answer what global models may learn from: of each series all before its source's first origin.

    Args:
        cases: All of one grid.
        first: By the series' id, the index of the first step forecast with what is learned.
    """
    cut: dict[str, int] = {}
    for case in cases:
        time = case.series.start + first[case.series.id] * case.series.step_seconds
        cut[case.source] = min(cut.get(case.source, time), time)
    windows = []
    for case in cases:
        length = (cut[case.source] - case.series.start) // case.series.step_seconds
        windows.append(case.shown(max(0, length), None))
    return windows
