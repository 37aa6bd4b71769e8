"""What all models share that forecast each series by itself: one pass over the windows, and the port's rules.

A local model gives a rule for one window; this asks it for each and keeps what it answers within bounds, in
order, and whole: finite throughout or NaN throughout. It never hands one series to the rule of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.gaps import known
from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS, bounded, ordered
from controlplane.forecast.series import FloatArray, Window

Rule = Callable[[Window, int], FloatArray | None]
"""Answers quantiles of shape (horizon, len(LEVELS)) from one window, or None where it cannot."""


def each(rule: Rule, windows: Sequence[Window], horizon: int, needs: int) -> FloatArray:
    """Ask a rule for each window.

    Returns:
        Shape (len(windows), horizon, len(LEVELS)), as the port promises.
    """
    answers = np.full((len(windows), horizon, len(LEVELS)), np.nan)
    for answer, window in zip(answers, windows, strict=True):
        if known(window.series) < needs:
            continue
        told = rule(window, horizon)
        if told is None or not np.isfinite(told).all():
            continue
        upper = np.inf if window.series.upper is None else window.series.upper
        answer[:] = bounded(ordered(told), 0.0, upper)
    return answers


@dataclass(frozen=True, slots=True)
class Untaught:
    """A model that learns nothing beforehand: all it uses is in the window.

    Attributes:
        rule: Forecasts one window. A function of a module, so that this can be pickled.
        needs: The fewest measured values.
    """

    rule: Rule
    needs: int

    def forecast(self, windows: Sequence[Window], horizon: int) -> FloatArray:
        """See the port."""
        return each(self.rule, windows, horizon, self.needs)


@dataclass(frozen=True, slots=True)
class Local:
    """A forecaster of such a model.

    Attributes:
        name: As it is shown.
        needs: The fewest measured values.
        rule: Forecasts one window.
    """

    name: str
    needs: int
    rule: Rule

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> Untaught:
        """Learn nothing; see the port."""
        del windows, horizon, seed
        told(1.0, f"{self.name} has nothing to learn")
        return Untaught(self.rule, self.needs)
