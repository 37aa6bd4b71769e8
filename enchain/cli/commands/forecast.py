"""`enchain forecast`: the group. Its commands are imported when they are called."""

import click

from enchain.cli.groups import TableGroup

COMMANDS = {
    "accuracy": ("enchain.cli.commands.forecast_accuracy:accuracy", "Show how good forecasts have been."),
    "backtest": ("enchain.cli.commands.forecast_backtest:backtest", "Forecast the past, and compare."),
    "cancel": ("enchain.cli.commands.forecast_jobs:cancel", "End a training or backtest."),
    "jobs": ("enchain.cli.commands.forecast_jobs:jobs", "List trainings and backtests, newest first."),
    "list": ("enchain.cli.commands.forecast_show:list_forecasts", "List the forecasts that there are."),
    "show": ("enchain.cli.commands.forecast_show:show_forecast", "Show a forecast: table, chart or picture."),
    "train": ("enchain.cli.commands.forecast_jobs:train", "Train the networks over all series."),
    "watch": ("enchain.cli.commands.forecast_jobs:watch", "Follow a training or backtest to its end."),
}


@click.group(cls=TableGroup, table=COMMANDS)
def forecast() -> None:
    """Show what demand will be, how sure that is, and how good forecasts have been."""
