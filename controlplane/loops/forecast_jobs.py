"""The leader's loop that runs backtests and trainings, one after the other, in a worker of its own.

The election runs it in each term. Jobs lie in the store: one that a leader left running when it died begins
anew at the next one. Progress is written about once a second; a job that was cancelled meanwhile is noticed
there, and its worker is ended. It also asks for a training where the models in use have grown old.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from random import Random

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.forecast_jobs import ForecastJobCatalog
from controlplane.catalog.job_rules import training_job
from controlplane.demand.measured import Demand
from controlplane.forecast.grids import GRIDS
from controlplane.forecast.job_runs import Job, JobEndedError, JobRuns, Result
from controlplane.forecast.port import Told
from controlplane.forecast.registry import GLOBAL
from controlplane.forecast.series import DAY
from controlplane.forecast.shelf import Shelf
from controlplane.forecast.worker.client import Worker
from controlplane.loops.forecast_inputs import gather, learnable
from controlplane.loops.forecast_trainings import Trainings
from controlplane.loops.leadership import LeadershipLostError
from controlplane.loops.patience import patiently
from enchain.chains.errors import AlreadyExistsError, EnchainError, ExhaustedError
from enchain.process.clock import Clock
from enchain.process.lifecycle import Tasks
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.follow import follow
from enchain.state.store import Store
from enchain.v1 import forecast_pb2, origin_pb2

REPORT_SECONDS = 1.0
TRAIN_AGE_SECONDS = DAY
LEAST_DAYS = 2
"""Days of history that some series must have before a network is trained by itself."""

AGE_CHECK_SECONDS = 600.0

_log = get_logger(__name__)
_jobs = meter(__name__).create_counter(
    "enchain.forecast.jobs", "{job}", "Jobs that ended, by task and state."
)


class ForecastJobsLoop:
    """Runs jobs.

    Args:
        demand: Measured demand.
        worker: Where the long work is done.
        shelf: Where learned models lie.
        clock: Time.
        rng: Jitter.
    """

    name = "run backtests and trainings"

    def __init__(self, demand: Demand, worker: Worker, shelf: Shelf, *, clock: Clock, rng: Random) -> None:
        self._demand = demand
        self._worker = worker
        self._shelf = shelf
        self._clock = clock
        self._rng = rng

    async def run(self, store: Store) -> None:
        """Run what is asked, for ever."""
        runs, wake = JobRuns(store, self._clock), asyncio.Event()
        wake.set()
        try:
            async with Tasks() as tasks:
                tasks.start("follow the jobs", self._follow(store, wake))
                tasks.start("ask for trainings", self._ask_for_trainings(store))
                while True:
                    await wake.wait()
                    wake.clear()
                    await self._patiently(lambda: self._run_all(store, runs))
        finally:
            await self._worker.close()

    async def _follow(self, store: Store, wake: asyncio.Event) -> None:
        followed = follow(store, keys.FORECAST_JOBS, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for _ in batches:
                wake.set()

    async def _run_all(self, store: Store, runs: JobRuns) -> None:
        """Run what waits until nothing does; then the worker ends, which has learned in gigabytes."""
        while waiting := await runs.waiting():
            await self._run_one(store, runs, waiting[0])
        await self._worker.close()

    async def _run_one(self, store: Store, runs: JobRuns, job: Job) -> None:
        """Run a job to its end, whatever that is."""
        task, state = job.WhichOneof("task") or "nothing", "cancelled"
        try:
            await runs.begin(job.name)
            result = await self._watched(store, runs, job)
            await runs.succeed(job.name, result)
            state = "succeeded"
        except JobEndedError:
            _log.info("job was cancelled", job=job.name)
        except LeadershipLostError:
            raise
        except EnchainError as error:
            state = "failed"
            _log.warning("job failed", job=job.name, reason=error.reason, fault=error.message)
            failure = forecast_pb2.ForecastWarning(
                reason=error.reason, description=error.message, remedy=error.remedy
            )
            await runs.fail(job.name, failure)
        _jobs.add(1, {"task": task, "state": state})

    async def _watched(self, store: Store, runs: JobRuns, job: Job) -> Result:
        """Do a job's work, and say how far it is meanwhile; cancelled where the job is."""
        said: list[tuple[float, str]] = [(0.0, "begins")]

        def told(progress: float, activity: str) -> None:
            said[0] = progress, activity

        work = asyncio.create_task(self._work(store, job, told), name=f"work on {job.name}")
        try:
            while True:
                done, _ = await asyncio.wait({work}, timeout=REPORT_SECONDS)
                if done:
                    return work.result()
                await runs.report(job.name, *said[0])
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _work(self, store: Store, job: Job, told: Told) -> Result:
        trainings = Trainings(self._demand, store, self._worker, self._shelf, self._clock)
        if job.WhichOneof("task") == "training":
            return await trainings.train(job.training, told)
        return await trainings.backtest(job.backtest, told)

    async def _ask_for_trainings(self, store: Store) -> None:
        """Ask for a training of each grid whose models have grown old."""
        catalog = ForecastJobCatalog(store, stamper(self._clock), self._clock)
        while True:
            await self._patiently(lambda: self._ask(store, catalog))
            await self._clock.sleep(AGE_CHECK_SECONDS)

    async def _ask(self, store: Store, catalog: ForecastJobCatalog) -> None:
        now = int(self._clock.now().timestamp())
        for grid in GRIDS:
            found = [self._shelf.in_use(grid.id, model) for model in GLOBAL]
            if all(each is not None and now - each.time < TRAIN_AGE_SECONDS for each in found):
                continue
            windows = learnable(await gather(self._demand, store, grid, now))
            if not any(len(each.series) >= LEAST_DAYS * each.series.day for each in windows):
                continue
            # Once a day at most, also where it fails: the id is the day's.
            asked = forecast_pb2.TrainForecasterRequest(
                grid=grid.id, request_id=f"nightly-{grid.id}-{now // DAY}"
            )
            caller = Caller(self.name, origin_pb2.Identity(subject="enchain"), asked.request_id)
            try:
                await catalog.begin(training_job(asked), caller)
            except (AlreadyExistsError, ExhaustedError) as error:
                _log.info("training not asked for", grid=grid.id, reason=error.reason)

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        await patiently(work, self.name, clock=self._clock, rng=self._rng)
