"""Which moments each chain is sized for: the parts of the horizon, and what must be decided now. Pure.

Options call it. It must not know what sizes come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controlplane.planning.arrays import Rows
from controlplane.planning.demand import Outlook, outlook_of, planned_quantile, planned_rates, window
from controlplane.planning.entries import Entries
from controlplane.planning.problem import Demand, PoolFacts
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import Row
from controlplane.planning.rules import HOLD_SECONDS, PARTS_MAX


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
    """

    entries: Entries
    starts: IntArray
    parts: IntArray
    ahead: IntArray
    quantiles: FloatArray
    forecast: FloatArray
    rates: tuple[FloatArray, ...]

    def now(self) -> IntArray:
        """Answer where each row's entry for what must be decided now is."""
        return self.starts + self.parts

    def held(self) -> IntArray:
        """Answer where each row's entry is for the longer time over which pools do not shrink."""
        return self.starts + self.parts + 1

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


def width(demand: Demand) -> int:
    """Answer how many steps of the horizon are planned as one."""
    return -(-len(demand.rates) // PARTS_MAX)


def moments_of(rows: Rows) -> Moments:
    """Answer the moments of rows. What is to be decided now is sized for the most of the lead time."""
    wide = rows.used.shape[1]
    outlooks: dict[int, Outlook] = {}
    for row in rows.rows:
        if row.at not in outlooks:
            outlooks[row.at] = outlook_of(row.problem.demand)
    found = [_moments(row, wide, outlooks[row.at]) for row in rows.rows]
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
    )


def _moments(row: Row, wide: int, outlook: Outlook) -> _Of:
    demand = row.problem.demand
    quantile = planned_quantile(row.problem.promise, row.capacity_price)
    rate, strata = planned_rates(outlook, quantile, row.lead_seconds), outlook.strata
    other = np.zeros((len(rate), wide))
    for p, pool in enumerate(row.pools):
        if pool.other_load:
            other[:, p] = others_on(pool, len(rate))
    begins = np.arange(0, len(rate), width(demand))
    now = window(demand, row.lead_seconds)
    held = window(demand, max(row.lead_seconds, HOLD_SECONDS))
    firsts = [(rate[:end], other[:end], strata[:end]) for end in (now, held)]
    return _Of(
        rates=np.concatenate((np.maximum.reduceat(rate, begins), [most.max() for most, _, _ in firsts])),
        others=np.concatenate(
            (np.maximum.reduceat(other, begins), [on_pools.max(axis=0) for _, on_pools, _ in firsts])
        ),
        strata=np.concatenate(
            (_means(strata, begins), [spread[int(most.argmax())] for most, _, spread in firsts])
        ),
        ahead=int(np.searchsorted(begins, now)),
        quantile=quantile,
        forecast=float(outlook.at(quantile)[:now].max()),
        by_step=rate,
    )


def _means(values: FloatArray, begins: IntArray) -> FloatArray:
    counts = np.diff(np.append(begins, len(values)))
    found: FloatArray = np.add.reduceat(values, begins) / counts[:, None]
    return found


def others_on(pool: PoolFacts, steps: int) -> FloatArray:
    """Answer what others put on a pool, by step; the last that is known goes on."""
    known: Sequence[float] = pool.other_load[:steps] or (0.0,)
    return np.array([*known, *([known[-1]] * (steps - len(known)))])
