"""Tests of whether a new chain does worse than the old one, valid at whatever moment one looks. Pure.

`controlplane.switching.watching` asks them. Both answer the logarithm of an e-value E: a number whose mean is
at most 1 at every stopping time while the new chain is no worse. By Ville's inequality (1939) E then exceeds
1/a at any time at all with probability a at the most, however often somebody looks.

* Failures: a mixture of alternatives (Robbins, Statistical methods related to the law of the iterated
  logarithm, 1970; Johari, Koomen, Pekelis and Walsh, Always valid inference, 2022) against the likelihood's
  maximum under "fails no more often" (Wasserman, Ramdas and Balakrishnan, Universal inference, 2020).
* Durations: how many of the new ones exceed an order statistic of the old ones. If new and old are
  distributed alike, the share of the new ones beyond the k-th of n old ones is Beta(n - k + 1, k), whatever
  the distribution (Wilks, Determination of sample sizes for setting tolerance limits, 1941). So the chance of
  every sequence is known, and a mixture of stochastically larger alternatives is compared with it. A new
  chain that is faster exceeds less often, and lowers E.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ODDS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""The alternatives: odds of failing, or of being late, so many times the old ones. Each weighs the same."""

QUANTILES = (0.5, 0.9)
"""Which of the old durations the new ones are compared with: one tells of all being slower, one of a tail."""

MARGIN = 1.25
"""New durations are divided by it: what is slower by less is not worth going back for."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many were counted, and how many of them failed."""

    number: int
    failed: int


def failing_more(old: Counts, new: Counts) -> float:
    """Answer the logarithm of the evidence that new ones fail more often than old ones."""
    if not old.number or not new.number:
        return 0.0
    base = (old.failed + 0.5) / (old.number + 1)
    raised = [odds * base / (1 - base + odds * base) for odds in ODDS]
    seen = _log_beta(0.5 + old.failed, 0.5 + old.number - old.failed) - _log_beta(0.5, 0.5)
    seen += _log_mean([_log_chance(new, share) for share in raised])
    return seen - _most_likely(old, new)


def _most_likely(old: Counts, new: Counts) -> float:
    """The logarithm of the largest likelihood that "fails no more often" allows."""
    if new.failed * old.number <= old.failed * new.number:
        return _log_chance(old, old.failed / old.number) + _log_chance(new, new.failed / new.number)
    both = Counts(old.number + new.number, old.failed + new.failed)
    return _log_chance(both, both.failed / both.number)


def _log_chance(counts: Counts, share: float) -> float:
    """The logarithm of the chance of a sequence with so many failures."""
    answer = 0.0
    if counts.failed:
        answer += counts.failed * math.log(share)
    if counts.number > counts.failed:
        answer += (counts.number - counts.failed) * math.log1p(-share)
    return answer


def slower(old: Sequence[float], ended: Sequence[float], running: Sequence[float]) -> float:
    """Answer the logarithm of the evidence that new durations are longer than old ones.

    Args:
        old: Durations of the old chain, in seconds.
        ended: Durations of the new chain.
        running: How long others on the new chain have been running: one that hangs is late already.
    """
    if not old:
        return 0.0
    ordered = sorted(old)
    return _log_mean([_exceeding(ordered, ended, running, quantile) for quantile in QUANTILES])


def _exceeding(
    ordered: Sequence[float], ended: Sequence[float], running: Sequence[float], at: float
) -> float:
    rank = max(math.ceil(at * len(ordered)), 1)
    limit = ordered[rank - 1] * MARGIN
    late = sum(seconds > limit for seconds in (*ended, *running))
    in_time = sum(seconds <= limit for seconds in ended)
    above, below = len(ordered) - rank + 1.0, float(rank)
    alike = _log_beta(above + late, below + in_time) - _log_beta(above, below)
    larger = [
        _log_beta(above + late, below / odds + in_time) - _log_beta(above, below / odds) for odds in ODDS
    ]
    return _log_mean(larger) - alike


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)


def _log_mean(logarithms: Sequence[float]) -> float:
    """The logarithm of the mean of what these are the logarithms of."""
    largest = max(logarithms)
    return largest + math.log(sum(math.exp(each - largest) for each in logarithms) / len(logarithms))
