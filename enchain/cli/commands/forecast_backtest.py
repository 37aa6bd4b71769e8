"""`enchain forecast backtest`: how good forecasts of given series would have been, without any server."""

import click

from enchain.cli.modules import run_module

MODULE = "controlplane.forecast.backtest"
"""It leaves out models of which the libraries are missing itself."""


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Say how good forecasts of given series would have been.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backtest(arguments: tuple[str, ...]) -> None:
    """Say how good forecasts of given series would have been: --data DIR --freq 5min|1h. See --help."""
    run_module(MODULE, arguments, extra="forecasting")
