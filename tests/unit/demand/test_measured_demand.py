"""What the forecasts read: one source for each series, on the grid asked for, and how fresh it is."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from controlplane.demand.measured import Demand, Freshness, chosen
from controlplane.demand.signals import CELL_SECONDS, DemandKey, Signal, Source, signal_of
from controlplane.forecast.series import FloatArray
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import forecast_pb2

NAN = float("nan")
START = 1_767_225_600
HOUR = 3600


class Kept:
    """Figures of one key, from START on."""

    def __init__(self, figures: Mapping[Source, Sequence[float]]) -> None:
        self._figures = figures

    async def keys(self) -> Sequence[DemandKey]:
        return [DemandKey("b", Signal.CPU), DemandKey("a", Signal.MEMORY)]

    async def read(self, key: DemandKey, start: int, end: int) -> Mapping[Source, FloatArray]:
        assert key == DemandKey("site", Signal.CPU)
        found = {}
        for source, figures in self._figures.items():
            cells = np.full((end - start) // CELL_SECONDS, NAN)
            for index, figure in enumerate(figures):
                place = (START - start) // CELL_SECONDS + index
                if 0 <= place < len(cells):
                    cells[place] = figure
            found[source] = cells
        return found

    async def rejected(self, key: DemandKey, since: int) -> Mapping[str, int]:
        assert since % CELL_SECONDS == 0
        return {"NAN": 2} if key.signal is Signal.CPU else {}

    def fault(self, key: DemandKey) -> str:
        return "it is down" if key.signal is Signal.CPU else ""


async def test_a_series_begins_with_its_first_value_and_goes_on_to_the_end_of_the_window() -> None:
    demand = Demand(Kept({Source.OTLP: [NAN, 1, NAN, 3]}))

    series, fresh = await demand.measured("site", Signal.CPU, 300, START + 5 * 300 + 299, 20 * 300)

    assert (series.id, series.start, series.step_seconds) == ("site/cpu-5m", START + 300, 300)
    np.testing.assert_equal(series.values, [1, NAN, 3, NAN])
    assert fresh == Freshness(START + 300, START + 900, 2, 0.5, {"NAN": 2}, "otlp", "it is down")


async def test_an_hour_is_whole_or_it_is_not_there() -> None:
    demand = Demand(Kept({Source.OTLP: [2] * 12 + [4] * 12 + [8] * 11}))

    series = await demand.series("site", Signal.CPU, HOUR, START + 35 * 300, 5 * HOUR)

    assert series.id == "site/cpu-1h"
    assert series.values.tolist() == [2, 4]
    assert (await demand.freshness("site", Signal.CPU, HOUR, START + 36 * 300, 5 * HOUR)).points == 3


async def test_where_nothing_was_measured_the_series_is_empty_and_says_so() -> None:
    series, fresh = await Demand(Kept({})).measured("site", Signal.CPU, HOUR, START, 5 * HOUR)

    assert len(series) == 0
    assert fresh.message() == forecast_pb2.DataFreshness(rejected={"NAN": 2})


async def test_keys_come_in_order() -> None:
    assert [key.workload for key in await Demand(Kept({})).keys()] == ["a", "b"]


async def test_a_grid_that_is_not_kept_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await Demand(Kept({})).series("site", Signal.CPU, 60, START, HOUR)

    assert caught.value.reason == "NO_SUCH_GRID"


def test_a_source_is_trusted_until_it_is_a_day_behind_another() -> None:
    day = 288
    stale = np.full(2 * day, NAN)
    stale[0] = 1
    fresh = np.ones(2 * day)

    assert chosen({Source.OTLP: fresh[:100], Source.PROMETHEUS: stale[:100]})[0] is Source.PROMETHEUS
    assert chosen({Source.OTLP: fresh, Source.PROMETHEUS: stale})[0] is Source.OTLP
    assert chosen({Source.PROMETHEUS: stale})[0] is Source.PROMETHEUS
    assert chosen({Source.OTLP: np.full(3, NAN)})[0] is None


def test_freshness_says_on_the_wire_what_it_says_here() -> None:
    message = Freshness(START, START + 300, 2, 0.25, {"NAN": 1}, "otlp").message()

    assert (message.first_time.seconds, message.last_time.seconds) == (START, START + 300)
    assert (message.points, message.gaps, dict(message.rejected)) == (2, 0.25, {"NAN": 1})


def test_signals_are_found_by_their_wire_name() -> None:
    assert signal_of(forecast_pb2.DEMAND_SIGNAL_NETWORK) is Signal.NETWORK
    assert signal_of(forecast_pb2.DEMAND_SIGNAL_UNSPECIFIED) is None
