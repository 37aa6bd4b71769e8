"""What the leader writes of the backtests and trainings that it runs.

The forecasting loop calls it with its fenced store. Every write compares what was read, so that a job which
was cancelled meanwhile stays cancelled: whoever runs it is told by `JobEndedError`, and stops.
"""

from collections.abc import Callable, Sequence

from controlplane.catalog.changes import Change, commit
from controlplane.catalog.documents import Document, read, readable, same, scan, write
from controlplane.catalog.job_rules import ended
from enchain.chains.errors import ConflictError
from enchain.chains.names import forecast_job_id
from enchain.process.clock import Clock
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import forecast_pb2

Job = forecast_pb2.ForecastJob
Result = forecast_pb2.BacktestResult | forecast_pb2.TrainingResult


class JobEndedError(ConflictError):
    """The job has ended, was cancelled or is gone: stop running it."""

    default_reason = "JOB_ENDED"


class JobRuns:
    """The runner's pen.

    Args:
        store: Where jobs are kept, fenced to this leader's term.
        clock: Time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def waiting(self) -> Sequence[Job]:
        """Answer the jobs that wait, and those that a leader before this one left running, oldest first.

        Follow `keys.FORECAST_JOBS` to learn of new ones.
        """
        items = [item async for item in scan(self._store, keys.FORECAST_JOBS)]
        found = [document for document in readable(Job, items) if not ended(document.message)]
        return [document.message for document in sorted(found, key=lambda each: each.create_revision)]

    async def begin(self, job: str) -> Job:
        """Say that a job runs, from the beginning, by its name.

        Raises:
            JobEndedError: It was cancelled before.
        """

        def change(current: Job) -> None:
            current.state = forecast_pb2.JOB_STATE_RUNNING
            current.start_time.FromDatetime(self._clock.now())
            current.progress, current.activity = 0.0, "begins"

        return await self._change(job, change)

    async def report(self, job: str, progress: float, activity: str) -> None:
        """Say how far a job is. Call it about once a second, not at every step.

        Args:
            job: Its name.
            progress: In 0..1.
            activity: What it is at, in words.

        Raises:
            JobEndedError: It was cancelled.
        """

        def change(current: Job) -> None:
            current.progress, current.activity = min(max(progress, 0.0), 1.0), activity

        await self._change(job, change)

    async def succeed(self, job: str, result: Result) -> Job:
        """End a job with what it found.

        Raises:
            JobEndedError: It was cancelled.
            ExhaustedError: The result is too large to be kept.
        """

        def change(current: Job) -> None:
            self._end(current, forecast_pb2.JOB_STATE_SUCCEEDED)
            current.progress = 1.0
            if isinstance(result, forecast_pb2.BacktestResult):
                current.backtest_result.CopyFrom(result)
            else:
                current.training_result.CopyFrom(result)

        return await self._change(job, change)

    async def fail(self, job: str, failure: forecast_pb2.ForecastWarning) -> Job:
        """End a job that failed, with a stable reason, what happened, and what to do.

        Raises:
            JobEndedError: It was cancelled.
        """

        def change(current: Job) -> None:
            self._end(current, forecast_pb2.JOB_STATE_FAILED)
            current.failure.CopyFrom(failure)

        return await self._change(job, change)

    def _end(self, job: Job, state: forecast_pb2.JobState.ValueType) -> None:
        job.state = state
        job.activity = ""
        job.end_time.FromDatetime(self._clock.now())

    async def _change(self, name: str, change: Callable[[Job], None]) -> Job:
        key = keys.forecast_job(forecast_job_id(name))

        async def decide() -> Change[Job]:
            document = await read(self._store, Job, key)
            current = _running(document, name)
            change(current.message)
            return Change(current.message, (same(document, key),), (write(key, current.message),))

        return await commit(self._store, decide)


def _running(document: Document[Job] | None, name: str) -> Document[Job]:
    if document is None or ended(document.message):
        raise JobEndedError(f"{name} has ended or is gone", metadata={"name": name})
    return document
