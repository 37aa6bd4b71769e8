"""The benchmark from beginning to end: both trials sized, policies simulated, and the trial with events.

The command calls it. It prints nothing but progress.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.scaling.calibrating import own
from benchmarks.scaling.comparing import Arena, Outcome
from benchmarks.scaling.keeping import kept_walk
from benchmarks.scaling.origins import at_origins
from benchmarks.scaling.policies import ENCHAIN, ORACLE, REACTIVE
from benchmarks.scaling.sizing import LEADS, SHORTS, Sized
from benchmarks.scaling.staffing import Work
from benchmarks.scaling.trials import Trial, at_steps, sizes
from controlplane.forecast.backtest.driver import Resources, Tell
from controlplane.forecast.backtest.plan import Case, Plan

UNAWARE = "enchain, events unknown"
MISSED = 0.01
"""The share of requests that enchain may miss; its cost then is what all others are given."""

LEAD_SECONDS = (900, 3600)
"""Lead times that are simulated."""

Table = Mapping[str, Mapping[str, Sized]]
"""Sizes by policy and lead time."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """Policies at one lead time.

    Attributes:
        lead_seconds: It.
        equal_cost: All at the cost of enchain with `MISSED`.
        equal_missed: All with that share of requests missed.
    """

    lead_seconds: int
    equal_cost: tuple[Outcome, ...]
    equal_missed: tuple[Outcome, ...]


@dataclass(slots=True)
class Found:
    """All that was found.

    Attributes:
        series: Ids.
        origins: Sizes at the origins, by share of short steps.
        steps: Sizes at every step, likewise.
        own: By policy and lead time, sizes from the second day on: with one headroom in hindsight, with each
            series' own, and with that and one more in hindsight.
        simulated: By lead time.
        events: The same of the series with planned events.
        walk: The trial at every step.
        event_walk: The trial with events.
    """

    series: tuple[str, ...]
    origins: dict[float, Table] = field(default_factory=dict)
    steps: dict[float, Table] = field(default_factory=dict)
    own: dict[str, dict[str, tuple[Sized, Sized, Sized]]] = field(default_factory=dict)
    simulated: list[Simulated] = field(default_factory=list)
    events: list[Simulated] = field(default_factory=list)
    walk: Trial | None = None
    event_walk: Trial | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for.

    Attributes:
        members: Of the forecasts at the origins.
        walkers: Of those made anew at every step.
        steps: Of the walk.
        every: How many of them lie between two forecasts of the walk. Only at 1 is anything simulated.
        event_steps: Of the walk with events.
        resources: What may be used.
        seed: Of requests and durations.
    """

    members: Sequence[str]
    walkers: Sequence[str]
    steps: int
    event_steps: int
    resources: Resources
    seed: int
    every: int = 1


def run(cases: Sequence[Case], eventful: Case | None, plan: Plan, asked: Asked, tell: Tell) -> Found:
    """Run everything.

    Args:
        cases: All of one grid.
        eventful: One of them with its events; None: there is none.
        plan: Of the backtest.
        asked: See there.
        tell: Called with progress, in words.
    """
    found = Found(tuple(case.series.id for case in cases))
    origins = at_origins(cases, plan, asked.members, asked.resources, tell)
    found.origins = {short: sizes(origins, short) for short in SHORTS}
    first = [plan.scored(len(case.series))[0] for case in cases]
    found.walk = walk = _walk(cases, plan, first, asked.steps, asked, tell)
    found.steps = {short: sizes(walk, short) for short in SHORTS}
    found.own = {
        policy: {lead: own(walk, policy, lead, SHORTS[0]) for lead in LEADS} for policy in (ENCHAIN, REACTIVE)
    }
    if asked.every > 1:
        return found
    tell("simulating")
    found.simulated = [simulate(walk, lead, asked.seed) for lead in LEAD_SECONDS]
    if eventful is not None:
        found.event_walk = _with_events(eventful, plan, asked, tell)
        found.events = [simulate(found.event_walk, lead, asked.seed) for lead in LEAD_SECONDS]
    return found


def simulate(made: Trial, lead_seconds: int, seed: int) -> Simulated:
    """Simulate all policies of a trial, each at the cost and at the misses of enchain."""
    arena = Arena(made, lead_seconds, seed, Work())
    names = [ENCHAIN, *(name for name in made.wanted if name not in {ENCHAIN, ORACLE}), ORACLE]
    missed = [arena.at_missed(name, MISSED) for name in names]
    cost = missed[0].cost
    return Simulated(lead_seconds, tuple(arena.at_cost(name, cost) for name in names), tuple(missed))


def _walk(
    cases: Sequence[Case], plan: Plan, first: Sequence[int], steps: int, asked: Asked, tell: Tell
) -> Trial:
    cache: Path | None = asked.resources.cache
    return at_steps(
        cases, plan, kept_walk(cases, plan, first, steps, asked.walkers, cache, tell, asked.every)
    )


def _with_events(case: Case, plan: Plan, asked: Asked, tell: Tell) -> Trial:
    """Walk along one series with its events known and without, and answer both in one trial."""
    steps = min(asked.event_steps, len(case.series) - plan.least)
    first = [len(case.series) - steps]
    aware = _walk([case], plan, first, steps, asked, tell)
    unaware = _walk([replace(case, events=())], plan, first, steps, asked, tell)
    assert np.array_equal(aware.demand, unaware.demand, equal_nan=True)
    return replace(aware, wanted={**aware.wanted, UNAWARE: unaware.wanted[ENCHAIN]})
