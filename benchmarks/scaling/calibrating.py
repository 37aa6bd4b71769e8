"""Headroom of each series from its own past, as a service would learn it, without hindsight. Pure.

The benchmark calls it on the trial at every step. At each moment only ratios are used whose demand had come.
"""

import numpy as np

from benchmarks.scaling.sizing import LEADS, Sized, charged, sized
from benchmarks.scaling.trials import Trial
from controlplane.forecast.series import FloatArray
from controlplane.planning.envelope import headroom

BEGIN = 288
"""Steps from which sizes are counted: a day, so that every series has a past of its own."""

EVERY = 12
"""Steps after which the factor is made anew."""

PRIOR = 96.0
"""How many steps the factor pooled over series counts as."""


def own(made: Trial, policy: str, lead: str, short: float) -> tuple[Sized, Sized, Sized]:
    """Answer what a policy costs from the second day on.

    Returns:
        With one headroom for all series in hindsight; with each series' own, learned from the past alone; and
        with that and one more factor in hindsight, which brings it to the same share of short steps.
    """
    pairs = [_wanted(made, policy, step, short) for step in LEADS[lead]]
    plain, learned, demand = (np.concatenate(part, axis=1) for part in zip(*pairs, strict=True))
    return sized(plain, demand, short), charged(learned, demand, 1.0), sized(learned, demand, short)


def factors(ratios: FloatArray, step: int, short: float) -> FloatArray:
    """Answer each series' headroom at each moment, 1 before `BEGIN`; shape as that of the ratios.

    Args:
        ratios: Shape (n, k): at each moment what came so many steps later by what was wanted.
        step: How many steps ahead, from 1: the first is the value that comes next.
        short: The share of steps that may be short.
    """
    found = np.ones(ratios.shape)
    for at in range(BEGIN, ratios.shape[1], EVERY):
        past = ratios[:, : at - step + 1]
        seen = past[np.isfinite(past)]
        pooled = float(np.quantile(seen, 1 - short)) if seen.size else 1.0
        each = [headroom(row, short, pooled, PRIOR) for row in past]
        found[:, at : at + EVERY] = np.array(each)[:, None]
    return found


def _wanted(made: Trial, policy: str, step: int, short: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Answer at one step ahead what was wanted, the same by each series' factor, and what came."""
    wanted, demand = made.wanted[policy][:, :, step - 1], made.demand[:, :, step - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(wanted > 0, demand / wanted, np.nan)
    learned = factors(ratios, step, short) * wanted
    later = slice(BEGIN, None)
    return wanted[:, later], learned[:, later], demand[:, later]
