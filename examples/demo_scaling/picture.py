"""The picture: for each trace the demand, what was forecast, what each policy kept, switches and misses."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controlplane.forecast.quantiles import LEVELS
from examples.demo_scaling.replaying import STEP, Outcome
from examples.demo_scaling.stage import POLICIES, WORK_SECONDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"enchain": "#2563a8", "reactive": "#d9822b", "static": "#8a94a3"}
INK, FAINT = "#1b2430", "#8a94a3"
AHEAD = 12
"""Steps ahead of which forecasts are drawn: an hour of the trace."""


def draw(outcomes: Sequence[Outcome], file: Path) -> None:
    """Draw it and write it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy, and an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - likewise

    figure = Figure(figsize=(13, 4.1 * len(outcomes)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, outcome in enumerate(outcomes, 1):
        axes = figure.add_subplot(len(outcomes), 1, place)
        _draw(axes, outcome)
    figure.savefig(file, dpi=130, facecolor="white")


def _draw(axes: "Axes", outcome: Outcome) -> None:
    steps = np.arange(len(outcome.replay.coming))
    hours = steps / 12
    _draw_fan(axes, outcome)
    axes.plot(hours, outcome.replay.coming * WORK_SECONDS, color=INK, linewidth=1.4, label="work offered")
    looked = np.array(outcome.watched.times) / STEP / 12
    for policy in POLICIES:
        axes.step(
            looked,
            outcome.watched.places(policy),
            where="post",
            color=COLOURS[policy],
            linewidth=1.6,
            label=policy,
        )
    _draw_metered(axes, outcome, looked)
    for switch in outcome.switches:
        at = (switch.create_time.ToMilliseconds() / 1e3 - outcome.began) / STEP / 12
        axes.axvline(at, color=COLOURS["enchain"], linestyle=(0, (2, 2)), linewidth=1)
    _draw_misses(axes, outcome)
    axes.set_title(outcome.replay.name, loc="left", color=INK, fontweight="bold")
    axes.set_ylabel("requests at once")
    axes.set_xlabel("hours of the trace")
    axes.set_ylim(bottom=-1.6)
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=7, frameon=False, fontsize=8.5)


def _draw_fan(axes: "Axes", outcome: Outcome) -> None:
    """Draw what was forecast an hour ahead of each step, from 10 to 90 %."""
    levels = LEVELS.tolist()
    low, high = levels.index(0.1), levels.index(0.9)
    made = sorted(outcome.watched.fans.items())
    at = np.array([step + AHEAD for step, _ in made]) / 12
    band = np.array([fan[AHEAD, [low, high]] for _, fan in made]) * WORK_SECONDS
    axes.fill_between(at, band[:, 0], band[:, 1], color="#9cc3ea", alpha=0.6, label="forecast an hour before")
    axes.set_xlim(0, len(outcome.replay.coming) / 12)


def _draw_metered(axes: "Axes", outcome: Outcome, looked: np.ndarray) -> None:
    metered = np.array([chain == "metered" for chain in outcome.watched.chains])
    axes.fill_between(
        looked,
        -0.35,
        -0.05,
        where=metered,
        color="#8c3f8f",
        alpha=0.8,
        linewidth=0,
        label="enchain on `metered`",
    )


def _draw_misses(axes: "Axes", outcome: Outcome) -> None:
    for row, policy in enumerate(POLICIES):
        missed = [each.at / STEP / 12 for each in outcome.requests if each.policy == policy and each.missed]
        axes.plot(missed, np.full(len(missed), -0.6 - 0.35 * row), "|", color=COLOURS[policy], markersize=6)
    axes.annotate("misses", (0.0, -0.95), xytext=(-4, 0), textcoords="offset points", ha="right", va="center",
                  fontsize=8, color=FAINT)  # fmt: skip
