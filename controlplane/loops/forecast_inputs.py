"""What the forecasting loops read before they forecast: demand, planned events, stated peaks.

Only the leader's loops call it. It reads the history and the store and decides nothing; a value that somebody
put by hand and that cannot be read costs itself alone.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.catalog.documents import readable, scan
from controlplane.catalog.events import planned_events
from controlplane.demand.measured import Demand, Freshness
from controlplane.demand.signals import DemandKey
from controlplane.forecast.documents import event_of, forecast_id
from controlplane.forecast.events.adjust import Cleaned, clean
from controlplane.forecast.events.uplift import Learned
from controlplane.forecast.grids import Grid
from controlplane.forecast.holidays import HOLIDAY, holiday_flags
from controlplane.forecast.peaks import PEAKS, Peak, peak_rates
from controlplane.forecast.series import Event, FloatArray, Series, Window
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import PlannedEventName, workload_id
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import forecast_pb2, workload_pb2

INSTALL = "Install enchain[forecasting] where the control plane runs."

SETTLE_SECONDS = 60
"""What is sent may be under way for so long; a cell is read only then."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the owner of a workload states of its demand.

    Attributes:
        peaks: Stated peaks.
        holidays: The country whose public holidays matter; empty for none.
    """

    peaks: tuple[Peak, ...]
    holidays: str


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One series to forecast, and what is known of it.

    Attributes:
        key: Which signal of which workload.
        grid: On which grid.
        window: What is known, events and what they did included.
        cleaned: What models may know: the same as if there had been no events, and none were planned.
        learned: What past events did, by type.
        freshness: How fresh and whole it is.
        warnings: What could not be taken in, for whoever relies on the forecast.
    """

    key: DemandKey
    grid: Grid
    window: Window
    cleaned: Window
    learned: Mapping[str, Learned]
    freshness: Freshness
    warnings: tuple[forecast_pb2.ForecastWarning, ...] = ()

    @property
    def forecast(self) -> str:
        """The id of its forecast, such as `cpu-5m`."""
        return forecast_id(self.key.signal, self.grid.step_seconds)


async def gather(demand: Demand, store: Store, grid: Grid, now: int) -> list[Input]:
    """Answer everything there is to forecast on a grid, and what is known of it at a time.

    Raises:
        UnavailableError: This replica does not lead, its history is not open yet, or the store is away.
    """
    events, profiles = await _events(store), await _profiles(store)
    until = now - SETTLE_SECONDS
    inputs = []
    for key in await demand.keys():
        if key.workload not in profiles:
            continue  # the workload was deleted; its history goes by age
        series, freshness = await demand.measured(
            key.workload, key.signal, grid.step_seconds, until, grid.window_seconds
        )
        if freshness.points:
            known, warnings = await asyncio.to_thread(_known, series, grid, profiles[key.workload])
            window = Window(series, events.get(key.workload, ()), known)
            cleaned = await asyncio.to_thread(clean, window) if window.events else Cleaned(window, {})
            inputs.append(Input(key, grid, window, cleaned.window, cleaned.learned, freshness, warnings))
    return inputs


def _known(
    series: Series, grid: Grid, profile: Profile
) -> tuple[dict[str, FloatArray], tuple[forecast_pb2.ForecastWarning, ...]]:
    """Answer what is known ahead of a series, and what could not be taken in.

    Stated peaks are rates of requests; other signals take their shape from them.
    """
    covariates: dict[str, FloatArray] = {}
    if profile.peaks:
        covariates[PEAKS] = peak_rates(series, profile.peaks, grid.horizon)
    if not profile.holidays:
        return covariates, ()
    try:
        covariates[HOLIDAY] = holiday_flags(series, profile.holidays, grid.horizon)
    except ImportError:
        told, remedy = "public holidays are not taken in: the library is missing", INSTALL
    except InvalidArgumentError as error:
        told, remedy = f"public holidays are not taken in: {error.message}", error.remedy
    else:
        return covariates, ()
    return covariates, (
        forecast_pb2.ForecastWarning(reason="HOLIDAYS_UNKNOWN", description=told, remedy=remedy),
    )


def learnable(inputs: Sequence[Input]) -> list[Window]:
    """Answer what global models may learn from: everything that is measured."""
    return [each.cleaned for each in inputs if np.isfinite(each.cleaned.series.values).any()]


async def _events(store: Store) -> Mapping[str, tuple[Event, ...]]:
    """Answer the planned events of each workload, past ones too."""
    found: dict[str, list[Event]] = defaultdict(list)
    for message in await planned_events(store):
        found[PlannedEventName.parse(message.name).workload].append(event_of(message))
    return {workload: tuple(events) for workload, events in found.items()}


async def _profiles(store: Store) -> Mapping[str, Profile]:
    """Answer what is stated of each workload's demand."""
    items = [item async for item in scan(store, keys.WORKLOADS)]
    return {
        workload_id(document.message.name, "name"): _profile(document.message.demand)
        for document in readable(workload_pb2.Workload, items)
    }


def _profile(demand: workload_pb2.DemandProfile) -> Profile:
    peaks = (Peak(each.cron, each.duration.seconds, each.rate_per_hour) for each in demand.peaks)
    return Profile(tuple(peaks), demand.holidays)
