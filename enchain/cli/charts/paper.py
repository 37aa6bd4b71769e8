"""What pictures are drawn on: a figure without window and display, its colours, and how it becomes a file.

The pictures of forecasts and of experiments use it. matplotlib, which is part of `enchain[plots]`, is
imported when one is drawn.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from enchain.chains.errors import InvalidArgumentError, PreconditionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150

INK, FAINT, PAPER = "#1b2430", "#8a94a3", "#ffffff"


def blank(width: float, height: float) -> "Figure":
    """Answer an empty figure of so many inches.

    Raises:
        PreconditionError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy, and an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise PreconditionError(
            "pictures need matplotlib, which is not installed",
            reason="NO_MATPLOTLIB",
            remedy="Install it: pip install 'enchain[plots]'; tables and charts in the terminal do without.",
        ) from error
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def bare(axes: "Axes") -> None:
    """Leave nothing of a frame but what is read: two sides, and lines across."""
    axes.grid(axis="y", color="#e6e9ee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color("#c3cad4")


def save(figure: "Figure", file: Path) -> None:
    """Write a figure as PNG; what is there is replaced.

    Raises:
        InvalidArgumentError: The file cannot be written.
    """
    try:
        figure.savefig(file, dpi=DOTS_PER_INCH, format="png", facecolor=PAPER)
    except OSError as error:
        raise InvalidArgumentError(
            f"{file} cannot be written: {error.strerror}",
            reason="FILE_UNWRITABLE",
            remedy="Name a file in a folder that is there.",
        ) from error
