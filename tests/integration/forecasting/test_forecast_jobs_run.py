"""Jobs on the leader: trainings take models into use, backtests answer scores, and both may die."""

import os
import signal

import pytest

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.forecast_jobs import ForecastJobCatalog
from controlplane.catalog.job_rules import backtest_job, training_job
from controlplane.demand.signals import Signal
from enchain.chains.names import forecast_job_id
from enchain.v1 import forecast_pb2
from tests.harness.forecasting import ForecastingLeader, daily, shares
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

CALLER = Caller("test")


class Jobs:
    """Asks for jobs, and waits for them."""

    def __init__(self, leader: ForecastingLeader) -> None:
        self.catalog = ForecastJobCatalog(leader.store, stamper(leader.clock), leader.clock)

    async def state(self, job: forecast_pb2.ForecastJob) -> forecast_pb2.ForecastJob:
        return await self.catalog.get(forecast_job_id(job.name))

    async def until(
        self, job: forecast_pb2.ForecastJob, *states: forecast_pb2.JobState.ValueType
    ) -> forecast_pb2.ForecastJob:
        async def there() -> forecast_pb2.ForecastJob | None:
            found = await self.state(job)
            return found if found.state in states else None

        found = await eventually(there, within=240)
        assert found is not None
        return found


ENDED = (
    forecast_pb2.JOB_STATE_SUCCEEDED,
    forecast_pb2.JOB_STATE_FAILED,
    forecast_pb2.JOB_STATE_CANCELLED,
)


def _training() -> forecast_pb2.ForecastJob:
    return training_job(forecast_pb2.TrainForecasterRequest(grid="5m", seeds=1))


async def test_a_training_takes_models_into_use_and_they_forecast(leader: ForecastingLeader) -> None:
    jobs = Jobs(leader)
    await leader.measure("site", Signal.CPU, daily(4))
    job = await jobs.catalog.begin(_training(), CALLER)
    leader.start_jobs()

    done = await jobs.until(job, *ENDED)

    assert done.state == forecast_pb2.JOB_STATE_SUCCEEDED, done.failure
    assert done.training_result.adopted
    assert done.training_result.digest.startswith("sha256:")
    assert len(done.training_result.validation_losses) > 0
    assert leader.shelf.in_use("5m", "LSTM") is not None
    leader.start_forecasting()
    forecast = await leader.forecast("site", "cpu-5m")
    why = shares(forecast)
    assert why["LSTM"] in {"", "OUTWEIGHED", "WORSE_THAN_SEASONAL_NAIVE"}
    assert {each.model: each.version for each in forecast.models}["LSTM"]


async def test_a_worker_killed_while_it_trains_fails_the_job_and_the_next_one_runs(
    leader: ForecastingLeader,
) -> None:
    jobs = Jobs(leader)
    await leader.measure("site", Signal.CPU, daily(4))
    job = await jobs.catalog.begin(_training(), CALLER)
    leader.start_jobs()
    await jobs.until(job, forecast_pb2.JOB_STATE_RUNNING)

    def at_work() -> int | None:
        return leader.jobs.pid

    pid = await eventually(at_work)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = await jobs.until(job, *ENDED)

    assert failed.state == forecast_pb2.JOB_STATE_FAILED
    assert failed.failure.reason == "WORKER_DIED"
    assert leader.shelf.in_use("5m", "LSTM") is None
    leader.advance(60)
    asked = forecast_pb2.BacktestRequest(
        forecast="workloads/site/forecasts/cpu-5m", origins=2, stride=48, horizon=12, models=["Naive"]
    )
    again = await jobs.catalog.begin(backtest_job(asked, 300), CALLER)
    assert (await jobs.until(again, *ENDED)).state == forecast_pb2.JOB_STATE_SUCCEEDED


async def test_a_job_that_is_cancelled_ends_its_worker(leader: ForecastingLeader) -> None:
    jobs = Jobs(leader)
    await leader.measure("site", Signal.CPU, daily(4))
    job = await jobs.catalog.begin(_training(), CALLER)
    leader.start_jobs()
    await jobs.until(job, forecast_pb2.JOB_STATE_RUNNING)

    await jobs.catalog.cancel(forecast_job_id(job.name), CALLER)

    def idle() -> bool:
        return leader.jobs.pid is None

    await eventually(idle, within=30)
    assert (await jobs.state(job)).state == forecast_pb2.JOB_STATE_CANCELLED


async def test_a_backtest_answers_the_scores_of_each_model(leader: ForecastingLeader) -> None:
    jobs = Jobs(leader)
    await leader.measure("site", Signal.CPU, daily(5))
    asked = forecast_pb2.BacktestRequest(
        forecast="workloads/site/forecasts/cpu-5m", origins=3, stride=48, models=["Theta", "Naive"]
    )
    job = await jobs.catalog.begin(backtest_job(asked, 300), CALLER)
    leader.start_jobs()

    done = await jobs.until(job, *ENDED)

    assert done.state == forecast_pb2.JOB_STATE_SUCCEEDED, done.failure
    by_model = {each.accuracy.model: each.accuracy.buckets for each in done.backtest_result.scores}
    assert set(by_model) == {"Combined", "Theta", "Naive", "SeasonalNaive"}
    assert all(bucket.count and bucket.wql > 0 for each in by_model.values() for bucket in each)


async def test_with_nothing_measured_a_job_fails_and_says_what_is_missing(leader: ForecastingLeader) -> None:
    jobs = Jobs(leader)
    await leader.workload("site")
    job = await jobs.catalog.begin(_training(), CALLER)
    leader.start_jobs()

    failed = await jobs.until(job, *ENDED)

    assert failed.state == forecast_pb2.JOB_STATE_FAILED
    assert failed.failure.reason == "NO_DEMAND"
    assert failed.failure.remedy


async def test_with_too_short_a_history_a_training_says_what_to_wait_for(leader: ForecastingLeader) -> None:
    jobs = Jobs(leader)
    await leader.measure("site", Signal.CPU, daily(0.5))
    job = await jobs.catalog.begin(_training(), CALLER)
    leader.start_jobs()

    failed = await jobs.until(job, *ENDED)

    assert failed.state == forecast_pb2.JOB_STATE_FAILED
    assert (failed.failure.reason, failed.failure.remedy) == (
        "TOO_SHORT",
        "Wait until two days were measured.",
    )
