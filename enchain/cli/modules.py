"""Modules that a command runs as a process of its own, in this terminal, and ends as they do.

`enchain forecast backtest` and offline planning do so: the command imports neither plane, nor what models are
made of.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from enchain.cli.exits import INTERRUPTED

KILLED = 128


def run_module(module: str, arguments: Sequence[str], *, extra: str) -> NoReturn:
    """Run a module, and end with its exit code.

    Args:
        module: What is run.
        arguments: Its command line.
        extra: What to install where it is missing.

    Raises:
        UsageError: It is not installed.
    """
    require(("numpy", module), extra)
    try:
        done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    # A process that a signal ended has a negative code, which a shell would write like this.
    sys.exit(done.returncode if done.returncode >= 0 else KILLED - done.returncode)


def require(modules: Sequence[str], extra: str) -> None:
    """Go on only where these can be imported.

    Raises:
        UsageError: One cannot; it says what to install.
    """
    for module in modules:
        if not _installed(module):
            raise click.UsageError(
                f"this cannot run: there is no module {module}. pip install 'enchain[{extra}]'"
            )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
