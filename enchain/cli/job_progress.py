"""A training or backtest, followed to its end: what is shown meanwhile, and what came of it.

`enchain.cli.commands.forecast_jobs` calls it. Progress goes to standard error: a bar on a terminal, a line
for each change elsewhere.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import grpc

from enchain.chains.errors import PeerError
from enchain.cli import exits
from enchain.cli.output import dump, enum_word, last, plain, table
from enchain.client import Client
from enchain.process.statuses import from_rpc_error
from enchain.v1 import forecast_pb2

Job = forecast_pb2.ForecastJob

ATTEMPTS_MAX = 30
"""How often a stream that broke is begun again without news in between, a second apart."""

RETRY_SECONDS = 1.0

_ENDED = {forecast_pb2.JOB_STATE_SUCCEEDED, forecast_pb2.JOB_STATE_FAILED, forecast_pb2.JOB_STATE_CANCELLED}


def job_name(job: str) -> str:
    """Answer the full name of a job; a full name stays as it is."""
    return job if "/" in job else f"forecastJobs/{job}"


def outcome(job: Job) -> int:
    """Answer the exit code for a job that has ended."""
    return exits.OK if job.state == forecast_pb2.JOB_STATE_SUCCEEDED else exits.FAILED


async def follow(client: Client, name: str, *, quiet: bool) -> Job:
    """Follow a job to its end, also where the control plane that tells of it is replaced.

    Raises:
        EnchainError: There is no such job, or no control plane answers for long.
    """
    failures = 0
    with _shown(quiet=quiet) as tell:
        while True:
            try:
                async for job in client.forecasts.WatchForecastJob(
                    forecast_pb2.WatchForecastJobRequest(name=name)
                ):
                    failures = 0
                    tell(job)
                    if job.state in _ENDED:
                        return job
            except grpc.aio.AioRpcError as failure:
                error = from_rpc_error(failure)
                if not isinstance(error, PeerError) or failures >= ATTEMPTS_MAX:
                    raise error from failure
            failures += 1
            await asyncio.sleep(RETRY_SECONDS)


def print_result(job: Job, output: str) -> None:
    """Print what came of a job."""
    if output != "table":
        dump(plain(job), output)
        return
    state = enum_word(forecast_pb2.JobState, job.state, "JOB_STATE_")
    took = job.end_time.seconds - job.start_time.seconds if job.HasField("start_time") else 0
    click.echo(f"{last(job.name)}: {state} after {took} s")
    if job.HasField("failure"):
        remedy = f" → {job.failure.remedy}" if job.failure.remedy else ""
        click.echo(f"  {job.failure.description}{remedy} ({job.failure.reason})")
    if job.WhichOneof("result") == "training_result":
        _print_training(job.training_result)
    if job.WhichOneof("result") == "backtest_result":
        _print_backtest(job.backtest_result)


def _print_training(result: forecast_pb2.TrainingResult) -> None:
    adopted = "forecasts take it from now on" if result.adopted else "the one before was better and stays"
    click.echo(f"  version {result.version}: {adopted}")
    click.echo(f"  over {result.series} series, {result.windows} windows; {result.digest}")
    if result.validation_losses:
        losses = ", ".join(f"{loss:.4g}" for loss in result.validation_losses)
        click.echo(f"  loss on held-out windows by epoch: {losses}")


def _print_backtest(result: forecast_pb2.BacktestResult) -> None:
    rows = [
        [
            score.series, score.accuracy.model, f"{bucket.first_step}-{bucket.last_step}",
            f"{bucket.wql:.3f}", f"{bucket.relative_wql:.2f}", f"{bucket.coverage_80:.0%}",
        ]
        for score in result.scores
        for bucket in score.accuracy.buckets
    ]  # fmt: skip
    table(rows, ["series", "model", "steps", "wql", "of naive", "in 80 %"])


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Callable[[Job], None]]:
    """Choose how progress is shown: a bar on a terminal, lines elsewhere, nothing where quiet is wanted."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield _Lines().tell


class _Lines:
    """A line for each change that people can see."""

    def __init__(self) -> None:
        self._last = ""

    def tell(self, job: Job) -> None:
        """Write a line, unless it says what the last one did."""
        line = words(job)
        if line != self._last:
            click.echo(line, err=True)
        self._last = line


@contextmanager
def _bar() -> Iterator[Callable[[Job], None]]:
    from rich.console import Console  # noqa: PLC0415 - pipes do without rich
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - likewise

    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda job: progress.update(task, completed=job.progress, description=words(job))


def words(job: Job) -> str:
    """Say how a job stands, in a line."""
    state = enum_word(forecast_pb2.JobState, job.state, "JOB_STATE_")
    share = f" {job.progress:.0%}" if job.state == forecast_pb2.JOB_STATE_RUNNING else ""
    return f"{state}{share}{f': {job.activity}' if job.activity else ''}"
