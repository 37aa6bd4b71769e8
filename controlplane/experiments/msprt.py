"""The mixture sequential probability ratio test of normal scores: evidence valid at every look. Pure.

`confidence.py`, `quantiles.py` and `power.py` call it; all functions take arrays, so that simulations look at
thousands of experiments at once. Nothing here may depend on how often it is asked.

For a score z that is standard normal where there is no difference, the likelihood ratio, averaged over any
alternatives that are chosen beforehand, is a martingale that starts at 1 (Robbins, Statistical methods
related to the law of the iterated logarithm, 1970; Johari, Koomen, Pekelis and Walsh, Always valid inference:
continuous monitoring of A/B tests, 2022). By Ville's inequality (1939) it ever exceeds 1/a with probability a
at the most. Where variances are estimated this holds in the limit: it is the asymptotic confidence sequence
of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic
confidence sequences, arXiv 2103.06476, and its one-sided form.

Theirs are alternatives that are normal about none, so most are differences that no experiment would find.
Here half of them are normal about a difference that is found in the time that an experiment takes, half about
its opposite, with the same mean square. At the level of 5 % this takes up to 9 % fewer operations between 700
and 10,000 of them, 5 % more at 20,000, and 16 % more at a million.
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

APART = 2.0
"""How many of their deviations the alternatives lie from none, to either side; 0: normal about none."""

NEWTON = 4
"""Steps to the boundary, after which hardly the last digit is wrong."""

LOG_MAX = 700.0
"""Logarithms of evidence above it are taken for it, so that the evidence is a finite number."""


def mixing(level: float, tuning: float = TUNING) -> float:
    """Answer the mean square of the alternatives, for each operation, as 2103.06476 tunes it for a level."""
    doubled = -2 * math.log(level)
    return (doubled + math.log(doubled + 1)) / tuning


def log_evidence(
    score: Floats, size: Floats, level: float, tuning: float = TUNING, apart: float = APART
) -> Floats:
    """Answer the logarithm of the evidence against "no difference".

    Args:
        score: Difference over its standard error.
        size: Independent operations of both arms together, were the arms equally large.
        level: The chance of being wrong that the test is tuned for; it holds for every level.
        tuning: The size at which it is quickest.
        apart: How many of their deviations the alternatives lie from none, to either side.
    """
    centre, spread = _alternatives(size, level, tuning, apart)
    grown = 1 + spread**2
    answer = 0.5 * ((spread * score) ** 2 - centre**2) / grown + _log_cosh(centre * score / grown)
    return np.asarray(np.minimum(answer - 0.5 * np.log(grown), LOG_MAX))


def log_evidence_above(
    score: Floats, size: Floats, level: float, tuning: float = TUNING, apart: float = APART
) -> Floats:
    """The same against "not larger": of the alternatives only those above none are left."""
    centre, spread = _alternatives(size, level, tuning, apart)
    grown = 1 + spread**2
    answer = 0.5 * ((spread * score) ** 2 + 2 * centre * score - centre**2) / grown - 0.5 * np.log(grown)
    kept = log_normal_share((spread * score + apart) / np.sqrt(grown)) - _log_share(apart)
    return np.asarray(np.minimum(answer + kept, LOG_MAX))


def boundary(size: Floats, level: float, tuning: float = TUNING, apart: float = APART) -> Floats:
    """Answer how large a score must be to be evidence at a level; of no operations, very large."""
    centre, spread = _alternatives(np.maximum(np.asarray(size), 1e-9), level, tuning, apart)
    grown = 1 + spread**2
    enough = 0.5 * np.log(grown) + 0.5 * centre**2 / grown - math.log(level)
    far = np.sqrt(centre**2 + 2 * grown * spread**2 * (enough + math.log(2))) - centre
    score = np.minimum(np.sqrt(2 * grown * enough) / spread, far / spread**2)
    for _ in range(NEWTON if apart else 0):  # from above to the root of a convex function that rises
        missing = 0.5 * (spread * score) ** 2 / grown + _log_cosh(centre * score / grown) - enough
        score = score - missing * grown / (spread**2 * score + centre * np.tanh(centre * score / grown))
    return np.asarray(score)


def _alternatives(size: Floats, level: float, tuning: float, apart: float) -> tuple[Floats, Floats]:
    """Centre (to either side) and deviation of the alternatives, in standard errors at a size."""
    square = np.asarray(size, dtype=np.float64) * mixing(level, tuning)
    spread = np.sqrt(square / (1 + apart**2))
    return apart * spread, spread


def _log_cosh(value: Floats) -> Floats:
    far = np.abs(value)
    return np.asarray(far + np.log1p(np.exp(-2 * far)) - math.log(2))


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
