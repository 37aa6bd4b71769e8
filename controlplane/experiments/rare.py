"""Shares of which one side is rare, such as failures: a test that needs no large numbers. Pure.

`analysis.py` asks it where fewer than `RARE` of the operations are on the rarer side; simulations ask it for
thousands at once. Where arms fail alike, each failure is one of the treated arm with the chance that an
operation is (Przyborowski and Wilenski, Homogeneity of results in testing samples from Poisson series, 1940),
so failures alone are a sequence of coin tosses with a known coin. Evidence is the mean likelihood ratio over
alternative coins (Johari, Koomen, Pekelis and Walsh, 2022; Robbins, 1970), for which no variance is estimated
and no limit is taken. The coin is the share of operations so far.

Where operations of a unit are alike, both counts are divided by how many times the variance is larger for it
(Rao and Scott, A simple method for the analysis of clustered binary data, 1992).
"""

import math
from collections.abc import Callable

import numpy as np

from controlplane.experiments.msprt import LOG_MAX, Floats, boundary

RARE = 0.1
"""Below it the rarer side is tested by itself; the other side would tell less than a tenth as much more."""

NEAR, FAR, STEP = 0.4, 4.0, 0.05
"""Alternatives: logarithms of odds ratios, mostly normal with deviation `NEAR`, some even up to `FAR`."""

EVEN = 0.2
"""The weight of the even ones, by which an arm that always fails is found within about ten failures."""

_RATIOS = np.arange(-round(FAR / STEP), round(FAR / STEP) + 1) * STEP
_BELLS = np.exp(-0.5 * (_RATIOS / NEAR) ** 2)
_WEIGHTS = (1 - EVEN) * _BELLS / _BELLS.sum() + EVEN / len(_RATIOS)


def log_evidence(control: Floats, treated: Floats, coin: Floats) -> Floats:
    """Answer the logarithm of the evidence against "no difference".

    Args:
        control: Rare outcomes of the control.
        treated: Those of the treated arm.
        coin: The share of operations of both that the treated arm has, between 0 and 1.
    """
    return _mixture(control, treated, coin, _WEIGHTS)


def log_evidence_above(control: Floats, treated: Floats, coin: Floats) -> Floats:
    """Answer the logarithm of the evidence against "not more often in the treated arm"."""
    weights = np.where(_RATIOS > STEP / 2, _WEIGHTS, 0)
    return _mixture(control, treated, coin, weights / weights.sum())


def _mixture(control: Floats, treated: Floats, coin: Floats, weights: Floats) -> Floats:
    coin = np.clip(np.asarray(coin, dtype=np.float64), 1e-9, 1 - 1e-9)[..., None]
    scale = np.log1p(coin * np.expm1(_RATIOS))
    terms = np.asarray(treated)[..., None] * (_RATIOS - scale) - np.asarray(control)[..., None] * scale
    most = terms.max(axis=-1)
    total = (weights * np.exp(terms - most[..., None])).sum(axis=-1)
    return np.asarray(np.minimum(most + np.log(np.maximum(total, 1e-300)), LOG_MAX))


def coins(control: float, treated: float, coin: float, level: float) -> tuple[float, float]:
    """Answer the ends of the interval of the chance that a rare outcome is one of the treated arm."""
    total = control + treated
    if total <= 0:
        return 0.0, 1.0
    evidence = float(log_evidence(np.asarray(control), np.asarray(treated), np.asarray(coin)))
    evidence += _log_tosses(control, treated, coin)

    def excluded(chance: float) -> bool:
        return evidence - _log_tosses(control, treated, chance) >= -math.log(level)

    middle = treated / total
    return _edge(middle, 0.0, excluded), _edge(middle, 1.0, excluded)


def interval(
    control: tuple[float, float], treated: tuple[float, float], alike: float, level: float
) -> tuple[float, float]:
    """Answer the ends of the interval of the difference of the two shares of rare outcomes.

    It is that of the coin, times how often rare outcomes are, whose own uncertainty is added to first order.

    Args:
        control: Rare outcomes and operations of the control.
        treated: Those of the treated arm.
        alike: How many times larger the variance is since operations of a unit are alike; at least 1.
        level: The chance that it ever excludes what is true.
    """
    number, rare = control[1] + treated[1], control[0] + treated[0]
    coin, rate = treated[1] / number, (rare + 1) / number

    def apart(chance: float) -> float:
        return rate * (chance / coin - (1 - chance) / (1 - coin))

    lower, upper = (apart(end) for end in coins(control[0] / alike, treated[0] / alike, coin, level))
    difference = apart(treated[0] / rare) if rare else 0.0
    reach = float(boundary(np.asarray(number / alike), level)) * difference / math.sqrt(max(rare / alike, 1))
    least = difference - math.hypot(difference - lower, reach)
    most = difference + math.hypot(upper - difference, reach)
    # How often they are says nothing of which arm has more: that the coin alone tells.
    return max(least if lower <= 0 else max(least, 0.0), -1.0), min(
        most if upper >= 0 else min(most, 0.0), 1.0
    )


def _log_tosses(control: float, treated: float, chance: float) -> float:
    """The logarithm of the chance of a sequence of tosses; very small where it is impossible."""
    chance = min(max(chance, 1e-300), 1 - 1e-16)
    return treated * math.log(chance) + control * math.log1p(-chance)


def _edge(inside: float, outside: float, excluded: Callable[[float], bool]) -> float:
    """Where between the two exclusion begins."""
    if not excluded(outside):
        return outside
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return outside
