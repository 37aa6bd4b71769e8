"""The pool must not be worse than the simplest models. Pure.

`controlplane.forecast.combination` calls it per horizon bucket, with what the pool of the past lost. Where
that is more than the seasonal naive lost, or the naive model within the first steps, weight is handed over to
the better of the two: a share that grows with how much worse the pool was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.losses import LEAST
from controlplane.forecast.past import Past
from controlplane.forecast.rules import Rules
from controlplane.forecast.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """What is handed over.

    Attributes:
        share: Shape (n,): of the weight, 0 where the pool was good enough.
        member: Shape (n,): index of the simple model that gets it.
        ratio: Shape (n,): the pool's loss by the simple model's.
    """

    share: FloatArray
    member: NDArray[np.int64]
    ratio: FloatArray


def guard(pool_loss: FloatArray, simple: Mapping[int, FloatArray], past: Past, rules: Rules) -> Guard:
    """Compare the pool with simple models over the origins that both forecast.

    Args:
        pool_loss: Shape (n, k): what the pool of each origin lost; NaN where there was none.
        simple: By the member's index, what it lost, shape (n, k), as it stood before any calibration.
        past: The horizon bucket.
        rules: Constants.
    """
    n = len(past.count)
    ratio, member = np.zeros(n), np.zeros(n, dtype=np.int64)
    for index, loss in simple.items():
        both = past.usable[..., index] & np.isfinite(pool_loss)
        weight = np.where(both, past.age, 0.0)
        ours = (weight * np.where(both, pool_loss, 0.0)).sum(axis=1)
        theirs = (weight * np.where(both, loss, 0.0)).sum(axis=1)
        against = np.where(both.any(axis=1), np.maximum(ours, LEAST) / np.maximum(theirs, LEAST), 0.0)
        member = np.where(against > ratio, index, member)
        ratio = np.maximum(ratio, against)
    enough = past.count >= rules.bad_after
    share = np.where(enough, np.clip((ratio - 1.0) / rules.guard_slope, 0.0, 1.0), 0.0)
    return Guard(share, member, ratio)


def handed_over(weights: FloatArray, found: Guard) -> FloatArray:
    """Answer weights of which the simple model has its share.

    Args:
        weights: Shape (n, ..., m).
        found: What is handed over.
    """
    shape = (len(found.share),) + (1,) * (weights.ndim - 1)
    share = found.share.reshape(shape)
    simple = np.arange(weights.shape[-1]) == found.member.reshape(shape)
    mixed: FloatArray = (1.0 - share) * weights + share * simple
    return mixed


def possible(found: Guard, dropped: NDArray[np.bool_]) -> Guard:
    """Answer what can be handed over: nothing to a model that has no forecast now."""
    gone = np.take_along_axis(dropped, found.member[:, None], axis=1)[:, 0]
    return replace(found, share=np.where(gone, 0.0, found.share))
