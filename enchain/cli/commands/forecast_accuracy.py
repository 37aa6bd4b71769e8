"""`enchain forecast accuracy`: how good forecasts have been against what came."""

import click

from enchain.cli.commands.forecast_show import grid_option, signal_option
from enchain.cli.forecasts import accuracy_rows, forecast_name, moment, warning_lines
from enchain.cli.output import dump, output_option, plain, table
from enchain.cli.running import run
from enchain.client import Client
from enchain.v1 import forecast_pb2


@click.command()
@click.argument("workload")
@signal_option
@grid_option
@output_option
def accuracy(workload: str, signal: str, grid: str, output: str) -> None:
    """Show how good the forecasts of a signal of WORKLOAD have been, by model and steps ahead.

    WQL is the weighted quantile loss, smaller is better; OF NAIVE is its ratio to that of the forecast which
    repeats the day before: below 1 is better than that. IN 80 % is the share of values within the 10 to 90 %
    band, and ≤ Q90 that of values at or below the 90 % quantile: 80 % and 90 % are right.
    """

    async def work(client: Client) -> None:
        name = f"{forecast_name(workload, signal, grid)}/accuracy"
        answer = await client.forecasts.GetAccuracy(forecast_pb2.GetAccuracyRequest(name=name))
        if output != "table":
            dump(plain(answer), output)
            return
        click.echo(f"{workload} · {signal} at {grid}, as of {moment(answer.update_time)}")
        click.echo()
        table(*accuracy_rows(answer))
        for line in warning_lines(answer.warnings):
            click.echo(line)

    run(work, output=output)
