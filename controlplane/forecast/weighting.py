"""How much each member counts, by how it did before. Pure.

`controlplane.forecast.combination` calls it per horizon bucket. Weights are the inverse of the loss to a
power; losses are compared in logarithms and shrunk, by how many origins there are, to those pooled over
series and from there to equal. A member that did better never gets less weight.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.losses import LEAST
from controlplane.forecast.past import Past
from controlplane.forecast.rules import Rules
from controlplane.forecast.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Weights that sum to one over the members, or are all zero.

    Attributes:
        now: Shape (n, m).
        each: Shape (n, k, m): for each past origin, from the other origins alone.
    """

    now: FloatArray
    each: FloatArray


def comparable(losses: FloatArray, past: Past) -> FloatArray:
    """Answer losses in units of each origin's difficulty, where a member without a forecast is average.

    An origin is divided by the root of its mean loss: halfway between counting origins alike and counting
    demand alike, so that one spike does not decide alone.

    Args:
        losses: Shape (n, k, m), in units of the series' mean.
        past: One horizon bucket.
    """
    there = past.usable.sum(axis=-1, keepdims=True)
    mean = np.where(past.usable, losses, 0.0).sum(axis=-1, keepdims=True) / np.maximum(there, 1)
    filled = np.where(past.usable, losses, mean)
    found: FloatArray = past.age[..., None] * filled / np.sqrt(np.maximum(mean, LEAST))
    return found


def weigh(losses: FloatArray, past: Past, rules: Rules) -> Weights:
    """Answer the weights before any rule drops a member.

    Args:
        losses: As `comparable` answers them.
        past: One horizon bucket.
        rules: Constants.
    """
    total = losses.sum(axis=1)
    own = _relative(total)
    weight = past.count[:, None]
    shared = (own * weight).sum(axis=0) / (past.count.sum() + rules.equal_prior)
    others = np.maximum(past.count - 1.0, 0.0)[:, None, None]
    return Weights(
        _weights(own, shared, weight, rules),
        _weights(_relative(total[:, None] - losses), shared, others, rules),
    )


def without(weights: FloatArray, dropped: NDArray[np.bool_], keep: int) -> FloatArray:
    """Answer weights of the heaviest `keep` members that are not dropped, summing to one where any is left.

    Args:
        weights: Shape (..., m).
        dropped: Broadcast against it.
        keep: How many; ties may keep more.
    """
    left = np.where(dropped, 0.0, weights)
    if keep < left.shape[-1]:
        least = np.sort(left, axis=-1)[..., -keep][..., None]
        left = np.where(left >= least, left, 0.0)
    total = left.sum(axis=-1, keepdims=True)
    return left / np.where(total > 0, total, 1.0)


def _relative(total: FloatArray) -> FloatArray:
    """Answer logarithms of losses against their geometric mean over the members."""
    logs = np.log(np.maximum(total, LEAST))
    centred: FloatArray = logs - logs.mean(axis=-1, keepdims=True)
    return centred


def _weights(own: FloatArray, shared: FloatArray, count: FloatArray, rules: Rules) -> FloatArray:
    shrunk = (count * own + rules.weight_prior * shared) / (count + rules.weight_prior)
    raw = np.exp(-rules.power * (shrunk - shrunk.min(axis=-1, keepdims=True)))
    share = raw / raw.sum(axis=-1, keepdims=True)
    mixed: FloatArray = (1.0 - rules.equal_share) * share + rules.equal_share / own.shape[-1]
    return mixed
