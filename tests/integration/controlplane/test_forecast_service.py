"""Forecasts, their accuracy and the demand behind them over gRPC, on real etcd, with and without a leader."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.demand.signals import Signal
from controlplane.forecast.documents import forecast_message
from controlplane.forecast.memory_work import MemoryForecastWork
from controlplane.forecast.serving import Desk
from controlplane.services import assemble
from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.errors import InvalidArgumentError, NotFoundError, UnavailableError
from enchain.chains.names import ForecastName
from enchain.process.clock import SystemClock
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import forecast_pb2, forecast_pb2_grpc, presence_pb2, workload_pb2
from tests.harness.controlplane import Plane, refusal
from tests.harness.forecasts import CPU, ORIGIN, made, publish, with_event

LEADER = keys.leader("controlplane")
Work = MemoryForecastWork


def stub(plane: Plane) -> Any:
    return forecast_pb2_grpc.ForecastServiceStub(plane.channel)


async def get(plane: Plane, name: object = CPU) -> forecast_pb2.Forecast:
    answer: forecast_pb2.Forecast = await stub(plane).GetForecast(
        forecast_pb2.GetForecastRequest(name=str(name))
    )
    return answer


async def demand(plane: Plane, name: ForecastName = CPU, **fields: Any) -> forecast_pb2.DemandHistory:
    answer: forecast_pb2.DemandHistory = await stub(plane).GetDemand(
        forecast_pb2.GetDemandRequest(name=name.demand, **fields)
    )
    return answer


async def accuracy(plane: Plane, name: ForecastName = CPU) -> Any:
    return await stub(plane).GetAccuracy(forecast_pb2.GetAccuracyRequest(name=name.accuracy))


async def leads(store: Store, address: str) -> None:
    """Say in the store that the replica at an address leads."""
    presence = presence_pb2.LeaderPresence(name="controlplanes/other", address=address)
    await put(store, [Put(LEADER, encode(presence))])


@pytest.fixture
async def leader(store: Store, tmp_path: Path) -> AsyncIterator[MemoryForecastWork]:
    """A second replica, which leads; what its leader's loop knows."""
    async with AsyncExitStack() as stack:
        server, desk, work = Server("127.0.0.1:0"), Desk(), MemoryForecastWork()
        artifacts = ArtifactCatalog(DirectoryArtifacts(tmp_path / "leader"))
        assemble(server, store, artifacts, clock=SystemClock(), desk=desk)
        stack.enter_context(desk.taken(work))
        address = await server.start()
        stack.push_async_callback(server.stop, 0)
        await leads(store, address)
        yield work


async def test_a_forecast_is_answered_as_it_was_made(saved: Plane) -> None:
    await publish(saved.store, with_event(made()))

    answer = await get(saved)

    assert answer.etag
    answer.etag = ""
    assert answer == forecast_message(with_event(made()))


async def test_a_workload_that_is_not_there_is_told_as_such(saved: Plane) -> None:
    forecast = await refusal(get(saved, "workloads/none/forecasts/cpu-5m"))
    measured = await refusal(demand(saved, ForecastName("none", "cpu-5m")))
    known = await refusal(accuracy(saved, ForecastName("none", "cpu-5m")))

    assert {error.reason for error in (forecast, measured, known)} == {"WORKLOAD_NOT_FOUND"}


@pytest.mark.parametrize(
    "name",
    ["workloads/site/forecasts/gpu-5m", "workloads/site/forecasts/cpu", "workloads/site", "", "x" * 5000],
)
async def test_what_is_no_forecast_is_refused_with_its_form(saved: Plane, name: str) -> None:
    error = await refusal(get(saved, name))

    assert isinstance(error, InvalidArgumentError)
    assert [fault.field for fault in error.violations] == ["name"]


async def test_a_grid_that_nothing_is_forecast_on_is_told(saved: Plane) -> None:
    assert (await refusal(get(saved, "workloads/site/forecasts/cpu-7m"))).reason == "NO_SUCH_GRID"


async def test_where_nothing_was_measured_the_remedy_says_how_to_measure(saved: Plane, leader: Work) -> None:
    cpu = await refusal(get(saved))
    requests = await refusal(get(saved, "workloads/site/forecasts/requests-5m"))

    assert isinstance(cpu, NotFoundError)
    assert (cpu.reason, requests.reason) == ("NOTHING_MEASURED", "NOTHING_MEASURED")
    assert "OTLP" in cpu.remedy
    assert "Provision" in requests.remedy


async def test_short_history_is_told_in_minutes(saved: Plane, leader: Work) -> None:
    leader.measure(CPU, np.ones(4), start=ORIGIN)

    error = await refusal(get(saved))

    assert error.reason == "SHORT_HISTORY"
    assert "only 15 minutes" in error.message
    assert error.metadata["minutes"] == "15"


