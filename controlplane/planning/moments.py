"""Which moments each chain is sized for: the parts of the horizon, and what must be decided now. Pure.

Options call it. It must not know what sizes come out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controlplane.planning.arrays import Rows
from controlplane.planning.demand import Outlook, outlook_of, planned_quantile, planned_rates, window
from controlplane.planning.entries import Entries
from controlplane.planning.problem import EngineVersion, PoolFacts, Problem
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import Row, width


@dataclass(frozen=True, slots=True, eq=False)
class Horizon:
    """What the rows of a problem share: its demand, and the parts of its horizon.

    Attributes:
        outlook: Demand as arrays.
        begins: Shape (parts,): the step with which each begins.
        spans: Shape (parts,): the share of the horizon that each is.
        strata: Shape (parts, s): the mean rate of each stratum of demand.
        others: Shape (steps,) by pool: what others put on it.
    """

    outlook: Outlook
    begins: IntArray
    spans: FloatArray
    strata: FloatArray
    others: Mapping[EngineVersion, FloatArray]

    def most(self, values: FloatArray) -> FloatArray:
        """Answer the largest of each part of what is given by step."""
        found: FloatArray = np.maximum.reduceat(values, self.begins)
        return found


@dataclass(frozen=True, slots=True)
class Moments:
    """Entries of rows, each row's together: the parts of its horizon, then now, then what is held on to.

    Attributes:
        entries: Of all rows.
        starts: Shape (n,): where the row's parts begin.
        parts: Shape (n,): how many it has.
        ahead: Shape (n,): how many of them begin within the lead time.
        quantiles: Shape (n,): of demand, that is planned for.
        forecast: Shape (n,): the rate that must be decided for now, as the forecast alone has it.
        rates: Shape (n, steps of the row): provisions an hour to plan for, by step of the horizon.
        horizons: What the rows of each problem share, by its place in the batch.
    """

    entries: Entries
    starts: IntArray
    parts: IntArray
    ahead: IntArray
    quantiles: FloatArray
    forecast: FloatArray
    rates: tuple[FloatArray, ...]
    horizons: Mapping[int, Horizon]

    def now(self) -> IntArray:
        """Answer where each row's entry for what must be decided now is."""
        return self.starts + self.parts

    def every_part(self) -> IntArray:
        """Answer where the parts of all rows are."""
        spans = zip(self.starts.tolist(), self.parts.tolist(), strict=True)
        return np.concatenate([np.arange(start, start + parts) for start, parts in spans])


class _Of(NamedTuple):
    """What one row's moments are."""

    rates: FloatArray
    others: FloatArray
    strata: FloatArray
    ahead: int
    quantile: float
    forecast: float
    by_step: FloatArray


def horizon_of(problem: Problem) -> Horizon:
    """Answer the parts of a problem's horizon."""
    steps = len(problem.demand.rates)
    begins = np.arange(0, steps, width(problem.demand))
    counts = np.diff(begins, append=steps)
    outlook = outlook_of(problem.demand)
    return Horizon(
        outlook=outlook,
        begins=begins,
        spans=counts / steps,
        strata=np.add.reduceat(outlook.strata, begins) / counts[:, None],
        others={pool.engine: others_on(pool, steps) for pool in problem.pools},
    )


def moments_of(rows: Rows) -> Moments:
    """Answer the moments of rows. What is to be decided now is sized for the most of the lead time."""
    wide = rows.used.shape[1]
    horizons: dict[int, Horizon] = {}
    for row in rows.rows:
        if row.at not in horizons:
            horizons[row.at] = horizon_of(row.problem)
    found = [_moments(row, wide, horizons[row.at]) for row in rows.rows]
    parts = np.array([len(of.rates) - 2 for of in found])
    entries = Entries(
        row=np.repeat(np.arange(len(found)), parts + 2),
        rate=np.concatenate([of.rates for of in found]),
        other=np.concatenate([of.others for of in found]),
        strata=np.concatenate([of.strata for of in found]),
    )
    return Moments(
        entries=entries,
        starts=np.concatenate(([0], np.cumsum(parts + 2)[:-1])),
        parts=parts,
        ahead=np.array([of.ahead for of in found]),
        quantiles=np.array([of.quantile for of in found]),
        forecast=np.array([of.forecast for of in found]),
        rates=tuple(of.by_step for of in found),
        horizons=horizons,
    )


def _moments(row: Row, wide: int, horizon: Horizon) -> _Of:
    demand, outlook = row.problem.demand, horizon.outlook
    quantile = planned_quantile(row.problem.promise, row.capacity_price, outlook)
    rate = planned_rates(outlook, quantile, row.lead_seconds)
    parts, now = len(horizon.begins), window(demand, row.lead_seconds)
    rates, others = np.empty(parts + 2), np.zeros((parts + 2, wide))
    strata = np.empty((parts + 2, outlook.strata.shape[1]))
    rates[:parts], strata[:parts] = horizon.most(rate), horizon.strata
    for p, pool in enumerate(row.pools):
        if pool.other_load:
            others[:parts, p] = horizon.most(horizon.others[pool.engine])
    for place, end in ((-2, now), (-1, window(demand, max(row.lead_seconds, demand.hold_seconds)))):
        busiest = int(rate[:end].argmax())
        rates[place], strata[place] = rate[busiest], outlook.strata[busiest]
        for p, pool in enumerate(row.pools):
            if pool.other_load:
                others[place, p] = horizon.others[pool.engine][:end].max()
    return _Of(
        rates=rates,
        others=others,
        strata=strata,
        ahead=int(np.searchsorted(horizon.begins, now)),
        quantile=quantile,
        forecast=float(outlook.at(quantile)[:now].max()),
        by_step=rate,
    )


def others_on(pool: PoolFacts, steps: int) -> FloatArray:
    """Answer what others put on a pool, by step; the last that is known goes on."""
    known: Sequence[float] = pool.other_load[:steps] or (0.0,)
    return np.array([*known, *([known[-1]] * (steps - len(known)))])
