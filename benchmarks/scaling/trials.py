"""A trial: what each policy wanted to be ready for from a number of moments, beside what came. Pure.

Trials at the backtest's origins and at every step come to this; sizes and simulations are counted from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.scaling.policies import ORACLE, POLICIES, Sight
from benchmarks.scaling.sizing import LEADS, Sized, sized
from benchmarks.scaling.walking import Told
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.series import FloatArray, Series


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What was wanted of n series from k moments each.

    Attributes:
        series: Ids.
        demand: Shape (n, k, horizon): what came, NaN where it is not known.
        wanted: By policy, of the same shape, before any headroom.
        every: How many steps lie between two moments; 1 where it does not matter.
    """

    series: tuple[str, ...]
    demand: FloatArray
    wanted: Mapping[str, FloatArray]
    every: int = 1


def trial(series: Sequence[str], demand: FloatArray, sights: Sequence[Sequence[Sight]]) -> Trial:
    """Ask all policies, and add the oracle.

    Args:
        series: Ids of the n series.
        demand: Shape (n, k, horizon).
        sights: Of each series the k moments.
    """
    wanted = {
        name: np.array([[policy(sight) for sight in row] for row in sights])
        for name, policy in POLICIES.items()
    }
    return Trial(tuple(series), demand, {**wanted, ORACLE: np.where(np.isfinite(demand), demand, 0.0)})


def sights(case: Case, told: Told) -> list[Sight]:
    """Answer what may be seen of a series at each step."""
    return [
        Sight(
            series=case.window(told.first + at * told.every, None).series,
            begun=told.first,
            quantiles=told.quantiles[at],
            points={name: each[at] for name, each in told.points.items()},
            above=float(told.above[at]),
            known=float(told.known[at]),
        )
        for at in range(len(told.quantiles))
    ]


def at_steps(cases: Sequence[Case], plan: Plan, told: Sequence[Told]) -> Trial:
    """Run the trial at every moment of a walk."""
    demand = np.stack(
        [_ahead(case.series, each, plan.horizon) for case, each in zip(cases, told, strict=True)]
    )
    seen = [sights(case, each) for case, each in zip(cases, told, strict=True)]
    made = trial([case.series.id for case in cases], demand, seen)
    return replace(made, every=told[0].every)


def _ahead(series: Series, told: Told, horizon: int) -> FloatArray:
    """Answer what came after each moment, shape (moments, horizon), NaN beyond the series' end."""
    padded = np.concatenate([series.values, np.full(horizon, np.nan)])
    every = np.lib.stride_tricks.sliding_window_view(padded, horizon)
    return every[told.first :: told.every][: len(told.quantiles)]


def at_lead(array: FloatArray, lead: str) -> FloatArray:
    """Answer the steps ahead of a lead time, shape (n, k * steps)."""
    part = array[:, :, [step - 1 for step in LEADS[lead]]]
    return part.reshape(len(part), -1)


def sizes(made: Trial, short: float) -> dict[str, dict[str, Sized]]:
    """Answer by policy and lead time what it costs with so many steps short."""
    return {
        name: {lead: sized(at_lead(wanted, lead), at_lead(made.demand, lead), short) for lead in LEADS}
        for name, wanted in made.wanted.items()
    }