async def test_where_nobody_leads_the_missing_forecast_says_so_and_names_the_others(saved: Plane) -> None:
    await publish(saved.store, made(Signal.MEMORY))

    error = await refusal(get(saved))

    assert isinstance(error, NotFoundError)
    assert error.reason == "NO_FORECAST"
    assert "there are memory-5m" in error.message


async def test_forecasts_are_listed_by_workload_or_all_in_pages(saved: Plane) -> None:
    await publish(saved.store, made(Signal.MEMORY), made(Signal.CPU), made(Signal.REQUESTS))
    await put(saved.store, [Put(keys.forecast("site", "network-5m"), b"bad")])

    first = await stub(saved).ListForecasts(
        forecast_pb2.ListForecastsRequest(parent="workloads/site", page_size=2)
    )
    rest = await stub(saved).ListForecasts(
        forecast_pb2.ListForecastsRequest(
            parent="workloads/site", page_size=2, page_token=first.next_page_token
        )
    )
    of_all = await stub(saved).ListForecasts(forecast_pb2.ListForecastsRequest(parent="workloads/-"))

    listed = [*first.forecasts, *rest.forecasts]
    assert [each.name.rpartition("/")[2] for each in listed] == ["cpu-5m", "memory-5m", "requests-5m"]
    assert list(of_all.forecasts) == listed


async def test_accuracy_is_answered_or_what_it_waits_for(saved: Plane) -> None:
    none = await refusal(accuracy(saved))
    await publish(saved.store, made())
    early = await refusal(accuracy(saved))
    known = forecast_pb2.ForecastAccuracy(models=[forecast_pb2.ModelAccuracy(model="Combined")])
    await put(saved.store, [Put(keys.accuracy("site", "cpu-5m"), encode(known))])

    answer = await accuracy(saved)

    assert (none.reason, early.reason) == ("NO_FORECAST_YET", "NO_ACCURACY_YET")
    assert (answer.name, answer.models[0].model) == (CPU.accuracy, "Combined")


async def test_demand_comes_from_the_leader_through_any_replica(saved: Plane, leader: Work) -> None:
    leader.measure(CPU, np.array([1.0, np.nan, 2.5]), start=ORIGIN, past=(forecast_message(made()),))

    answer = await demand(saved)

    np.testing.assert_array_equal(answer.values, [1.0, np.nan, 2.5])
    assert answer.first_time.seconds == ORIGIN
    assert [each.name for each in answer.past_forecasts] == [str(CPU)]


async def test_a_window_cuts_off_what_is_older(saved: Plane, leader: Work) -> None:
    leader.measure(CPU, np.arange(10.0), start=ORIGIN)

    answer = await demand(saved, window=Duration(seconds=900))

    assert list(answer.values) == [7.0, 8.0, 9.0]
    assert answer.first_time.seconds == ORIGIN + 7 * 300


@pytest.mark.parametrize("seconds", [0, -1, 90 * 86_400 + 1])
async def test_a_window_has_bounds(saved: Plane, leader: Work, seconds: int) -> None:
    error = await refusal(demand(saved, window=Duration(seconds=seconds)))

    assert [fault.field for fault in error.violations] == ["window"]


async def test_without_a_leader_demand_is_unavailable_and_says_when_to_ask_again(saved: Plane) -> None:
    error = await refusal(demand(saved))

    assert isinstance(error, UnavailableError)
    assert error.reason == "NO_LEADER"
    assert error.retry_after


async def test_a_leader_that_cannot_be_reached_is_told(saved: Plane) -> None:
    await leads(saved.store, "127.0.0.1:1")

    error = await refusal(demand(saved))

    assert isinstance(error, UnavailableError)
    assert error.reason == "LEADER_UNREACHABLE"
    assert "--advertise" in error.remedy


async def test_a_question_is_forwarded_once_and_never_in_circles(saved: Plane) -> None:
    await leads(saved.store, saved.address)  # it was elected this moment, and its loop has not begun

    error = await refusal(demand(saved))

    assert (error.reason, type(error)) == ("NO_LEADER", UnavailableError)


async def test_a_deleted_workload_takes_its_forecasts_along(saved: Plane) -> None:
    await publish(saved.store, made())
    known = forecast_pb2.ForecastAccuracy(models=[forecast_pb2.ModelAccuracy(model="Combined")])
    await put(saved.store, [Put(keys.accuracy("site", "cpu-5m"), encode(known))])

    await saved.workloads.DeleteWorkload(workload_pb2.DeleteWorkloadRequest(name="workloads/site"))

    assert (await saved.store.list(keys.FORECASTS)).items == ()
    assert (await saved.store.list(keys.ACCURACY)).items == ()


async def test_a_replica_that_leads_no_more_has_an_empty_desk() -> None:
    desk = Desk()
    with desk.taken(MemoryForecastWork()):
        assert desk.work is not None

    assert desk.work is None
