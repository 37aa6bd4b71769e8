"""Measured demand, as the forecasting loop and the forecast service read it.

`controlplane.main` makes one `Demand` over the history. It reads, and never writes; it chooses one source for
each series and never mixes two. Only the replica that leads has a history that is open: elsewhere every call
ends with `UnavailableError`, and succeeds some time after a leader was elected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from controlplane.demand.grid import coarser
from controlplane.demand.signals import CELL_SECONDS, GRIDS, DemandKey, Signal, Source
from controlplane.forecast.series import DAY, FloatArray, Series
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import forecast_pb2

TRUST_SECONDS = DAY
"""A source is believed until it is so far behind another one. A Prometheus that is down for hours leaves a
gap, rather than figures that mean something else; one whose query was taken away is given up after a day."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh and how whole a series is. Times are beginnings of cells, seconds since the epoch.

    Attributes:
        first: Of the first value; 0 where there is none.
        last: Of the last value; 0 where there is none.
        points: Values, gaps not counted.
        gaps: Share of the grid from the first value to the end of the window that is missing, in 0..1.
        rejected: Samples left out within the window, by reason.
        source: Where the values come from; empty where there are none.
        fault: What is wrong with the source now, in words; empty where all is well.
    """

    first: int = 0
    last: int = 0
    points: int = 0
    gaps: float = 0.0
    rejected: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    fault: str = ""

    def message(self) -> forecast_pb2.DataFreshness:
        """Answer it as the wire contract has it."""
        answer = forecast_pb2.DataFreshness(
            points=self.points, gaps=self.gaps, rejected=self.rejected, source=self.source
        )
        if self.points:
            answer.first_time.FromSeconds(self.first)
            answer.last_time.FromSeconds(self.last)
        return answer


class Readable(Protocol):
    """What is read: `controlplane.demand.history.History`."""

    async def keys(self) -> Sequence[DemandKey]:
        """Answer what there are figures of."""

    async def read(self, key: DemandKey, start: int, end: int) -> Mapping[Source, FloatArray]:
        """Answer the 5 min cells of each source, shape ((end - start) / 300,), NaN for gaps."""

    async def rejected(self, key: DemandKey, since: int) -> Mapping[str, int]:
        """Answer how many samples were left out since then, by reason."""

    def fault(self, key: DemandKey) -> str:
        """Answer what is wrong with the source now."""


class Demand:
    """Measured demand of all workloads.

    Args:
        history: Where it is kept.
    """

    def __init__(self, history: Readable) -> None:
        self._history = history

    async def keys(self) -> Sequence[DemandKey]:
        """Answer what there are figures of, in order.

        Raises:
            UnavailableError: This replica does not lead, or its history is not open yet.
        """
        return sorted(await self._history.keys())

    async def series(
        self, workload: str, signal: Signal, step_seconds: int, until: int, window: int
    ) -> Series:
        """Answer demand on a grid, without the gaps before the first value. See `measured`."""
        return (await self.measured(workload, signal, step_seconds, until, window))[0]

    async def freshness(
        self, workload: str, signal: Signal, step_seconds: int, until: int, window: int
    ) -> Freshness:
        """Answer how fresh and how whole that is. See `measured`."""
        return (await self.measured(workload, signal, step_seconds, until, window))[1]

    async def measured(
        self, workload: str, signal: Signal, step_seconds: int, until: int, window: int
    ) -> tuple[Series, Freshness]:
        """Answer demand on a grid, and how fresh and how whole it is.

        Args:
            workload: Its id.
            signal: Which signal.
            step_seconds: 300 or 3600.
            until: Seconds since the epoch. The last cell is the last that has ended by then. What is sent may
                be under way for a minute, so ask for a minute ago to have whole cells.
            window: For how many seconds back.

        Returns:
            The series, named such as `site/cpu-5m`. It begins with its first value and goes on to `until`:
            where nothing was measured lately it ends with NaN. It is empty where there is no value at all.

        Raises:
            InvalidArgumentError: There is no such grid.
            UnavailableError: This replica does not lead, or its history is not open yet.
        """
        if step_seconds not in GRIDS:
            raise InvalidArgumentError(
                f"there is no grid of {step_seconds} s",
                reason="NO_SUCH_GRID",
                remedy=f"Ask for one of {', '.join(map(str, GRIDS))} s.",
            )
        key = DemandKey(workload, signal)
        end = until // step_seconds * step_seconds
        start = (until - window) // step_seconds * step_seconds
        source, values = chosen(await self._history.read(key, start, end))
        values = coarser(values, step_seconds // CELL_SECONDS)
        rejected = await self._history.rejected(key, start)
        series = _trimmed(f"{workload}/{signal}-{GRIDS[step_seconds]}", start, step_seconds, values)
        return series, _freshness(series, source, rejected, self._history.fault(key))


def chosen(found: Mapping[Source, FloatArray]) -> tuple[Source | None, FloatArray]:
    """Choose the source to believe: the most trusted one that is not a day behind another.

    Args:
        found: 5 min cells of one window by source, all of one shape.
    """
    newest = {source: int(np.flatnonzero(np.isfinite(cells))[-1]) for source, cells in found.items()
              if np.isfinite(cells).any()}  # fmt: skip
    if not newest:
        return None, np.empty(0)
    latest = max(newest.values())
    kept = [source for source in Source if source in newest
            and (latest - newest[source]) * CELL_SECONDS <= TRUST_SECONDS]  # fmt: skip
    return kept[0], found[kept[0]]


def _trimmed(name: str, start: int, step_seconds: int, values: FloatArray) -> Series:
    there = np.flatnonzero(np.isfinite(values))
    first = int(there[0]) if len(there) else len(values)
    return Series(name, start + first * step_seconds, step_seconds, values[first:])


def _freshness(series: Series, source: Source | None, rejected: Mapping[str, int], fault: str) -> Freshness:
    there = np.flatnonzero(np.isfinite(series.values))
    if not len(there):
        return Freshness(rejected=rejected, fault=fault)
    return Freshness(
        first=series.start,
        last=series.start + int(there[-1]) * series.step_seconds,
        points=len(there),
        gaps=1 - len(there) / len(series),
        rejected=rejected,
        source=source or "",
        fault=fault,
    )
