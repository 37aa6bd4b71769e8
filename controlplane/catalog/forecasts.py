"""Forecasts and their accuracy, read from the store; and what is missing where there is none.

`controlplane.rpc.forecasts` calls it. The leader writes what is read here.
"""

from collections.abc import Sequence

from controlplane.catalog.documents import Document, parse, read, readable, scan
from controlplane.catalog.paging import Page, cut
from controlplane.catalog.removal import not_found
from enchain.chains.errors import NotFoundError
from enchain.chains.names import ForecastName
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import forecast_pb2

MINUTE = 60

REMEDIES = {
    "requests": "Provision something of the workload; requests are counted when their operations end.",
    "": "Export metrics to the control plane over OTLP, or name a query in the workload's demand.prometheus.",
}
"""What to do where nothing was measured, by signal; the last one is for all that are not here."""

Forecasts = Sequence[forecast_pb2.Forecast]


class ForecastCatalog:
    """All forecasts.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, name: ForecastName) -> forecast_pb2.Forecast | None:
        """Answer a forecast, or None."""
        key = keys.forecast(name.workload, name.forecast)
        document = await read(self._store, forecast_pb2.Forecast, key)
        return None if document is None else _named(document)

    async def list(self, workload: str, page: Page) -> tuple[Forecasts, str]:
        """Answer a page of the forecasts of a workload, or of all where it is empty, and the next token."""
        prefix = keys.forecasts_of(workload) if workload else keys.FORECASTS
        found = [item.key async for item in scan(self._store, prefix, keys_only=True)]
        shown, token = cut(sorted(found), page, str)
        items = [await self._store.get(key) for key in shown]
        documents = readable(forecast_pb2.Forecast, [item for item in items if item])
        return [_named(document) for document in documents], token

    async def accuracy(self, name: ForecastName) -> forecast_pb2.ForecastAccuracy:
        """Answer how good a forecast has been.

        Raises:
            NotFoundError: There is no such workload or no such forecast, or none of it has come true yet.
        """
        item = await self._store.get(keys.accuracy(name.workload, name.forecast))
        if item is not None:
            answer = parse(forecast_pb2.ForecastAccuracy, item).message
            answer.name = name.accuracy
            return answer
        await self.require_workload(name)
        if await self.find(name) is None:
            raise NotFoundError(
                f"{name} has not been made yet",
                reason="NO_FORECAST_YET",
                remedy=f"Ask why: enchain forecast show {name.workload}.",
                metadata={"name": str(name)},
            )
        raise NotFoundError(
            f"no forecast of {name} has come true yet, so nothing is known of its accuracy",
            reason="NO_ACCURACY_YET",
            remedy="Wait until what was forecast has been measured.",
            metadata={"name": str(name)},
        )

    async def require_workload(self, name: ForecastName) -> None:
        """Refuse a workload that is not there.

        Raises:
            NotFoundError: There is no such workload.
        """
        if await self._store.get(keys.workload(name.workload)) is None:
            raise not_found(name.workload)

    async def others(self, name: ForecastName) -> Sequence[str]:
        """Answer the ids of the forecasts that the workload has."""
        prefix = keys.forecasts_of(name.workload)
        return [item.key.removeprefix(prefix) async for item in scan(self._store, prefix, keys_only=True)]


def missing(
    name: ForecastName, others: Sequence[str], demand: forecast_pb2.DemandHistory | None
) -> NotFoundError:
    """Say why there is no forecast, and what to do.

    Args:
        name: The forecast that was asked for.
        others: Ids of those that there are.
        demand: What was measured; None where nobody could tell.
    """
    signal = name.forecast.partition("-")[0]
    there = f"; there are {', '.join(others)}" if others else ""
    minutes = 0 if demand is None else _minutes(demand.data)
    if demand is None:
        why, reason = "and the leader, which knows why, does not answer", "NO_FORECAST"
        remedy = "Ask again in a moment."
    elif demand.data.points == 0:
        why, reason = f"since nothing was measured of {signal}", "NOTHING_MEASURED"
        remedy = REMEDIES.get(signal, REMEDIES[""])
    else:
        why, reason = f"since there are only {minutes} minutes of history", "SHORT_HISTORY"
        remedy = "Wait for the next refresh; even short history is forecast from, with wide bounds."
    return NotFoundError(
        f"there is no {name} yet, {why}{there}",
        reason=reason,
        remedy=remedy,
        metadata={"name": str(name), "minutes": str(minutes)},
    )


def _minutes(data: forecast_pb2.DataFreshness) -> int:
    return max(0, data.last_time.seconds - data.first_time.seconds) // MINUTE


def _named(document: Document[forecast_pb2.Forecast]) -> forecast_pb2.Forecast:
    """Name a forecast by its key."""
    workload, _, forecast = document.key.removeprefix(keys.FORECASTS).partition("/")
    document.message.name = str(ForecastName(workload, forecast))
    return document.message
