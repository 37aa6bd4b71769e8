"""Forecasts the past of series whose models were never judged: weights need something to go by.

The forecasting loop calls it at each refresh. A few series are asked for at a time and no others are begun
once a refresh has spent its time on it, so that a hundred new series wait their turn, and not everybody for
them. Models that came later, such as a network that has just been trained, are judged on the past as well.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from controlplane.forecast.grids import Grid
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.client import Worker, reason_of
from controlplane.forecast.worker.members import Members
from controlplane.forecast.worker.wire import windows_out
from controlplane.loops.forecast_asked import Asked
from controlplane.loops.forecast_inputs import Input
from enchain.chains.errors import EnchainError
from enchain.process.logs import get_logger

FEW = 8
"""Series whose past is forecast at once."""

LOOK_BACK_SECONDS = 40.0
"""How long one refresh looks back, the last few series begun within it included only at their beginning."""

DEADLINE_SECONDS = 240.0
BUDGET_SECONDS = 200.0
"""How long the models of a few series may learn: far more than they need, and less than the deadline."""

_log = get_logger(__name__)


class LookingBack:
    """Begins tracks.

    Args:
        worker: Where models run.
        book: The tracks.
        monotonic: Seconds that only grow.
    """

    def __init__(self, worker: Worker, book: Trackbook, *, monotonic: Callable[[], float]) -> None:
        self._worker = worker
        self._book = book
        self._monotonic = monotonic
        self._judged: dict[str, frozenset[str]] = {}

    async def look_back(self, inputs: Sequence[Input], members: Members, asked: Asked, grid: Grid) -> int:
        """Judge what was not judged yet, within this refresh's time; answer how many series still wait.

        Args:
            inputs: All series of the grid.
            members: What they forecast now: what has no forecast now is not looked back for.
            asked: What the worker was asked for.
            grid: The grid.
        """
        lacking = await asyncio.to_thread(self.lacking, inputs, members)
        until = self._monotonic() + LOOK_BACK_SECONDS
        for first in range(0, len(lacking), FEW):
            if first and self._monotonic() >= until:
                return len(lacking) - first
            few = lacking[first : first + FEW]
            if not await self._few([inputs[index] for index in few], asked.of(few), grid):
                return len(lacking) - first
        return 0

    def lacking(self, inputs: Sequence[Input], members: Members) -> list[int]:
        """Answer which series have a day to look back on, and models that were never judged. Blocks."""
        there = {
            name: np.atleast_1d(np.isfinite(array).all(axis=(1, 2)))
            for name, array in members.quantiles.items()
        }
        answer = []
        for index, each in enumerate(inputs):
            series = each.cleaned.series
            if len(series) < each.grid.back[0] + series.day:
                continue
            entry = self._book.entry(series.id)
            known = self._judged.get(series.id, frozenset()) | (entry.members if entry else frozenset())
            if entry is None or any(finite[index] for name, finite in there.items() if name not in known):
                answer.append(index)
        return answer

    def judge(self, inputs: Sequence[Input], arrays: Mapping[str, FloatArray], grid: Grid) -> None:
        """Put what the models would have forecast of the past into tracks. Blocks.

        Args:
            inputs: Those that were looked back for.
            arrays: `model@number of the origin`, shape (n, horizon, levels).
            grid: Their grid.
        """
        for row, each in enumerate(inputs):
            series = each.cleaned.series
            track = self._book.known(series, grid.horizon)
            for number, back in enumerate(grid.back):
                suffix = f"@{number}"
                found = {
                    name.removesuffix(suffix): array[row]
                    for name, array in arrays.items()
                    if name.endswith(suffix)
                }
                origin = series.last - back * grid.step_seconds
                # What was really forecast from there stands.
                track = track.with_origin(origin, found | _at(track, origin))
            self._book.put(series.id, track.with_actuals(series))

    async def _few(self, inputs: Sequence[Input], asked: Asked, grid: Grid) -> bool:
        said, arrays = windows_out([each.cleaned for each in inputs])
        body = {**asked.body(grid, BUDGET_SECONDS), "windows": said, "back": list(grid.back)}
        try:
            answer = await self._worker.ask("rolling", body, arrays, deadline_seconds=DEADLINE_SECONDS)
        except EnchainError as error:
            _log.warning("past not forecast", grid=grid.id, reason=reason_of(error), fault=error.message)
            return False
        for index, each in enumerate(inputs):
            # What failed counts as judged too: it is not tried again at each refresh.
            before = self._judged.get(each.cleaned.series.id, frozenset())
            self._judged[each.cleaned.series.id] = before | asked.models(index)
        await asyncio.to_thread(self.judge, inputs, answer.arrays, grid)
        return True


def _at(track: Track, origin: int) -> dict[str, FloatArray]:
    """Answer what is known to have been forecast from an origin."""
    rows = np.flatnonzero(track.origins == origin)
    if not len(rows):
        return {}
    found = zip(track.members, track.forecasts[rows[0]], strict=True)
    return {name: array for name, array in found if np.isfinite(array).all()}
