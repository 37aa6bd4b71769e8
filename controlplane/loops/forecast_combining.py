"""Has the worker combine the members' forecasts; where it is down, combines here, a few series at a time.

The forecasting loop's publisher calls it. A few at a time so that the past of all series is never in this
process's memory at once; what is pooled over series is then pooled over those few alone.
"""

import asyncio
from collections.abc import Mapping, Sequence

from controlplane.forecast.assembly import present
from controlplane.forecast.combination import Combined, combine
from controlplane.forecast.grids import Grid
from controlplane.forecast.series import FloatArray
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.client import Worker, reason_of
from controlplane.forecast.worker.combining import combined_of, joined, question
from controlplane.loops.forecast_inputs import Input
from enchain.chains.errors import EnchainError
from enchain.process.logs import get_logger

DEADLINE_SECONDS = 60.0

FEW = 8
"""Series combined at once in this process."""

_log = get_logger(__name__)


class Combining:
    """Combines.

    Args:
        worker: Where it is done.
        book: How the models did.
    """

    def __init__(self, worker: Worker, book: Trackbook) -> None:
        self._worker = worker
        self._book = book

    async def combined(
        self,
        inputs: Sequence[Input],
        members: Mapping[str, FloatArray],
        allowed: Sequence[frozenset[str]],
        grid: Grid,
    ) -> Combined:
        """Combine what the members forecast, each of shape (len(inputs), horizon, levels)."""
        windows = [each.cleaned for each in inputs]
        places = [self._book.place(each.cleaned.series.id) for each in inputs]
        body, arrays = question(windows, members, allowed, places, grid.horizon)
        try:
            answer = await self._worker.ask("combine", body, arrays, deadline_seconds=DEADLINE_SECONDS)
        except EnchainError as error:
            _log.warning("combining without the worker", grid=grid.id, reason=reason_of(error))
            return await asyncio.to_thread(self._here, inputs, members, allowed, grid)
        return combined_of(answer.body, answer.arrays)

    def _here(
        self,
        inputs: Sequence[Input],
        members: Mapping[str, FloatArray],
        allowed: Sequence[frozenset[str]],
        grid: Grid,
    ) -> Combined:
        parts = []
        for first in range(0, len(inputs), FEW):
            few = slice(first, first + FEW)
            windows = [each.cleaned for each in inputs[few]]
            tracks = [self._book.known(each.series, grid.horizon) for each in windows]
            theirs = {name: array[few] for name, array in members.items()}
            parts.append(combine(tracks, present(windows, theirs, grid.horizon, allowed[few])))
        return joined(parts)
