"""Backtests and trainings over gRPC, on real etcd, and what their runner writes of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.catalog.job_rules import JOBS_KEPT, JOBS_OPEN_MAX
from controlplane.forecast.job_runs import JobEndedError, JobRuns
from enchain.chains.errors import (
    AlreadyExistsError,
    ExhaustedError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Delete, Txn
from enchain.v1 import forecast_pb2, forecast_pb2_grpc, presence_pb2
from tests.harness.controlplane import Plane, refusal
from tests.harness.forecasts import CPU

FAILURE = forecast_pb2.ForecastWarning(reason="WORKER_DOWN", description="It died.", remedy="Wait.")


def stub(plane: Plane) -> Any:
    return forecast_pb2_grpc.ForecastServiceStub(plane.channel)


def runs(plane: Plane) -> JobRuns:
    return JobRuns(plane.store, SystemClock())


async def train(plane: Plane, **fields: Any) -> forecast_pb2.ForecastJob:
    job: forecast_pb2.ForecastJob = await stub(plane).TrainForecaster(
        forecast_pb2.TrainForecasterRequest(**fields)
    )
    return job


async def backtest(plane: Plane, **fields: Any) -> Any:
    return await stub(plane).Backtest(forecast_pb2.BacktestRequest(forecast=str(CPU), **fields))


async def get(plane: Plane, name: str) -> Any:
    return await stub(plane).GetForecastJob(forecast_pb2.GetForecastJobRequest(name=name))


async def cancel(plane: Plane, name: str) -> Any:
    return await stub(plane).CancelForecastJob(forecast_pb2.CancelForecastJobRequest(name=name))


def watch(plane: Plane, name: str) -> AsyncIterator[Any]:
    followed: AsyncIterator[Any] = stub(plane).WatchForecastJob(
        forecast_pb2.WatchForecastJobRequest(name=name)
    )
    return aiter(followed)


async def test_a_job_waits_where_nobody_leads_and_is_found_by_who_does(saved: Plane) -> None:
    trained = await train(saved)
    tested = await backtest(saved, models=["Theta"])

    assert trained.state == tested.state == forecast_pb2.JOB_STATE_PENDING
    assert (trained.training.seeds, tested.backtest.horizon) == (2, 48)
    assert await get(saved, trained.name) == trained
    assert [job.name for job in await runs(saved).waiting()] == [trained.name, tested.name]


async def test_the_same_request_is_the_same_job(saved: Plane) -> None:
    made = await asyncio.gather(*(train(saved, grid="5m", request_id="again") for _ in range(4)))

    assert len({job.name for job in made}) == 1
    assert len((await saved.store.list(keys.FORECAST_JOBS)).items) == 1


async def test_a_request_id_that_began_something_else_is_refused(saved: Plane) -> None:
    await train(saved, request_id="one")

    error = await refusal(train(saved, seeds=3, request_id="one"))

    assert isinstance(error, AlreadyExistsError)


async def test_a_request_whose_job_is_gone_begins_anew(saved: Plane) -> None:
    first = await train(saved, request_id="one")
    await saved.store.commit(Txn(success=(Delete(keys.FORECAST_JOBS, prefix=True),)))

    second = await train(saved, request_id="one")

    assert second.name != first.name
    assert await train(saved, request_id="one") == second


async def test_what_cannot_be_done_is_refused_before_anything_is_written(saved: Plane) -> None:
    before = await saved.contents()

    wrong = await refusal(backtest(saved, models=["Oracle"]))
    nowhere = await refusal(
        stub(saved).Backtest(forecast_pb2.BacktestRequest(forecast="workloads/none/forecasts/cpu-5m"))
    )
    no_grid = await refusal(
        stub(saved).Backtest(forecast_pb2.BacktestRequest(forecast="workloads/site/forecasts/cpu-7m"))
    )
    bad_id = await refusal(train(saved, request_id="a/b"))

    assert isinstance(wrong, InvalidArgumentError)
    assert (nowhere.reason, no_grid.reason) == ("WORKLOAD_NOT_FOUND", "NO_SUCH_GRID")
    assert [fault.field for fault in bad_id.violations] == ["request_id"]
    assert await saved.contents() == before


async def test_a_job_is_followed_to_its_end(saved: Plane) -> None:
    job = await train(saved)
    followed = watch(saved, job.name)
    told = [await anext(followed)]

    await runs(saved).begin(job.name)
    told.append(await anext(followed))
    await runs(saved).report(job.name, 0.4, "epoch 3 of seed 1")
    told.append(await anext(followed))
    await runs(saved).succeed(job.name, forecast_pb2.TrainingResult(version="7", adopted=True))
    told += [each async for each in followed]

    assert [forecast_pb2.JobState.Name(each.state).removeprefix("JOB_STATE_") for each in told] == [
        "PENDING", "RUNNING", "RUNNING", "SUCCEEDED",
    ]  # fmt: skip
    assert (told[2].progress, told[2].activity) == (0.4, "epoch 3 of seed 1")
    assert told[3].training_result.version == "7"
    assert told[3].end_time.seconds >= told[3].start_time.seconds > 0


async def test_following_begins_with_how_a_job_stands(saved: Plane) -> None:
    job = await train(saved)
    await runs(saved).begin(job.name)
    await runs(saved).fail(job.name, FAILURE)

    told = [each async for each in watch(saved, job.name)]

    assert [each.failure for each in told] == [FAILURE]


async def test_following_what_is_not_there_or_goes_away_is_refused(saved: Plane) -> None:
    job = await train(saved)
    followed = watch(saved, job.name)
    await anext(followed)

    await saved.store.commit(Txn(success=(Delete(keys.FORECAST_JOBS, prefix=True),)))
    gone = await refusal(anext(followed))
    never = await refusal(anext(watch(saved, job.name)))

    assert isinstance(gone, NotFoundError)
    assert isinstance(never, NotFoundError)


async def test_a_cancelled_job_stays_so_and_its_runner_is_told(saved: Plane) -> None:
    job = await train(saved)
    await runs(saved).begin(job.name)

    cancelled = await cancel(saved, job.name)

    assert cancelled.state == forecast_pb2.JOB_STATE_CANCELLED
    assert await cancel(saved, job.name) == cancelled
    with pytest.raises(JobEndedError):
        await runs(saved).report(job.name, 0.5, "on and on")
    with pytest.raises(JobEndedError):
        await runs(saved).succeed(job.name, forecast_pb2.TrainingResult())
    assert await get(saved, job.name) == cancelled
    assert await runs(saved).waiting() == []


async def test_a_job_that_a_dead_leader_left_running_is_found_again(saved: Plane) -> None:
    job = await train(saved)
    await runs(saved).begin(job.name)

    assert [each.name for each in await runs(saved).waiting()] == [job.name]
    assert (await runs(saved).begin(job.name)).progress == 0


async def test_jobs_are_listed_newest_first_in_pages(saved: Plane) -> None:
    made = [(await train(saved)).name for _ in range(3)]

    first = await stub(saved).ListForecastJobs(forecast_pb2.ListForecastJobsRequest(page_size=2))
    rest = await stub(saved).ListForecastJobs(
        forecast_pb2.ListForecastJobsRequest(page_size=2, page_token=first.next_page_token)
    )

    assert [job.name for job in [*first.jobs, *rest.jobs]] == made[::-1]
    assert rest.next_page_token == ""


async def test_so_many_may_wait_and_the_next_is_told_to(saved: Plane) -> None:
    for _ in range(JOBS_OPEN_MAX):
        last = await train(saved)

    error = await refusal(train(saved))
    await cancel(saved, last.name)
    again = await train(saved)

    assert isinstance(error, ExhaustedError)
    assert error.retry_after
    assert again.state == forecast_pb2.JOB_STATE_PENDING


async def test_the_oldest_that_have_ended_are_forgotten_with_their_request_ids(saved: Plane) -> None:
    oldest = await train(saved, request_id="oldest")
    await cancel(saved, oldest.name)
    waits = await train(saved)
    for number in range(JOBS_KEPT - 1):
        await cancel(saved, (await train(saved, request_id=f"r{number}")).name)

    names = [decode(forecast_pb2.ForecastJob, item.value).name
             for item in (await saved.store.list(keys.FORECAST_JOBS)).items]  # fmt: skip
    claims = (await saved.store.list(keys.FORECAST_REQUESTS)).items
    assert len(names) == JOBS_KEPT
    assert waits.name in names
    assert oldest.name not in names
    assert keys.forecast_request("oldest") not in {item.key for item in claims}
    assert len(claims) == JOBS_KEPT - 1


async def test_who_began_and_who_cancelled_is_kept(saved: Plane) -> None:
    job = await train(saved, request_id="one")
    await cancel(saved, job.name)

    records = [
        decode(presence_pb2.AuditRecord, item.value) for item in (await saved.store.list(keys.AUDIT)).items
    ]
    told = [(each.method.rpartition("/")[2], each.request_id) for each in records if each.target == job.name]
    assert sorted(told) == [("CancelForecastJob", ""), ("TrainForecaster", "one")]


async def test_a_control_plane_that_stops_ends_its_streams(stopping: tuple[Plane, asyncio.Event]) -> None:
    plane, stop = stopping
    job = await train(plane)
    followed = watch(plane, job.name)
    await anext(followed)

    stop.set()
    error = await refusal(anext(followed))

    assert isinstance(error, UnavailableError)
    assert (error.reason, error.retry_after) == ("STOPPING", 1.0)
