"""Headroom of each series from its own past, as a service would learn it, without hindsight. Pure.

The benchmark calls it on the trial at every step. At each moment only ratios are used whose demand had come.
Each series gets the factor that would have cost it least where a short step has a price, the same for all;
that price is the one at which the past as a whole had the share of short steps that is wanted. To give each
series the same share of short steps instead costs more than one factor for all: the wild ones are dear.
"""

import numpy as np

from benchmarks.scaling.sizing import LEADS, Sized, charged, sized
from benchmarks.scaling.trials import Trial
from controlplane.forecast.series import FloatArray

BEGIN = 288
"""Steps from which sizes are counted: a day, so that every series has a past of its own."""

EVERY = 12
"""Steps after which the factor is made anew."""

PRIOR = 96.0
"""How many steps what is pooled over series counts as."""

TRIED: FloatArray = np.exp(np.linspace(np.log(0.7), np.log(4.0), 120))
"""Factors that are tried."""

CHEAPEST, DEAREST = 1e-3, 1e3
"""Prices of a short step that are tried, in capacity of a step of mean demand."""

HALVINGS = 30


def own(made: Trial, policy: str, lead: str, short: float) -> tuple[Sized, Sized, Sized]:
    """Answer what a policy costs from the second day on.

    Returns:
        With one headroom for all series in hindsight; with each series' own, learned from the past alone; and
        with that and one more factor in hindsight, which brings it to the same share of short steps.
    """
    pairs = [_wanted(made, policy, step, short) for step in LEADS[lead]]
    plain, learned, demand = (np.concatenate(part, axis=1) for part in zip(*pairs, strict=True))
    return sized(plain, demand, short), charged(learned, demand, 1.0), sized(learned, demand, short)


def factors(wanted: FloatArray, demand: FloatArray, step: int, short: float, every: int = 1) -> FloatArray:
    """Answer each series' headroom at each moment, 1 before `BEGIN`; shape (n, k).

    Args:
        wanted: Shape (n, k): what a policy wanted to be ready for.
        demand: Shape (n, k): what came so many steps later, NaN where it is not known.
        step: How many steps ahead, from 1: the first is the value that comes next.
        short: The share of steps that may be short.
        every: How many steps lie between two moments.
    """
    found = np.ones(wanted.shape)
    apart = -(-EVERY // every)
    for at in range(-(-BEGIN // every), wanted.shape[1], apart):
        past = slice(0, (at * every - step) // every + 1)
        found[:, at : at + apart] = priced(wanted[:, past], demand[:, past], short)[:, None]
    return found


def priced(wanted: FloatArray, demand: FloatArray, short: float) -> FloatArray:
    """Answer the factor of each series that costs least at the price of a short step, shape (n,).

    Args:
        wanted: Shape (n, k) of the past.
        demand: Likewise; NaN is left out.
        short: The share of steps that was to be short, over all series.
    """
    known = np.isfinite(demand)
    count = known.sum(axis=1)[:, None]
    above = np.stack([(known & (demand > factor * wanted)).sum(axis=1) for factor in TRIED], axis=1)
    each = above / np.maximum(count, 1)
    chance = (above + PRIOR * each.mean(axis=0)) / (count + PRIOR)
    spent, came = (np.where(known, part, 0.0).sum(axis=1) for part in (wanted, demand))
    cost = (spent / np.maximum(came, np.finfo(float).tiny))[:, None] * TRIED
    rows, low, high = np.arange(len(wanted)), np.log(CHEAPEST), np.log(DEAREST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        lacks = chance[rows, (cost + np.exp(middle) * chance).argmin(axis=1)].mean() > short
        low, high = (middle, high) if lacks else (low, middle)
    best: FloatArray = TRIED[(cost + np.exp(high) * chance).argmin(axis=1)]
    return best


def _wanted(made: Trial, policy: str, step: int, short: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Answer at one step ahead what was wanted, the same by each series' factor, and what came."""
    wanted, demand = made.wanted[policy][:, :, step - 1], made.demand[:, :, step - 1]
    learned = factors(wanted, demand, step, short, made.every) * wanted
    later = slice(-(-BEGIN // made.every), None)
    return wanted[:, later], learned[:, later], demand[:, later]
