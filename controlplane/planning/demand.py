"""Which rate is planned for, and when: quantiles, what a miss implies, and how far ahead. Pure; numpy only.

Compiling a problem calls it. It must never ask how demand was forecast.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from controlplane.planning.envelope import TRUSTED_SHARE, planned, priced_levels
from controlplane.planning.problem import Demand, Promise
from controlplane.planning.queueing import FloatArray
from controlplane.planning.rules import QUANTILE_PROMISED, STRATA
from controlplane.planning.sums import product


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Demand as arrays.

    Attributes:
        demand: As it was told.
        rates: Shape (steps, levels): its quantiles, none below one of a lower level.
        strata: Shape (steps, len(STRATA) - 1): the mean rate of each part of its distribution.
    """

    demand: Demand
    rates: FloatArray
    strata: FloatArray

    def at(self, quantile: float) -> FloatArray:
        """Answer the rate at a quantile, by step; linear between levels, flat beyond them."""
        levels = self.demand.levels
        high = min(bisect_left(levels, quantile), len(levels) - 1)
        low = high - 1 if high > 0 and quantile < levels[high] else high
        part = (quantile - levels[low]) / (levels[high] - levels[low]) if high > low else 0.0
        found: FloatArray = (1 - part) * self.rates[:, low] + part * self.rates[:, high]
        return found


def outlook_of(demand: Demand) -> Outlook:
    """Lay demand out as arrays."""
    rates = np.maximum.accumulate(np.array(demand.rates, dtype=np.float64), axis=1)
    return Outlook(demand, rates, product(rates, _parts(demand.levels)))


def planned_quantile(promise: Promise, capacity_price: float, outlook: Outlook) -> float:
    """Answer the quantile of demand to plan for.

    With a price of a miss it is the newsvendor's, Cu / (Cu + Co) (Arrow, Harris and Marschak 1951): Cu is
    what one provision costs that finds no capacity, Co what it costs to have kept capacity for one that does
    not come. Otherwise it is what was promised, or, where nothing was, the highest priced level of any step.

    Args:
        promise: What users are promised, and what it costs to break it.
        capacity_price: What the instances cost that carry one provision an hour, per hour.
        outlook: On demand.
    """
    if promise.miss_price > 0:
        return promise.miss_price / (promise.miss_price + capacity_price)
    if promise.p95_seconds > 0:
        return QUANTILE_PROMISED
    return float(priced_levels(outlook.rates, np.array(outlook.demand.levels)).max())


def stratum_weights() -> FloatArray:
    """Answer how likely each part of the distribution is."""
    return np.diff(np.array(STRATA))


def window(demand: Demand, seconds: float) -> int:
    """Answer how many steps of the horizon begin before so long has passed, and the step after it has.

    Capacity that is decided now arrives after the lead time, and must last until the next plan's does.
    """
    steps = int(np.floor(seconds / demand.step_seconds)) + 2
    return min(steps, len(demand.rates))


def planned_rates(outlook: Outlook, quantile: float, lead_seconds: float) -> FloatArray:
    """Answer the rate to plan for, by step; first never below what came of late, later raised towards it."""
    demand = outlook.demand
    share = np.full(len(outlook.rates), TRUSTED_SHARE)
    share[: window(demand, max(lead_seconds, demand.hold_seconds - 2 * demand.step_seconds))] = 1.0
    return planned(outlook.at(quantile), demand.reactive_rate, share)


@lru_cache(maxsize=64)
def _parts(levels: tuple[float, ...]) -> FloatArray:
    """Answer the weights of the levels that average each stratum, shape (levels, strata)."""
    fine = 200
    columns = []
    for low, high in pairwise(STRATA):
        points = low + (np.arange(fine) + 0.5) / fine * (high - low)
        columns.append([float(np.interp(points, levels, unit).mean()) for unit in np.eye(len(levels))])
    found = np.array(columns).T
    found.setflags(write=False)
    return found
