"""What the service needs of the leader: measured demand, which only the leader keeps.

`controlplane.rpc.forecasts` asks through the port; the leader's forecasting loop implements it and lays its
work on the desk while it leads. Everything else that the service answers is in the store, where any replica
reads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from enchain.chains.names import ForecastName
from enchain.v1 import forecast_pb2


class ForecastWork(Protocol):
    """What the leader knows beyond the store."""

    async def demand(self, name: ForecastName, window_seconds: int) -> forecast_pb2.DemandHistory:
        """Answer the measured demand behind a forecast, and what was forecast of it.

        Args:
            name: The forecast; it need not exist yet.
            window_seconds: How far back.

        Returns:
            Demand on the grid of the forecast; no values, and `data.points` 0, where nothing was measured.

        Raises:
            NotFoundError: Nothing is forecast on such a grid.
        """


class Desk:
    """Where the leader's work lies for the service of the same process; empty while another replica leads."""

    def __init__(self) -> None:
        self._work: ForecastWork | None = None

    @property
    def work(self) -> ForecastWork | None:
        """The work of this replica; None where it does not lead, or has not begun to."""
        return self._work

    @contextmanager
    def taken(self, work: ForecastWork) -> Iterator[None]:
        """Lay work on the desk for as long as this replica leads."""
        self._work = work
        try:
            yield
        finally:
            self._work = None
