"""Sizing: what capacity costs once a headroom leaves a given share of steps short. Pure; numpy only.

The benchmark calls it with what each policy wanted to be ready for and what came. It knows no policy. A step
counts where demand is known; a series without demand has no ratio and is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.series import FloatArray

LEADS: Mapping[str, tuple[int, ...]] = {
    "10-20 min": (2, 3, 4),
    "1 h": (10, 11, 12, 13, 14),
    "2 h": (22, 23, 24, 25, 26),
    "4 h": (44, 45, 46, 47, 48),
}
"""Lead times by the steps of 5 minutes ahead that stand for them, counted from 1."""

TARGETS: Mapping[str, float] = {"10-20 min": 1.18, "1 h": 1.23, "2 h": 1.28, "4 h": 1.31}
"""What is aimed at with 2 % of steps short."""

SHORTS = (0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Sized:
    """What one policy costs at one lead time.

    Attributes:
        headroom: The one factor for all series.
        cost: Mean over series of mean capacity over mean demand.
        by_series: The same of each, in the order given; NaN where there was no demand.
        short: The share of each one's steps that were short.
    """

    headroom: float
    cost: float
    by_series: tuple[float, ...]
    short: tuple[float, ...]


def pooled_headroom(wanted: FloatArray, demand: FloatArray, short: float) -> float:
    """Answer the smallest factor on what was wanted that leaves no more than a share of all steps short.

    Args:
        wanted: Shape (series, n): what a policy wanted to be ready for.
        demand: Shape (series, n): what came; NaN is left out.
        short: The share, in 0..1.
    """
    ratios = np.sort(_ratios(wanted, demand)[np.isfinite(demand)])
    return float(ratios[len(ratios) - 1 - int(short * len(ratios))])


def sized(wanted: FloatArray, demand: FloatArray, short: float) -> Sized:
    """Answer what a policy costs at its pooled headroom; arguments as in `pooled_headroom`."""
    factor = pooled_headroom(wanted, demand, short)
    capacity = np.where(wanted > 0, wanted, 1.0) * np.where(wanted > 0, factor, 0.0)
    return charged(capacity, demand, factor)


def charged(capacity: FloatArray, demand: FloatArray, factor: float) -> Sized:
    """Answer what a capacity costs, and how often it was short."""
    known = np.isfinite(demand)
    here = np.where(known, demand, 0.0).sum(axis=1)
    spent = np.where(known, capacity, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(here > 0, spent / here, np.nan)
    lacking = (known & (demand > capacity)).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return Sized(factor, float(np.nanmean(cost)), tuple(cost.tolist()), tuple(lacking.tolist()))


def _ratios(wanted: FloatArray, demand: FloatArray) -> FloatArray:
    """Answer demand by what was wanted; where nothing was wanted any demand is out of reach."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = demand / wanted
    return np.where(wanted > 0, ratios, np.where(demand > 0, np.inf, 0.0))
