"""Differences that units showed before the experiment, taken away from those of arms (CUPED). Pure.

`analysis.py` asks it for means. What is kept of the time before are sums by arm and cluster, of the arms that
keys would have got, so nothing is kept per unit: means are adjusted by the means before, with the slope of
cluster sums on cluster sums before (Deng, Xu, Kohavi and Walker, Improving the sensitivity of online
controlled experiments by utilizing pre-experiment data, WSDM 2013; both means are ratios, so both deviations
are linearised as in `clusters.py`). Nothing before the experiment depends on arms, so the adjusted difference
has the same mean. Units that never come back, such as resources, would gain nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controlplane.experiments.clusters import Moments, moments, spread
from controlplane.experiments.msprt import Floats

GAIN_MIN = 0.05
"""Share of the variance that must go away; less may be chance, with a few hundred clusters."""

OPERATIONS_MIN = 50
"""In each arm, before the experiment."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of a metric in an arm, as `clusters.moments` takes them; clusters are the last axis."""

    count: Floats
    total: Floats
    squares: Floats
    counts: Floats
    totals: Floats

    @property
    def mean(self) -> Floats:
        """In the metric's unit; 0 without operations."""
        return self.total / np.maximum(self.count, 1)

    @property
    def deviations(self) -> Floats:
        """What each cluster's sum has too much, for the mean."""
        return np.asarray(self.totals - self.mean[..., None] * self.counts)

    def moments(self, *, repeating: bool) -> Moments:
        """Answer them without any adjustment."""
        return moments(self.count, self.total, self.squares, self.counts, self.totals, repeating=repeating)


def adjusted(arms: Sequence[Sums], before: Sequence[Sums]) -> tuple[list[Moments], float]:
    """Answer the moments of arms less what was so before, and the share of the variance that this took away.

    It is for units that come again.

    Args:
        arms: Sums of the experiment.
        before: Those before it, in the same order.
    """
    plain = [arm.moments(repeating=True) for arm in arms]
    if any(float(each.count) < OPERATIONS_MIN for each in before):
        return plain, 0.0
    slope = _slope(arms, before)
    middle = sum(float(each.total) for each in before) / sum(float(each.count) for each in before)
    answer = [_less(*pair, slope, middle) for pair in zip(plain, arms, before, strict=True)]
    then, now = (sum(float(each.variance) for each in several) for several in (plain, answer))
    gain = 1 - now / then if then > 0 else 0.0
    return (answer, gain) if gain >= GAIN_MIN else (plain, 0.0)


def _slope(arms: Sequence[Sums], before: Sequence[Sums]) -> float:
    """The slope that leaves least variance of the differences of all arms."""
    shared, own = 0.0, 0.0
    for arm, past in zip(arms, before, strict=True):
        now, then = arm.deviations / max(float(arm.count), 1), past.deviations / float(past.count)
        shared += float((now * then).sum())
        own += float((then**2).sum())
    return shared / own if own > 0 else 0.0


def _less(plain: Moments, arm: Sums, past: Sums, slope: float, middle: float) -> Moments:
    """An arm's moments less the slope times what it had too much before."""
    weight = float(arm.count) / float(past.count)
    variance, freedom = spread(arm.deviations - slope * weight * past.deviations, arm.counts)
    gained = np.where(variance > 0, plain.variance / np.where(variance > 0, variance, 1), 1.0)
    mean = plain.mean - slope * (past.mean - middle)
    return replace(plain, mean=mean, variance=variance, size=plain.size * gained, freedom=freedom)
