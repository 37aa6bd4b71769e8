"""One arm against the control in one metric: the difference, its interval, and the evidence. Pure.

`analysis.py` asks it. Which test is asked depends on what a metric is: rare shares and common ones, means,
quantiles.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from controlplane.experiments import confidence, quantiles, rare
from controlplane.experiments.clusters import Moments
from controlplane.experiments.msprt import Floats
from controlplane.experiments.tails import Likeness
from controlplane.profiles.sketch import GAMMA

OPERATIONS_MIN = 50
"""Of a mean, in each arm: less do not tell their own variance."""

FREEDOM_MIN = 15
"""Degrees of freedom in each arm: of fewer units nothing is said of means."""

SHIFT_MAX = 110
"""Bins by which quantiles may lie apart: nine times. More is taken for so much."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Treated against control.

    Attributes:
        difference: In points for shares, relative for all else.
        lower: The lower end of its always-valid interval.
        upper: The upper end.
        log_e: Logarithm of the evidence against "no difference".
        log_above: Of that against "not larger".
        log_below: Of that against "not smaller".
        size: Independent operations that it rests on, were the arms equally large.
        enough: Whether there are enough operations to say anything.
    """

    difference: float
    lower: float
    upper: float
    log_e: float
    log_above: float
    log_below: float
    size: float
    enough: bool = True


NOTHING = Contrast(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, enough=False)
"""Where there are not enough operations."""


def of_means(control: Moments, treated: Moments, level: float, interval: float) -> Contrast:
    """Compare means, relative to the control's.

    Args:
        control: The control's mean.
        treated: That of the treated arm.
        level: Of the tests.
        interval: Of the interval.
    """
    if min(control.count, treated.count) < OPERATIONS_MIN or few_units(control, treated):
        return NOTHING
    control, treated = confidence.borrowing(control, treated), confidence.borrowing(treated, control)
    return _normal(control, treated, level, confidence.relative(control, treated, interval))


def of_shares(control: Moments, treated: Moments, level: float, interval: float) -> Contrast:
    """Compare shares, in points; arguments as for means.

    The test of rare shares holds for all, and is used for the first operations of each arm, so that an arm
    that always fails is found at once. Of common shares it would see less.
    """
    if not control.count or not treated.count or few_units(control, treated):
        return NOTHING
    number = float(control.count + treated.count)
    share = float(control.mean * control.count + treated.mean * treated.count) / number
    if min(share, 1 - share) < rare.RARE or min(control.count, treated.count) < OPERATIONS_MIN:
        return _rare(control, treated, level, interval, upside_down=share > 1 / 2)
    control, treated = _unsure(control), _unsure(treated)
    return _normal(control, treated, level, confidence.points(control, treated, interval))


def of_quantiles(
    histograms: tuple[Floats, Floats],
    values: tuple[float, float],
    likeness: Likeness,
    share: float,
    level: float,
) -> Contrast:
    """Compare quantiles, relative to the control's.

    Args:
        histograms: Operations of the control and of the treated arm by bins of a sketch.
        values: Their quantiles.
        likeness: How alike operations of one unit are.
        share: Which quantile.
        level: Of tests and interval.
    """
    control, treated = (quantiles.Below(np.cumsum(each), each.sum()) for each in histograms)
    if not bool(quantiles.enough(control, treated, share)) or values[0] <= 0:
        return NOTHING
    found = quantiles.scores(control, treated, share, likeness)
    least, most = quantiles.shifts(*histograms, share, level, likeness, SHIFT_MAX)
    return Contrast(
        difference=values[1] / values[0] - 1,
        lower=GAMMA**least - 1,
        upper=GAMMA**most - 1,
        log_e=float(quantiles.log_evidence(found, level)),
        log_above=float(quantiles.log_evidence_above(found, level)),
        log_below=float(quantiles.log_evidence_above(found, level, sign=-1)),
        size=float(found.size[0]),
    )


def alike(control: Moments, treated: Moments) -> float:
    """Answer how many times larger variances are since operations of one unit are alike; at least 1."""
    size = float(control.size + treated.size)
    return max(float(control.count + treated.count) / size, 1.0) if size > 0 else 1.0


def _unsure(arm: Moments) -> Moments:
    """Let a share of none or all vary as if half an operation were the other way.

    Else two arms, one of which always fails and the other never, would seem to vary by nothing, and no
    difference between them would be evidence.
    """
    number = np.maximum(arm.count, 1.0)
    share = (arm.mean * number + 0.5) / (number + 1)
    return replace(arm, variance=np.where(arm.variance > 0, arm.variance, share * (1 - share) / number))


def few_units(control: Moments, treated: Moments) -> bool:
    """Whether units come again and there are few of them."""
    return any(each.freedom < min(FREEDOM_MIN, each.count - 1) for each in (control, treated))


def _normal(
    control: Moments, treated: Moments, level: float, interval: tuple[Floats, Floats, Floats]
) -> Contrast:
    difference, lower, upper = (float(each) for each in interval)
    return Contrast(
        difference=difference,
        lower=lower,
        upper=upper,
        log_e=float(confidence.log_evidence(control, treated, level)),
        log_above=float(confidence.log_evidence_above(control, treated, level)),
        log_below=float(confidence.log_evidence_above(control, treated, level, sign=-1)),
        size=float(confidence.size(control, treated)),
    )


def _rare(
    control: Moments, treated: Moments, level: float, interval: float, *, upside_down: bool
) -> Contrast:
    """Compare the rarer side, and turn what was found where that is the other one."""
    del level  # the test has none
    numbers = float(control.count), float(treated.count)
    shares = (1 - float(each.mean) if upside_down else float(each.mean) for each in (control, treated))
    first, second = (share * number for share, number in zip(shares, numbers, strict=True))
    more = alike(control, treated)
    coin = np.asarray(numbers[1] / sum(numbers))
    events = np.asarray(first / more), np.asarray(second / more)
    above = float(rare.log_evidence_above(*events, coin))
    below = float(rare.log_evidence_above(events[1], events[0], 1 - coin))
    lower, upper = rare.interval((first, numbers[0]), (second, numbers[1]), more, interval)
    return Contrast(
        difference=float(treated.mean - control.mean),
        lower=-upper if upside_down else lower,
        upper=-lower if upside_down else upper,
        log_e=float(rare.log_evidence(*events, coin)),
        log_above=below if upside_down else above,
        log_below=above if upside_down else below,
        size=float(confidence.size(control, treated)),
    )


def holds(log_e: float, level: float) -> bool:
    """Answer whether evidence suffices for a level."""
    return log_e >= -math.log(level)
