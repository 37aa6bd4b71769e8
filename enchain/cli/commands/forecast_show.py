"""`enchain forecast show` and `list`: what demand will be, as a table, a chart, or a picture."""

from datetime import UTC, datetime
from pathlib import Path

import click
import grpc
from google.protobuf.duration_pb2 import Duration

from enchain.chains.errors import EnchainError, PeerError
from enchain.cli.charts.fan import Fan, fan_of
from enchain.cli.commands.events import events_page
from enchain.cli.forecasts import (
    event_rows,
    forecast_name,
    freshness,
    moment,
    share_rows,
    step_rows,
    title,
    warning_lines,
)
from enchain.cli.output import age, dump, enum_word, last, output_option, plain, show, table
from enchain.cli.running import run
from enchain.client import Client
from enchain.process.statuses import from_rpc_error
from enchain.v1 import event_pb2, forecast_pb2

SIGNALS = ("requests", "cpu", "memory", "network")
GRIDS = ("5m", "1h")

HISTORY = 6
"""How many times as far back as ahead a chart looks, unless told otherwise."""

_HOUR = 3600

signal_option = click.option(
    "--signal", type=click.Choice(SIGNALS), default="requests", show_default=True, help="Of what."
)
grid_option = click.option(
    "--grid", type=click.Choice(GRIDS), default="5m", show_default=True, help="In which steps."
)


@click.command("show")
@click.argument("workload")
@signal_option
@grid_option
@click.option("--plot", is_flag=True, help="Draw a chart in the terminal.")
@click.option(
    "--png", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Draw a picture; needs enchain[plots].",
)  # fmt: skip
@click.option(
    "--history", "hours", type=click.FloatRange(0, 90 * 24), metavar="HOURS",
    help=f"How far back charts look.  [default: {HISTORY} times as far as ahead]",
)  # fmt: skip
@output_option
def show_forecast(
    workload: str, signal: str, grid: str, plot: bool, file: Path | None, hours: float | None, output: str
) -> None:
    """Show the newest forecast of a signal of WORKLOAD: quantiles, models, freshness, events, warnings."""

    async def work(client: Client) -> None:
        name = forecast_name(workload, signal, grid)
        forecast = await client.forecasts.GetForecast(forecast_pb2.GetForecastRequest(name=name))
        if output != "table":
            dump(plain(forecast), output)
        elif not plot:
            _print(forecast)
        if plot or file:
            fan = await _fan(client, forecast, hours)
            _draw(fan, forecast, plot=plot and output == "table", file=file)

    run(work, output=output)


@click.command("list")
@click.argument("workload", default="-")
@output_option
def list_forecasts(workload: str, output: str) -> None:
    """List the forecasts of WORKLOAD, or of all."""

    async def work(client: Client) -> None:
        found: list[forecast_pb2.Forecast] = []
        request = forecast_pb2.ListForecastsRequest(parent=f"workloads/{workload}")
        while True:
            page = await client.forecasts.ListForecasts(request)
            found.extend(page.forecasts)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        show(found, _COLUMNS, output)

    run(work, output=output)


_COLUMNS = {
    "workload": lambda f: f.name.split("/")[1],
    "forecast": lambda f: last(f.name),
    "history": lambda f: enum_word(forecast_pb2.ForecastRung, f.rung, "FORECAST_RUNG_"),
    "data up to": lambda f: moment(f.origin_time),
    "age": lambda f: age(f.create_time),
    "models": lambda f: ",".join(model.model for model in f.models if not model.reason),
    "warnings": lambda f: ",".join(warning.reason for warning in f.warnings) or "-",
}


def _print(forecast: forecast_pb2.Forecast) -> None:
    """Print all that is known of a forecast, for people."""
    click.echo(title(forecast))
    click.echo(freshness(forecast, datetime.now(UTC)))
    for rows, headings in (step_rows(forecast), share_rows(forecast), event_rows(forecast)):
        if rows:
            click.echo()
            table(rows, headings)
    _print_warnings(forecast)


def _print_warnings(forecast: forecast_pb2.Forecast) -> None:
    lines = warning_lines(forecast.warnings)
    if lines:
        click.echo()
    for line in lines:
        click.echo(line)


def _draw(fan: Fan, forecast: forecast_pb2.Forecast, *, plot: bool, file: Path | None) -> None:
    if plot:
        from enchain.cli.charts.terminal import print_chart  # noqa: PLC0415 - tables do without rich

        print_chart(fan)
        click.echo(freshness(forecast, datetime.now(UTC)))
        _print_warnings(forecast)
    if file:
        from enchain.cli.charts.picture import save_picture  # noqa: PLC0415 - only where it is asked for

        save_picture(fan, file, note=freshness(forecast, datetime.now(UTC)))
        click.echo(f"wrote {file}", err=True)


async def _fan(client: Client, forecast: forecast_pb2.Forecast, hours: float | None) -> Fan:
    """Ask for what a chart shows beside the forecast; without a leader, no history, and it says so."""
    ahead = forecast.step.seconds * len(forecast.steps)
    seconds = round(hours * _HOUR) if hours is not None else HISTORY * ahead
    demand = None
    if seconds > 0:
        request = forecast_pb2.GetDemandRequest(
            name=f"{forecast.name}/demand", window=Duration(seconds=seconds)
        )
        try:
            demand = await client.forecasts.GetDemand(request)
        except grpc.aio.AioRpcError as failure:
            _tell(from_rpc_error(failure))
    return fan_of(forecast, demand, await _events(client, forecast.name.split("/")[1]))


def _tell(error: EnchainError) -> None:
    """Say that a chart goes without history where a peer is at fault.

    Raises:
        EnchainError: It was no peer's fault.
    """
    if not isinstance(error, PeerError):
        raise error
    click.echo(f"without history: {error.message} ({error.reason})", err=True)


async def _events(client: Client, workload: str) -> list[event_pb2.PlannedEvent]:
    found, token = await events_page(client, workload, "")
    while token:
        page, token = await events_page(client, workload, token)
        found.extend(page)
    return [event for event in found if isinstance(event, event_pb2.PlannedEvent)]
