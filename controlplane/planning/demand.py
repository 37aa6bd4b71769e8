"""Which rate is planned for, and when: quantiles, what a miss implies, and how far ahead. Pure; numpy only.

Compiling a problem calls it. It must never ask how demand was forecast.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from controlplane.planning.problem import Demand, Promise
from controlplane.planning.queueing import FloatArray
from controlplane.planning.rules import HOLD_SECONDS, QUANTILE_FREE, QUANTILE_PROMISED, STRATA


def planned_quantile(promise: Promise, capacity_price: float) -> float:
    """Answer the quantile of demand to plan for.

    With a price of a miss it is the newsvendor's, Cu / (Cu + Co) (Arrow, Harris and Marschak 1951): Cu is
    what one provision costs that finds no capacity, Co what it costs to have kept capacity for one that does
    not come. Otherwise it is what was promised.

    Args:
        promise: What users are promised, and what it costs to break it.
        capacity_price: What the instances cost that carry one provision an hour, per hour.
    """
    if promise.miss_price > 0:
        return promise.miss_price / (promise.miss_price + capacity_price)
    return QUANTILE_PROMISED if promise.p95_seconds > 0 else QUANTILE_FREE


def rates_at(demand: Demand, quantile: float) -> FloatArray:
    """Answer the rate at a quantile, by step of the horizon; linear between levels, flat beyond them."""
    return _matrix(demand.rates) @ _point(demand.levels, quantile)


def strata_of(demand: Demand) -> FloatArray:
    """Answer the mean rate of each part of the distribution of demand, shape (steps, len(STRATA) - 1)."""
    return _matrix(demand.rates) @ _parts(demand.levels)


def stratum_weights() -> FloatArray:
    """Answer how likely each part of the distribution is."""
    return np.diff(np.array(STRATA))


def window(demand: Demand, seconds: float) -> int:
    """Answer how many steps of the horizon begin before so long has passed, and the step after it has.

    Capacity that is decided now arrives after the lead time, and must last until the next plan's does.
    """
    steps = int(np.floor(seconds / demand.step_seconds)) + 2
    return min(steps, len(demand.rates))


def planned_rates(demand: Demand, quantile: float, lead_seconds: float) -> FloatArray:
    """Answer the rate to plan for, by step; at first never below what came of late."""
    rates = rates_at(demand, quantile)
    guarded = window(demand, max(lead_seconds, HOLD_SECONDS - 2 * demand.step_seconds))
    rates[:guarded] = np.maximum(rates[:guarded], demand.reactive_rate)
    return rates


@lru_cache(maxsize=64)
def _matrix(rates: tuple[tuple[float, ...], ...]) -> FloatArray:
    found = np.maximum.accumulate(np.array(rates, dtype=np.float64), axis=1)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=4096)
def _point(levels: tuple[float, ...], quantile: float) -> FloatArray:
    """Answer the weights of the levels that interpolate a quantile."""
    found = np.array(
        [np.interp(quantile, levels, unit) for unit in np.eye(len(levels))],
    )
    found.setflags(write=False)
    return found


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
