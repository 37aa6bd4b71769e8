"""Two arms' quantiles compared, valid at every look, from histograms such as a sketch's bins. Pure.

`contrasts.py` asks it for the P95 of provisioning times; simulations ask it for thousands of experiments at
once. It needs no density and no large moments, only how many operations of each arm lie below each bound.

If both arms have the quantile x, the shares of their operations below x are that of the quantile in both,
with a known variance. Evidence against that is the product of two numbers: for the difference of the two
shares, and for that of both arms together from the quantile's share. Which x it is is unknown, so what counts
against "no difference" is the least evidence of all x (Howard and Ramdas, Sequential estimation of quantiles
with applications to A/B testing and best-arm identification, Bernoulli 2022, section 6, whose two numbers are
those of the arms).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controlplane.experiments import msprt
from controlplane.experiments.clusters import normal_score
from controlplane.experiments.msprt import Floats
from controlplane.experiments.tails import Likeness

WHERE_TUNING = 30_000.0
"""For the share of both arms together; that it tells one x from another early on is not needed."""

BEYOND_MIN = 10
"""Operations that must lie beyond the quantile in each arm, if it is where it is thought to be."""


@dataclass(frozen=True, slots=True)
class Below:
    """How many operations of an arm lie below bounds that grow, which are the last axis."""

    counts: Floats
    total: Floats


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores at each bound, which are the last axis.

    Attributes:
        apart: Of treated less control: positive where the treated arm has more below, so a smaller quantile.
        where: Of both together less the quantile's share.
        size: Independent operations that the scores rest on.
    """

    apart: Floats
    where: Floats
    size: Floats


def enough(control: Below, treated: Below, share: float) -> Floats:
    """Answer whether there are enough operations for the approximation by the normal distribution."""
    return np.asarray(np.minimum(control.total, treated.total) * min(share, 1 - share) >= BEYOND_MIN)


def scores(control: Below, treated: Below, share: float, likeness: Likeness) -> Scores:
    """Answer the scores at each bound.

    Args:
        control: The control's operations.
        treated: Those of the treated arm, below the same bounds, or below bounds that are as many times
            larger as the quantile is thought to be.
        share: Which quantile, such as .95.
        likeness: How alike operations of one unit are.
    """
    alike, freedom = (np.asarray(each)[..., None] for each in (likeness.alike, likeness.freedom))
    first, second = np.maximum(control.total, 1)[..., None], np.maximum(treated.total, 1)[..., None]
    both, spread = first + second, np.sqrt(share * (1 - share) * alike)
    apart = treated.counts / second - control.counts / first
    where = (control.counts + treated.counts) / both - share
    return Scores(
        normal_score(apart / (spread * np.sqrt(1 / first + 1 / second)), freedom),
        normal_score(where / (spread / np.sqrt(both)), freedom),
        4 / (1 / first + 1 / second) / alike,
    )


def log_evidence(found: Scores, level: float) -> Floats:
    """Answer the logarithm of the evidence that quantiles differ."""
    none = msprt.log_evidence(np.zeros_like(found.size), found.size, level)
    turns = np.signbit(found.apart[..., 1:]) != np.signbit(found.apart[..., :-1])
    return _least(
        found, msprt.log_evidence(found.apart, found.size, level), np.where(turns, none, np.inf), level
    )


def log_evidence_above(found: Scores, level: float, sign: int = 1) -> Floats:
    """Answer the logarithm of the evidence that the treated quantile is larger; smaller, with sign -1."""
    apart = msprt.log_evidence_above(-sign * found.apart, found.size, level)
    return _least(found, apart, np.full_like(apart[..., 1:], np.inf), level)


def _least(found: Scores, apart: Floats, between: Floats, level: float) -> Floats:
    """The least evidence of all bounds and of what lies between them.

    Args:
        found: The scores.
        apart: The evidence of the difference, at each bound.
        between: The same between bounds where it may be less than at both; infinite elsewhere.
        level: Of the test.
    """
    where = msprt.log_evidence(found.where, found.size, level, WHERE_TUNING, apart=0)
    lowest = msprt.log_evidence(np.zeros_like(found.size), found.size, level, WHERE_TUNING, apart=0)
    crosses = (found.where[..., :-1] < 0) & (found.where[..., 1:] >= 0)
    across = np.where(crosses, np.minimum(apart[..., :-1], apart[..., 1:]) + lowest, np.inf)
    turning = between + np.where(crosses, lowest, np.minimum(where[..., :-1], where[..., 1:]))
    least = np.minimum((apart + where).min(axis=-1), across.min(axis=-1))
    return np.asarray(np.minimum(least, turning.min(axis=-1)))


def shifts(
    control: Floats, treated: Floats, share: float, level: float, likeness: Likeness, reach: int
) -> tuple[int, int]:
    """Answer by how many bins, at least and at most, the treated quantile may lie above the control's.

    A bin counts where the evidence does not exclude it; the answer goes one bin further to either side.

    Args:
        control: Operations of the control by bin.
        treated: Those of the treated arm by the same bins.
        share: Which quantile.
        level: The chance that it ever excludes what is true.
        likeness: As for `scores`.
        reach: Bins beyond which nothing is asked: the answer is at most so much.
    """
    first, second = np.cumsum(np.pad(control, reach)), np.cumsum(np.pad(treated, 2 * reach))
    below = Below(first, np.asarray(control.sum()))

    def excluded(shift: int) -> bool:
        start = min(max(shift, -reach), reach) + reach
        moved = Below(second[start : start + len(first)], np.asarray(treated.sum()))
        found = scores(below, moved, share, likeness)
        return float(log_evidence(found, level)) >= -math.log(level)

    lies, moves_to = (int(np.searchsorted(each, share * each[-1])) for each in (first, second))
    middle = min(max(moves_to - lies - reach, -reach), reach)
    return _edge(middle, -reach, excluded), _edge(middle, reach, excluded)


def _edge(inside: int, outside: int, excluded: Callable[[int], bool]) -> int:
    """The first whole number from inside to outside that is excluded; the last one where none is."""
    if not excluded(outside):
        return outside
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return outside
