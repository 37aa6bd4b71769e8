"""The mixture sequential probability ratio test of normal scores: evidence valid at every look. Pure.

`confidence.py`, `quantiles.py` and `power.py` call it; all functions take arrays, so that simulations look at
thousands of experiments at once. Nothing here may depend on how often it is asked.

For a score z that is standard normal where there is no difference, and alternatives that are normal about
none, the mean of the likelihood ratio is a martingale that starts at 1 (Robbins, Statistical methods related
to the law of the iterated logarithm, 1970; Johari, Koomen, Pekelis and Walsh, Always valid inference:
continuous monitoring of A/B tests, 2022). By Ville's inequality (1939) it ever exceeds 1/a with probability a
at the most. Where variances are estimated this holds in the limit: it is the asymptotic confidence sequence
of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic
confidence sequences, arXiv 2103.06476, and its one-sided form.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]

TUNING = 3000.0
"""Operations of both arms together at which conclusions are quickest; far from it they are a bit slower."""

FAR_BELOW = -30.0
"""From here on `erfc` gives nothing, and the tail is as good as its first term."""

LOG_MAX = 700.0
"""Logarithms of evidence above it are taken for it, so that the evidence is a finite number."""


def mixing(level: float, tuning: float = TUNING) -> float:
    """Answer the variance of the alternatives, for each operation, as 2103.06476 tunes it for a level."""
    doubled = -2 * math.log(level)
    return (doubled + math.log(doubled + 1)) / tuning


def log_evidence(score: Floats, size: Floats, level: float, tuning: float = TUNING) -> Floats:
    """Answer the logarithm of the evidence against "no difference".

    Args:
        score: Difference over its standard error.
        size: Independent operations of both arms together, were the arms equally large.
        level: The chance of being wrong that the test is tuned for; it holds for every level.
        tuning: The size at which it is quickest.
    """
    mixed = np.asarray(size) * mixing(level, tuning)
    return np.minimum(0.5 * score**2 * mixed / (1 + mixed) - 0.5 * np.log1p(mixed), LOG_MAX)


def log_evidence_above(score: Floats, size: Floats, level: float, tuning: float = TUNING) -> Floats:
    """The same against "not larger": alternatives are half normal."""
    mixed = np.asarray(size) * mixing(level, tuning)
    share = log_normal_share(score * np.sqrt(mixed / (1 + mixed)))
    return np.minimum(log_evidence(score, size, level, tuning) + math.log(2) + share, LOG_MAX)


def boundary(size: Floats, level: float, tuning: float = TUNING) -> Floats:
    """Answer how large a score must be to be evidence at a level: infinite where there are no operations."""
    mixed = np.maximum(np.asarray(size, dtype=np.float64) * mixing(level, tuning), 1e-12)
    return np.sqrt(2 * (1 + mixed) / mixed * (0.5 * np.log1p(mixed) - math.log(level)))


def p_value(log_e: Floats, tests: int = 1) -> Floats:
    """Answer an always-valid p-value of evidence that is one of so many tests."""
    return np.asarray(np.minimum(1.0, tests * np.exp(-np.asarray(log_e))))


def _log_share(score: float) -> float:
    if score > FAR_BELOW:
        return math.log(0.5 * math.erfc(-score / math.sqrt(2)))
    return -0.5 * score**2 - math.log(-score * math.sqrt(2 * math.pi))


_shares = np.vectorize(_log_share, otypes=[np.float64])


def log_normal_share(score: Floats) -> Floats:
    """Answer the logarithm of the share of a normal distribution below a score."""
    return np.asarray(_shares(score), dtype=np.float64)
