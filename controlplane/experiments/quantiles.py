"""Two arms' quantiles compared, valid at every look, from histograms such as a sketch's bins. Pure.

`analysis.py` asks it for the P95 of provisioning times; simulations ask it for thousands of experiments at
once. It needs no density and no large moments, only how many operations of each arm lie below each bound.

If both arms have the quantile x, the shares of their operations below x are that of the quantile in both,
with a known variance (Howard and Ramdas, Sequential estimation of quantiles with applications to A/B testing
and best-arm identification, 2022, who compare arms by evidence at every common x and take the least). Which x
it is is unknown. So a tenth of the level is spent on an always-valid confidence sequence for it, from both
arms together (Berger and Boos, P values maximized over a confidence set for the nuisance parameter, 1994),
and the least evidence within is what counts against "no difference".
"""

import math
from dataclasses import dataclass

import numpy as np

from controlplane.experiments import msprt
from controlplane.experiments.msprt import Floats

SPENT = 0.1
"""The share of a level that is spent on where the common quantile may lie."""

BEYOND_MIN = 10
"""Operations that must lie beyond the quantile in each arm, if it is where it is thought to be."""


@dataclass(frozen=True, slots=True)
class Below:
    """How many operations of an arm lie below bounds that grow, which are the last axis."""

    counts: Floats
    total: Floats


def enough(control: Below, treated: Below, share: float) -> Floats:
    """Answer whether there are enough operations for the approximation by the normal distribution."""
    least = np.minimum(control.total, treated.total) * min(share, 1 - share)
    return np.asarray(least >= BEYOND_MIN, dtype=np.float64)


def scores(
    control: Below, treated: Below, share: float, level: float, alike: Floats
) -> tuple[Floats, Floats, Floats]:
    """Answer the least and the largest score within where the common quantile may lie, and the size.

    A positive score says that the treated arm has more below, so that its quantile is smaller.

    Args:
        control: The control's operations.
        treated: Those of the treated arm, below the same bounds; to ask whether its quantile is so many
            times the control's, below bounds that are so many times larger.
        share: Which quantile, such as .95.
        level: Of the test.
        alike: How many times larger variances are since operations of one unit are alike.
    """
    first, second = np.maximum(control.total, 1)[..., None], np.maximum(treated.total, 1)[..., None]
    both, more = first + second, np.asarray(alike)[..., None]
    size = 4 / (1 / first + 1 / second) / more
    spread = np.sqrt(share * (1 - share) * more)
    pooled = (control.counts + treated.counts) / both - share
    reach = msprt.boundary(both / more, SPENT * level) * spread / np.sqrt(both)
    # Each bound counts whose neighbour may be the quantile: it may lie between the two.
    possible = _with_neighbours(np.abs(pooled) <= reach, pooled)
    score = (treated.counts / second - control.counts / first) / (spread * np.sqrt(1 / first + 1 / second))
    least = np.where(possible, score, np.inf).min(axis=-1)
    most = np.where(possible, score, -np.inf).max(axis=-1)
    return least, most, size[..., 0]


def _with_neighbours(possible: Floats, pooled: Floats) -> Floats:
    """Widen to the bounds beside, and to those on either side of the share itself."""
    crossing = np.zeros_like(possible)
    crossing[..., 1:] = (pooled[..., :-1] < 0) & (pooled[..., 1:] >= 0)
    wide = possible | crossing
    answer = wide.copy()
    answer[..., 1:] |= wide[..., :-1]
    answer[..., :-1] |= wide[..., 1:]
    return answer


def log_evidence(least: Floats, most: Floats, size: Floats, level: float) -> Floats:
    """Answer the logarithm of the evidence that quantiles differ, of what `scores` answered."""
    score = np.where(least > 0, least, np.where(most < 0, -most, 0.0))
    return msprt.log_evidence(score, size, level * (1 - SPENT)) + math.log1p(-SPENT)


def log_evidence_above(least: Floats, most: Floats, size: Floats, level: float, sign: int = 1) -> Floats:
    """Answer the logarithm of the evidence that the treated quantile is larger; smaller, with sign -1."""
    score = -most if sign > 0 else least
    return msprt.log_evidence_above(score, size, level * (1 - SPENT)) + math.log1p(-SPENT)


def shifts(
    control: Floats, treated: Floats, share: float, level: float, alike: float, reach: int
) -> tuple[int, int]:
    """Answer by how many bins, at least and at most, the treated quantile may lie above the control's.

    A bin counts where the evidence does not exclude it; the answer goes one bin further to either side.

    Args:
        control: Operations of the control by bin.
        treated: Those of the treated arm by the same bins.
        share: Which quantile.
        level: The chance that it ever excludes what is true.
        alike: As for `scores`.
        reach: Bins beyond which nothing is asked: the answer is at most so much.
    """
    below_treated = np.cumsum(np.pad(treated, 2 * reach))
    below_control = np.cumsum(np.pad(control, reach))
    moved = np.lib.stride_tricks.sliding_window_view(below_treated, len(below_control))
    below = np.broadcast_to(below_control, moved.shape)
    totals = np.full(len(moved), control.sum()), np.full(len(moved), treated.sum())
    found = scores(Below(below, totals[0]), Below(moved, totals[1]), share, level, np.asarray(alike))
    kept = np.flatnonzero(log_evidence(*found, level) < -np.log(level))
    if not len(kept):
        return 0, 0
    return max(int(kept[0]) - 1, 0) - reach, min(int(kept[-1]) + 1, 2 * reach) - reach
