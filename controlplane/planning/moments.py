"""Which moments each chain is sized for: every step of the horizon, and what must be decided now. Pure.

Options call it. It must not know what sizes come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.planning.demand import planned_quantile, planned_rates, rates_at, window
from controlplane.planning.entries import Entries
from controlplane.planning.problem import PoolFacts
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import Rows
from controlplane.planning.rules import HOLD_SECONDS


@dataclass(frozen=True, slots=True)
class Moments:
    """Entries of rows, each row's in a row of their own: its steps, then now, then what is held on to.

    Attributes:
        entries: Of all rows.
        starts: Shape (n,): where the row's steps begin.
        steps: Shape (n,): how many it has.
        ahead: Shape (n,): how many of them must be decided now.
        quantiles: Shape (n,): of demand, that is planned for.
        forecast: Shape (n,): the rate that must be decided for now, as the forecast alone has it.
    """

    entries: Entries
    starts: IntArray
    steps: IntArray
    ahead: IntArray
    quantiles: FloatArray
    forecast: FloatArray

    def now(self) -> IntArray:
        """Answer where each row's entry for what must be decided now is."""
        return self.starts + self.steps

    def held(self) -> IntArray:
        """Answer where each row's entry is for the longer time over which pools do not shrink."""
        return self.starts + self.steps + 1

    def every_step(self) -> IntArray:
        """Answer where the steps of all rows are."""
        spans = zip(self.starts.tolist(), self.steps.tolist(), strict=True)
        return np.concatenate([np.arange(start, start + steps) for start, steps in spans] or [np.arange(0)])


def moments_of(rows: Rows) -> Moments:
    """Answer the moments of rows. What is to be decided now is sized for the most of the lead time."""
    wide = rows.used.shape[1]
    row_of, rates, others, starts, steps, ahead, quantiles, forecast = [], [], [], [], [], [], [], []
    at = 0
    for i, row in enumerate(rows.rows):
        demand = row.problem.demand
        quantile = planned_quantile(row.problem.promise, row.capacity_price)
        rate = planned_rates(demand, quantile, row.lead_seconds)
        other = np.zeros((len(rate), wide))
        for p, pool in enumerate(row.pools):
            other[:, p] = others_on(pool, len(rate))
        now = window(demand, row.lead_seconds)
        held = window(demand, max(row.lead_seconds, HOLD_SECONDS))
        rates.append(np.concatenate((rate, [rate[:now].max(), rate[:held].max()])))
        others.append(np.concatenate((other, other[None, :now].max(axis=1), other[None, :held].max(axis=1))))
        row_of.append(np.full(len(rate) + 2, i))
        starts.append(at)
        steps.append(len(rate))
        ahead.append(now)
        quantiles.append(quantile)
        forecast.append(rates_at(demand, quantile)[:now].max())
        at += len(rate) + 2
    entries = Entries(np.concatenate(row_of), np.concatenate(rates), np.concatenate(others))
    return Moments(
        entries, np.array(starts), np.array(steps), np.array(ahead), np.array(quantiles), np.array(forecast)
    )


def others_on(pool: PoolFacts, steps: int) -> FloatArray:
    """Answer what others put on a pool, by step; the last that is known goes on."""
    known: Sequence[float] = pool.other_load[:steps] or (0.0,)
    return np.array([*known, *([known[-1]] * (steps - len(known)))])
