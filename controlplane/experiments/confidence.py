"""Differences of two means with always-valid intervals, in points and relative. Pure.

`analysis.py` asks it for means and for shares that are not rare; simulations ask it for thousands at once. An
interval and the evidence against "no difference" always agree: both come of one score and one boundary.
"""

from dataclasses import replace

import numpy as np

from controlplane.experiments import msprt
from controlplane.experiments.clusters import Moments, normal_score, student_score
from controlplane.experiments.msprt import Floats

MUCH = 1.5
"""An arm that is so many times larger knows variances better."""

NOTHING = 1e-9
"""Means below it are zero: values are kept to a millionth."""


def size(control: Moments, treated: Moments) -> Floats:
    """Answer how many operations two equally large arms would need together to tell as much."""
    return 4 / (1 / np.maximum(control.size, 1e-9) + 1 / np.maximum(treated.size, 1e-9))


def borrowing(arm: Moments, other: Moments) -> Moments:
    """Let a much smaller arm vary no less than a larger one does.

    In few values of a distribution with a heavy tail the tail is not seen yet: the mean is then too low, its
    variance too. The larger arm has seen more of it.
    """
    borrowed = other.variance * other.size / np.maximum(arm.size, 1e-9)
    smaller = arm.count * MUCH < other.count
    return replace(arm, variance=np.where(smaller, np.maximum(arm.variance, borrowed), arm.variance))


def freedom(control: Moments, treated: Moments) -> Floats:
    """Answer the degrees of freedom of the difference (Welch, 1947)."""
    both = (control.variance + treated.variance) ** 2
    parts = control.variance**2 / control.freedom + treated.variance**2 / treated.freedom
    return np.where(parts > 0, both / np.where(parts > 0, parts, 1), 1.0)


def score(control: Moments, treated: Moments) -> Floats:
    """Answer the normal score of treated less control; 0 where neither varies."""
    error = np.sqrt(control.variance + treated.variance)
    plain = np.where(error > 0, (treated.mean - control.mean) / np.where(error > 0, error, 1), 0.0)
    return normal_score(plain, freedom(control, treated))


def points(control: Moments, treated: Moments, level: float) -> tuple[Floats, Floats, Floats]:
    """Answer the difference in the metric's unit, and the ends of its interval."""
    difference = treated.mean - control.mean
    half = _reach(control, treated, level) * np.sqrt(control.variance + treated.variance)
    return difference, difference - half, difference + half


def relative(control: Moments, treated: Moments, level: float) -> tuple[Floats, Floats, Floats]:
    """Answer the difference as a share of the control's mean, and the ends of its interval.

    The interval is Fieller's (Some problems in interval estimation, 1954): all ratios that the boundary does
    not exclude. Where the control's mean may be zero there is none; then the control's mean is taken as
    known, or as 1 where it is zero.
    """
    reach = _reach(control, treated, level)
    base, other = control.mean, treated.mean
    leading = base**2 - reach**2 * control.variance
    sound = leading > 0
    middle = base * other
    root = np.maximum(middle**2 - leading * (other**2 - reach**2 * treated.variance), 0)
    divisor = np.where(sound, leading, 1)
    first, last = (middle - np.sqrt(root)) / divisor - 1, (middle + np.sqrt(root)) / divisor - 1
    turned = base < 0
    lower, upper = np.where(turned, -last, first), np.where(turned, -first, last)
    scale = np.where(np.abs(base) < NOTHING, 1.0, np.abs(base))
    difference, least, most = (each / scale for each in points(control, treated, level))
    return difference, np.where(sound, lower, least), np.where(sound, upper, most)


def log_evidence(control: Moments, treated: Moments, level: float) -> Floats:
    """Answer the logarithm of the evidence against "no difference"."""
    return msprt.log_evidence(score(control, treated), size(control, treated), level)


def log_evidence_above(control: Moments, treated: Moments, level: float, sign: int = 1) -> Floats:
    """Answer the logarithm of the evidence against "treated is not above control"; below, with sign -1."""
    return msprt.log_evidence_above(sign * score(control, treated), size(control, treated), level)


def _reach(control: Moments, treated: Moments, level: float) -> Floats:
    """How many standard errors the interval goes to either side."""
    bound = np.minimum(msprt.boundary(size(control, treated), level), 1e6)
    return student_score(bound, freedom(control, treated))
