"""`enchain forecast train`, `jobs`, `watch` and `cancel`: long work behind forecasts."""

import click

from enchain.cli.job_progress import follow, job_name, outcome, print_result
from enchain.cli.output import age, enum_word, last, output_option, show
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import forecast_pb2

_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


def task(job: forecast_pb2.ForecastJob) -> str:
    """Say what a job is to do."""
    if job.WhichOneof("task") == "backtest":
        asked = job.backtest
        workload = asked.forecast.split("/")[1] if asked.forecast.count("/") else "?"
        return f"backtest {workload} {last(asked.forecast)}, {asked.origins} origins"
    return f"train {job.training.grid or 'all grids'}, {job.training.seeds} seeds"


JOB_COLUMNS = {
    "job": lambda j: last(j.name),
    "task": task,
    "state": lambda j: enum_word(forecast_pb2.JobState, j.state, "JOB_STATE_"),
    "progress": lambda j: f"{j.progress:.0%}",
    "activity": lambda j: j.failure.description if j.HasField("failure") else j.activity,
    "age": lambda j: age(j.create_time),
}


@click.command()
@click.option("--grid", type=click.Choice(["5m", "1h"]), help="Of which grid.  [default: all]")
@click.option("--seeds", type=click.IntRange(1, 8), default=2, show_default=True, help="Networks to train.")
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@_quiet
@output_option
def train(grid: str | None, seeds: int, wait: bool, quiet: bool, output: str) -> None:
    """Train the networks over all series. Forecasts take the new ones if they are better."""

    async def work(client: Client) -> int:
        request = forecast_pb2.TrainForecasterRequest(
            grid=grid or "", seeds=seeds, request_id=new_request_id()
        )
        job = await client.forecasts.TrainForecaster(request)
        if not wait:
            show([job], JOB_COLUMNS, output)
            click.echo(f"follow it: enchain forecast watch {last(job.name)}", err=True)
            return 0
        job = await follow(client, job.name, quiet=quiet)
        print_result(job, output)
        return outcome(job)

    run(work, output=output)


@click.command()
@click.argument("job")
@_quiet
@output_option
def watch(job: str, quiet: bool, output: str) -> None:
    """Follow JOB to its end; Ctrl-C stops watching, and the job goes on."""

    async def work(client: Client) -> int:
        ended = await follow(client, job_name(job), quiet=quiet)
        print_result(ended, output)
        return outcome(ended)

    run(work, output=output)


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@output_option
def jobs(limit: int, output: str) -> None:
    """List trainings and backtests, newest first."""

    async def work(client: Client) -> None:
        page = await client.forecasts.ListForecastJobs(forecast_pb2.ListForecastJobsRequest(page_size=limit))
        show(list(page.jobs), JOB_COLUMNS, output)

    run(work, output=output)


@click.command()
@click.argument("job")
@output_option
def cancel(job: str, output: str) -> None:
    """End JOB; one that has ended stays as it is."""

    async def work(client: Client) -> None:
        request = forecast_pb2.CancelForecastJobRequest(name=job_name(job))
        show([await client.forecasts.CancelForecastJob(request)], JOB_COLUMNS, output)

    run(work, output=output)
