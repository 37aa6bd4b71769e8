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
    """Weights in any unit, all above zero; `without` makes them sum to one.

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
    total, heard = losses.sum(axis=1), np.asarray(past.usable.any(axis=1))
    own = _relative(total, heard)
    weight = np.where(heard, past.count[:, None], 0.0)
    shared = (own * weight).sum(axis=0) / (weight.sum(axis=0) + rules.equal_prior)
    others = np.maximum(past.count - 1.0, 0.0)[:, None, None]
    return Weights(
        _weights(own, shared, past.count[:, None], rules),
        _weights(_relative(total[:, None] - losses, heard[:, None]), shared, others, rules),
    )


def without(weights: FloatArray, dropped: NDArray[np.bool_], keep: int, equal: float) -> FloatArray:
    """Answer weights of the heaviest members that are not dropped, summing to one where any is left.

    Args:
        weights: Shape (..., m).
        dropped: Broadcast against it.
        keep: How many; ties may keep more.
        equal: The share that is spread equally over those who are not dropped.
    """
    alive = ~np.broadcast_to(dropped, weights.shape)
    left = _to_one(np.where(alive, weights, 0.0))
    left = np.where(alive, (1.0 - equal) * left + equal * _to_one(alive.astype(np.float64)), 0.0)
    if keep < left.shape[-1]:
        least = np.sort(left, axis=-1)[..., -keep][..., None]
        left = np.where(left >= least, left, 0.0)
    return _to_one(left)


def _to_one(weights: FloatArray) -> FloatArray:
    total = weights.sum(axis=-1, keepdims=True)
    share: FloatArray = weights / np.where(total > 0, total, 1.0)
    return share


def _relative(total: FloatArray, heard: NDArray[np.bool_]) -> FloatArray:
    """Answer logarithms of losses against their mean over the members that were heard; 0 for the others."""
    logs = np.where(heard, np.log(np.maximum(total, LEAST)), 0.0)
    mean = logs.sum(axis=-1, keepdims=True) / np.maximum(heard.sum(axis=-1, keepdims=True), 1)
    return np.where(heard, logs - mean, 0.0)


def _weights(own: FloatArray, shared: FloatArray, count: FloatArray, rules: Rules) -> FloatArray:
    shrunk = (count * own + rules.weight_prior * shared) / (count + rules.weight_prior)
    raw: FloatArray = np.exp(-rules.power * (shrunk - shrunk.min(axis=-1, keepdims=True)))
    return raw
