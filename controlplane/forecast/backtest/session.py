"""One backtest from beginning to end: members run, combined, renamed as they are shown, and marked.

The command and the peers' report call it. What is shown is what was asked for; members that only feed the
combination, and the naive models that all are compared with, run unasked.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.forecast.backtest.driver import Resources, Tell, forecasts
from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.pooled import combined
from controlplane.forecast.backtest.results import Results, marks, results
from controlplane.forecast.registry import COMBINED
from controlplane.forecast.rules import NAIVE, SEASONAL

SHOWN = ("Combined", "LSTM", "LightGBM", "Ridge", "Prophet", "MSTL", "Theta", "SeasonalNaive", "Naive")
"""What is shown unless it is asked otherwise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which models.

    Attributes:
        shown: Names in the registry, `Combined`, or `module:Class`.
        members: Of the combination.
    """

    shown: tuple[str, ...]
    members: tuple[str, ...]

    @property
    def run(self) -> tuple[str, ...]:
        """All that must be run, each once."""
        members = self.members if COMBINED in self.shown else ()
        asked = (name for name in (*self.shown, *members, SEASONAL, NAIVE) if name != COMBINED)
        return tuple(dict.fromkeys(asked))


@dataclass(frozen=True, slots=True)
class Session:
    """What a backtest made.

    Attributes:
        made: Forecasts by series and model, as models are shown.
        models: Those asked for, as they are shown, in their order.
        results: What was found.
    """

    made: dict[tuple[str, str], MemberForecasts]
    models: tuple[str, ...]
    results: Results


def backtest(cases: Sequence[Case], wanted: Wanted, plan: Plan, resources: Resources, tell: Tell) -> Session:
    """Run a backtest.

    Args:
        cases: All of one grid.
        wanted: Which models.
        plan: How it goes.
        resources: What it may use.
        tell: Called with progress, in words.
    """
    found = forecasts(cases, wanted.run, plan, resources, tell)
    seconds: dict[str, float] = {}
    for one in found.values():
        seconds[one.model] = seconds.get(one.model, 0.0) + one.seconds
    made = {(series, one.model): one for (series, _), one in found.items()}
    if COMBINED in wanted.shown:
        began = time.perf_counter()
        made |= combined(cases, plan, wanted.members, found)
        seconds[COMBINED] = time.perf_counter() - began
    names = {name: one.model for (_, name), one in found.items()} | {COMBINED: COMBINED}
    models = tuple(names[name] for name in wanted.shown)
    counted = results(models, plan, marks(cases, plan, made), seconds)
    return Session(made, models, counted)
