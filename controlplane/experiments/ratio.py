"""Whether arms got the shares that they should have, looked at always. Pure.

`analysis.py` asks it first: where shares are wrong, something lost units of one arm, and no difference means
what it seems to. The evidence is the likelihood of the counts, averaged over other shares, over that of
the shares; whatever shares are chosen beforehand, it is a martingale that starts at 1 (Lindon and Malek,
Anytime-valid inference for multinomial count data, NeurIPS 2022), so it ever says one in a thousand wrongly
with that chance at the most. A part of the other shares is theirs, a Dirichlet distribution, which finds
whatever is wrong. Most are those of one arm that got slightly too much or too little from all others alike:
what loses units loses those of one arm.

It holds for counts of units that fall independently. Buckets that were seen are drawn without replacement,
which varies less, so the evidence errs to the safe side.
"""

import math

import numpy as np

from controlplane.experiments.msprt import LOG_MAX, Floats

ALARM = 0.001
"""An alarm below this p-value: the chance of a false one over all looks."""

SLIGHT = 0.028
"""By how many of a unit's deviations one arm's share is off: 1.4 points of a half, about the least that is
found within 20,000 units. More than that is found sooner."""

ANYHOW, CONCENTRATION = 0.2, 300.0
"""The weight of the Dirichlet distribution, which is wider, and its concentration."""

VARIANCE_MIN = 1e-4
"""Of whether a unit falls into an arm: that of less than a bucket."""

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def log_evidence(counts: Floats, shares: Floats) -> Floats:
    """Answer the logarithm of the evidence against the shares.

    Args:
        counts: Units by arm, which is the last axis.
        shares: What arms should have, larger than 0, with the sum 1.
    """
    counts, shares = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    slight = math.log(1 - ANYHOW) + _one_arm(counts, shares)
    anyhow = math.log(ANYHOW) + _dirichlet(counts, shares)
    return np.asarray(np.minimum(np.logaddexp(slight, anyhow), LOG_MAX))


def _one_arm(counts: Floats, shares: Floats) -> Floats:
    """The evidence for shares where the odds of one arm are off, to either side."""
    ratios = SLIGHT / np.sqrt(np.maximum(shares * (1 - shares), VARIANCE_MIN))
    total = counts.sum(axis=-1, keepdims=True)
    each = [
        counts * (way * ratios) - total * np.log1p(shares * np.expm1(way * ratios)) for way in (1.0, -1.0)
    ]
    return np.asarray(np.logaddexp.reduce(np.concatenate(each, axis=-1), axis=-1)) - math.log(2 * shares.size)


def _dirichlet(counts: Floats, shares: Floats) -> Floats:
    prior = CONCENTRATION * shares
    answer = (_log_gamma(prior + counts) - _log_gamma(prior) - counts * np.log(shares)).sum(axis=-1)
    return np.asarray(
        answer + math.lgamma(CONCENTRATION) - _log_gamma(CONCENTRATION + counts.sum(axis=-1)),
        dtype=np.float64,
    )


def dispersion(counts: Floats, exposed: Floats) -> float:
    """Answer how many times more counts by cluster vary than those of independent operations; at least 1.

    Args:
        counts: Operations by cluster.
        exposed: Buckets of each cluster; those without any are left out.
    """
    expected = counts.sum() * exposed / max(float(exposed.sum()), 1)
    clusters = int((exposed > 0).sum())
    if clusters <= 1 or counts.sum() <= 0:
        return 1.0
    squares = float(((counts - expected) ** 2 / np.where(expected > 0, expected, np.inf)).sum())
    return max(squares / (clusters - 1), 1.0)
