"""`enchain forecast backtest`: how good forecasts of given series would have been, without any server.

It starts the backtest as a process of its own, in this terminal, and ends as that does. It never imports it:
the command knows neither plane, nor what models are made of.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence

import click

from enchain.cli.exits import INTERRUPTED

MODULE = "controlplane.forecast.backtest"
KILLED = 128
NEEDED = ("numpy", MODULE)
"""What must be installed for it to start; models of which the libraries are missing it leaves out itself."""


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Say how good forecasts of given series would have been.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backtest(arguments: tuple[str, ...]) -> None:
    """Say how good forecasts of given series would have been: --data DIR --freq 5min|1h. See --help."""
    require(NEEDED)
    try:
        done = subprocess.run([sys.executable, "-m", MODULE, *arguments], check=False)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    # A process that a signal ended has a negative code, which a shell would write like this.
    sys.exit(done.returncode if done.returncode >= 0 else KILLED - done.returncode)


def require(modules: Sequence[str]) -> None:
    """Go on only where these can be imported.

    Raises:
        UsageError: One cannot; it says what to install.
    """
    for module in modules:
        if not _installed(module):
            raise click.UsageError(
                f"the backtest cannot run: there is no module {module}. pip install 'enchain[forecasting]'"
            )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
