"""Show the demonstration: titles, lines, and a live row for every site on a terminal. To standard error."""

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table


class Progress:
    """Titles and rows. On a terminal rows are redrawn in place; elsewhere only ends are written."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._rows: dict[str, tuple[str, float | None, float]] = {}
        self._live: Live | None = None

    def title(self, text: str) -> None:
        """Begin an act."""
        self._stop()
        self._console.print(f"\n[bold]{text}[/bold]")
        self._rows = {}

    def tell(self, text: str) -> None:
        """Say a line."""
        self._console.print(text, markup=False)

    def show(self, name: str, what: str, fraction: float | None) -> None:
        """Show how one site stands."""
        began = self._rows[name][2] if name in self._rows else time.monotonic()
        self._rows[name] = (what, fraction, began)
        if sys.stderr.isatty():
            self._redraw()
        elif fraction == 1.0 and what in {"done", "gone"}:
            self._console.print(f"  {name}: {what} after {time.monotonic() - began:.1f} s", markup=False)

    def fail(self, text: str) -> None:
        """Say what is wrong."""
        self._stop()
        self._console.print(f"not as promised: {text}", style="red", markup=False)

    def _redraw(self) -> None:
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=8)
            self._live.start()
        table = Table.grid(padding=(0, 2))
        for name, (what, fraction, began) in self._rows.items():
            bar = "" if fraction is None else f"{fraction:4.0%}"
            table.add_row(f"  {name}", what[:50], bar, f"{time.monotonic() - began:5.1f} s")
        self._live.update(table)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
