"""How strongly two samples speak against being of one kind, at whatever moment one looks. Pure.

`drift.py` calls it. Both functions answer the logarithm of an e-value: were there no difference, the e-value
would be at most 1 on average whenever one stops looking, so that it exceeds 1000 with a chance of at most 1
in 1000.

Means: the factor of the t-test of two samples with a normal prior on the standardised difference (Gönen,
Johnson, Lu and Westfall: The Bayesian two-sample t test, The American Statistician 2005), whose right-Haar
prior on mean and spread makes it valid under optional stopping (Hendriksen, de Heide and Grünwald: Optional
stopping with Bayes factors, Bayesian Analysis 2021).

Shares: the running maximum likelihood ratio of universal inference (Wasserman, Ramdas and Balakrishnan:
Universal inference, PNAS 2020), with the mixture of Krichevsky and Trofimov as the alternative.
"""

import math
from dataclasses import dataclass

PRIOR_SCALE = 2.0
"""Standardised differences that are expected where there is one, in standard deviations of a value."""

SPREAD_MIN = 0.01
"""The least standard deviation that is believed in: values are rounded, and logarithms: 1 %."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Sums of values."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __sub__(self, other: "Sample") -> "Sample":
        return Sample(self.count - other.count, self.total - other.total, self.squares - other.squares)

    @property
    def mean(self) -> float:
        """Of at least one value."""
        return self.total / self.count

    @property
    def scatter(self) -> float:
        """Sum of the squared distances from the mean."""
        return max(self.squares - self.total * self.total / self.count, 0.0)


@dataclass(frozen=True, slots=True)
class Trials:
    """How many were tried, and how many of them failed."""

    count: int = 0
    failed: int = 0

    def __sub__(self, other: "Trials") -> "Trials":
        return Trials(self.count - other.count, self.failed - other.failed)

    @property
    def share(self) -> float:
        """The share that failed, drawn towards a half as by one more trial."""
        return (self.failed + 0.5) / (self.count + 1)


def against_one_mean(before: Sample, after: Sample) -> float:
    """The logarithm of the e-value against both samples having one mean; each has at least one value."""
    freedom = before.count + after.count - 2
    if freedom < 1:
        return 0.0
    effective = before.count * after.count / (before.count + after.count)
    spread = max((before.scatter + after.scatter) / freedom, SPREAD_MIN**2)
    t_squared = (after.mean - before.mean) ** 2 * effective / spread
    widened = 1 + effective * PRIOR_SCALE**2
    ratio = math.log1p(t_squared / freedom) - math.log1p(t_squared / (freedom * widened))
    return (freedom + 1) / 2 * ratio - math.log(widened) / 2


def against_one_share(before: Trials, after: Trials) -> float:
    """The logarithm of the e-value against both failing equally often."""
    both = Trials(before.count + after.count, before.failed + after.failed)
    return _mixed(before) + _mixed(after) - _best(both)


def _mixed(trials: Trials) -> float:
    """The log likelihood of trials, whatever the share, mixed by Jeffreys' prior."""
    failed, passed = trials.failed + 0.5, trials.count - trials.failed + 0.5
    return math.lgamma(failed) + math.lgamma(passed) - math.lgamma(trials.count + 1) - math.log(math.pi)


def _best(trials: Trials) -> float:
    """The log likelihood of trials under the share that explains them best."""
    failed, passed = trials.failed, trials.count - trials.failed
    return sum(part * math.log(part / trials.count) for part in (failed, passed) if part > 0)
