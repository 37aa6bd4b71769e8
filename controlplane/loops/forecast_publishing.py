"""Turning members' forecasts into what is stored: combined, adjusted for events, judged, written.

The forecasting loop calls it, as leader. It keeps the tracks; what it decides is pure and done in a thread.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from controlplane.catalog.documents import scan
from controlplane.demand.signals import Signal
from controlplane.forecast.accuracy import accuracy_message, judged
from controlplane.forecast.assembly import shares, warnings_of
from controlplane.forecast.combination import Combined
from controlplane.forecast.documents import Made, forecast_message, recent_max
from controlplane.forecast.drift import Drift, Seen, checked, kept, relative_loss, stability
from controlplane.forecast.grids import Grid
from controlplane.forecast.ladder import Rung, measured, rung
from controlplane.forecast.planned import Planned, planned_for
from controlplane.forecast.registry import COMBINED
from controlplane.forecast.scores import seasonal_error
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.members import Members
from controlplane.loops.forecast_combining import Combining
from controlplane.loops.forecast_inputs import Input
from enchain.chains.errors import OurError
from enchain.chains.names import ForecastName
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Delete, Put, Store, Txn
from enchain.v1 import forecast_pb2

RUNGS = {
    "minutes": forecast_pb2.FORECAST_RUNG_MINUTES,
    "hours": forecast_pb2.FORECAST_RUNG_HOURS,
    "days": forecast_pb2.FORECAST_RUNG_DAYS,
    "weeks": forecast_pb2.FORECAST_RUNG_WEEKS,
}

PUBLISHED = "Published"
"""In tracks, the forecast with what is planned taken in; `Combined` is the one without, and models are judged
on demand out of which events were taken."""

WRITES_MAX = 16
"""Forecasts written in one transaction: some 30 KB each with and without events."""

_log = get_logger(__name__)
_meter = meter(__name__)
_coverage = _meter.create_gauge(
    "enchain.forecast.coverage", "1", "Share of values within the 10-90 % band, by forecast."
)
_relative = _meter.create_gauge(
    "enchain.forecast.relative_wql", "1", "Loss against the seasonal naive forecast, by forecast."
)
_unusable = _meter.create_counter(
    "enchain.forecast.unusable", "{forecast}", "Forecasts that were not finite, and were not published."
)


@dataclass(frozen=True, slots=True)
class Written:
    """What one refresh writes."""

    forecasts: tuple[Put, ...]
    accuracies: tuple[Put, ...]


class Publisher:
    """Publishes forecasts of one term.

    Args:
        store: Fenced.
        book: The tracks.
        combining: Combines.
        clock: Time.
    """

    def __init__(self, store: Store, book: Trackbook, combining: Combining, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._combining = combining
        self._clock = clock
        self._drifts: dict[str, Drift] = {}

    def allowed(self, inputs: Sequence[Input]) -> list[frozenset[str]]:
        """Answer which models may have weight, per series: those of its rung that have not drifted away."""
        return [
            frozenset(kept(self._drift(each), rung(measured(each.window.series)).models)) for each in inputs
        ]

    async def publish(
        self,
        inputs: Sequence[Input],
        members: Members,
        allowed: Sequence[frozenset[str]],
        versions: Mapping[str, str],
        grid: Grid,
    ) -> None:
        """Combine, and write everything.

        Raises:
            LeadershipLostError: The term is over.
            UnavailableError: The store is away.
        """
        now = self._clock.now()
        combined = await self._combining.combined(inputs, members.quantiles, allowed, grid)
        written = await asyncio.to_thread(self._decide, inputs, members, combined, versions, now)
        puts = [*written.forecasts, *written.accuracies]
        for first in range(0, len(puts), WRITES_MAX):
            await self._store.commit(Txn(success=tuple(puts[first : first + WRITES_MAX])))
        await self._forget(grid)

    def _decide(
        self,
        inputs: Sequence[Input],
        members: Members,
        combined: Combined,
        versions: Mapping[str, str],
        now: datetime,
    ) -> Written:
        """Answer what to write. Blocks: it computes, and keeps tracks on disk."""
        forecasts, accuracies = [], []
        for row, each in enumerate(inputs):
            try:
                planned = _planned(each, combined.quantiles[row])
                message = self._message(each, combined, row, planned, members, versions, now)
            except OurError as error:
                _unusable.add(1, {"forecast": each.window.series.id})
                _log.warning("forecast not published", forecast=each.window.series.id, fault=error.message)
                continue
            forecasts.append(Put(keys.forecast(each.key.workload, each.forecast), encode(message)))
            if (track := self._kept(each, combined.quantiles[row], planned, row, members)) is not None:
                self._check(each, track)
                accuracies.append(self._accuracy(each, track, now))
        return Written(tuple(forecasts), tuple(accuracies))

    def _message(
        self,
        each: Input,
        combined: Combined,
        row: int,
        planned: Planned,
        members: Members,
        versions: Mapping[str, str],
        now: datetime,
    ) -> forecast_pb2.Forecast:
        data = each.freshness.message()
        stands = rung(measured(each.window.series))
        made = Made(
            workload=each.key.workload,
            signal=each.key.signal,
            step_seconds=each.grid.step_seconds,
            created=now,
            origin=each.window.series.last,
            quantiles=planned.quantiles,
            without_events=planned.without,
            rung=RUNGS[stands.name],
            bucket_ends=combined.buckets,
            models=shares(combined, row, members.failures, versions, stands.models),
            events=_effects(each, planned),
            data=data,
            recent_max=recent_max(each.window.series),
            warnings=[
                *warnings_of(each.window, combined, row, members.failures, data, each.freshness.fault),
                *planned.warnings,
                *each.warnings,
                *_about_models(stands, self._drift(each)),
            ],
        )
        return forecast_message(made)

    def _kept(
        self, each: Input, combined: FloatArray, planned: Planned, row: int, members: Members
    ) -> Track | None:
        """Keep what the members forecast now and then, to be compared with what comes.

        Returns:
            The track as it was before, with all that has come since; None where it is not yet time.
        """
        series, grid = each.cleaned.series, each.grid
        entry = self._book.entry(series.id)
        newest = None if entry is None else entry.newest
        if newest is not None and series.last - newest < grid.keep_every * grid.step_seconds:
            return None
        track = self._book.known(series, grid.horizon)
        found = {name: array[row] for name, array in members.quantiles.items()}
        whole = {name: one for name, one in found.items() if np.isfinite(one).all()}
        whole |= {COMBINED: combined, PUBLISHED: planned.quantiles}
        self._book.put(series.id, track.with_origin(series.last, whole))
        return track

    def _drift(self, each: Input) -> Drift:
        return self._drifts.get(each.window.series.id, Drift())

    def _check(self, each: Input, track: Track) -> None:
        """See whether the models of a series are still to be believed."""
        series = each.cleaned.series
        relative, origins = relative_loss(track, COMBINED)
        days = series.values[-series.day :], series.values[: -series.day]
        seen = Seen(relative, origins, stability(*days))
        before, after = self._drift(each), checked(self._drift(each), seen)
        if after.level != before.level:
            _log.warning("models fell back or came again", forecast=series.id, reason=after.reason)
        self._drifts[series.id] = after

    def _accuracy(self, each: Input, track: Track, now: datetime) -> Put:
        name = ForecastName(each.key.workload, each.forecast)
        names = [name for name in track.members if name != PUBLISHED]
        found = judged(track, seasonal_error(each.cleaned.series), names)
        message = accuracy_message(name.accuracy, found, _drifted(self._drift(each)))
        message.update_time.FromDatetime(now)
        for model in message.models:
            if model.model == COMBINED and model.buckets:
                labels = {"workload": each.key.workload, "forecast": each.forecast}
                _coverage.set(model.buckets[-1].coverage_80, labels)
                _relative.set(model.buckets[-1].relative_wql, labels)
        return Put(keys.accuracy(each.key.workload, each.forecast), encode(message))

    async def _forget(self, grid: Grid) -> None:
        """Delete forecasts of workloads that were deleted, and how their models did."""
        alive = {
            item.key.removeprefix(keys.WORKLOADS)
            async for item in scan(self._store, keys.WORKLOADS, keys_only=True)
        }
        for prefix in (keys.FORECASTS, keys.ACCURACY):
            async for item in scan(self._store, prefix, keys_only=True):
                workload, _, forecast = item.key.removeprefix(prefix).partition("/")
                if workload not in alive and forecast.endswith(f"-{grid.id}"):
                    await self._store.commit(Txn(success=(Delete(item.key),)))
                    await asyncio.to_thread(self._book.forget, f"{workload}/{forecast}")


def _planned(each: Input, quantiles: FloatArray) -> Planned:
    """Take in what is planned. Stated peaks speak of requests, and of nothing else."""
    peaks = each.key.signal is Signal.REQUESTS and rung(measured(each.window.series)).peaks
    return planned_for(each.window, quantiles, each.learned, peaks=peaks)


def _effects(each: Input, planned: Planned) -> list[forecast_pb2.EventEffect]:
    answer = []
    for effect in planned.effects:
        message = forecast_pb2.EventEffect(
            event=f"workloads/{each.key.workload}/plannedEvents/{effect.event.name}",
            uplift=float(f"{effect.uplift:.4g}"),
            uplift_spread=float(f"{effect.spread:.4g}"),
            learned_from=effect.learned_from,
        )
        if effect.event.expected_uplift is not None:
            message.expected_uplift = effect.event.expected_uplift
        answer.append(message)
    return answer


def _about_models(stands: Rung, drift: Drift) -> list[forecast_pb2.ForecastWarning]:
    """Say why not all models were asked."""
    found = _drifted(drift)
    if stands.reason:
        found.append(forecast_pb2.ForecastWarning(reason="SHORT_HISTORY", description=stands.reason))
    return found


def _drifted(drift: Drift) -> list[forecast_pb2.ForecastWarning]:
    if not drift.level:
        return []
    remedy = "Models come back by themselves once they are better again; `enchain forecast train` may help."
    return [forecast_pb2.ForecastWarning(reason="DRIFT", description=drift.reason, remedy=remedy)]
