"""An operation on a terminal: a line a step, redrawn in place. `enchain.cli.progress` chooses it.

It imports rich, which takes a while to load, as charts and the progress of jobs do.
"""

import time
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from enchain.cli.progress import View


class LiveDisplay:
    """A line a step, redrawn in place on a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._view = View()
        # Drawn anew at every refresh, so that seconds go by while nothing is heard.
        self._live = Live(console=self._console, refresh_per_second=8, get_renderable=self._drawn)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time and leave it standing."""
        self._live.__exit__(None, None, None)

    def show(self, view: View, line: str) -> None:
        """Write the line above, redraw the steps below."""
        self._view = view
        if line:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _drawn(self) -> Table:
        return _drawn(self._view, time.monotonic())


_STYLES = {"succeeded": "green", "running": "cyan", "waiting": "dim"}


def _drawn(view: View, now: float) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    for _ in range(5):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)  # the message takes what room is left
    for step in view.steps.values():
        style = _STYLES.get(step.word, "red")
        seconds = step.seconds if step.seconds is not None else now - step.began if step.began else 0.0
        bar = "" if step.fraction is None else f"{step.fraction:4.0%}"
        row = (step.name, step.engine, step.word, f"{seconds:5.1f} s", bar, step.message)
        table.add_row(*(Text(cell, style=style if i == 2 else "") for i, cell in enumerate(row)))  # noqa: PLR2004 - the word
    return table
