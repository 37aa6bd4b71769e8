"""Whether arms got the shares that they should have, looked at always. Pure.

`analysis.py` asks it first: where shares are wrong, something lost units of one arm, and no difference means
what it seems to. The evidence is that of Lindon and Malek, Anytime-valid inference for multinomial count
data, NeurIPS 2022: the likelihood of the counts, averaged over a Dirichlet distribution about the shares,
over that of the shares. It holds for counts of units that fall independently. Buckets that were seen are
drawn without replacement, which varies less, so the evidence errs to the safe side.
"""

import math

import numpy as np

from controlplane.experiments.msprt import LOG_MAX, Floats

ALARM = 0.001
"""An alarm below this p-value: the chance of a false one over all looks."""

CONCENTRATION = 1000.0
"""Of the Dirichlet distribution: deviations of two points, quick within about 20,000 units."""

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def log_evidence(counts: Floats, shares: Floats) -> Floats:
    """Answer the logarithm of the evidence against the shares.

    Args:
        counts: Units by arm, which is the last axis.
        shares: What arms should have, larger than 0, with the sum 1.
    """
    prior = CONCENTRATION * shares
    total = counts.sum(axis=-1)
    answer = (_log_gamma(prior + counts) - _log_gamma(prior) - counts * np.log(shares)).sum(axis=-1)
    answer += math.lgamma(CONCENTRATION) - _log_gamma(CONCENTRATION + total)
    return np.minimum(np.asarray(answer, dtype=np.float64), LOG_MAX)


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
