"""A robust ridge in closed form, for many steps ahead at once, and what it would have said of held-out time.

`ridge` calls it. One pass over the rows gives the Gram matrices of a few stretches of time; all penalties and
all folds are solved from sums of these. Held-out residuals are never from coefficients that saw the stretch,
nor anything within the horizon of it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from controlplane.forecast.series import FloatArray

FOLDS = 3
"""Stretches of time that are held out in turn."""

PENALTIES = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Tried penalties, per row of weight 1, on regressors of unit size."""

ROUNDS = 3
"""How often rows are reweighted by their residuals."""


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Coefficients, and how they did on held-out time.

    Attributes:
        coefficients: Shape (n steps, n columns).
        held_out: Shape (n steps, n rows): the target less its prediction by a fold that did not see it.
    """

    coefficients: FloatArray
    held_out: FloatArray


def solve(rows: FloatArray, target: FloatArray, weights: FloatArray, gap: int) -> Solved:
    """Fit each step ahead by itself, the penalty chosen on held-out time for a few steps together.

    Args:
        rows: Shape (n steps, n rows, n columns), the last column constant; rows in the order of time.
        target: Shape (n steps, n rows), NaN where there is none.
        weights: Shape (n rows,), such as by age.
        gap: How many rows beside a held-out stretch are not learned from.

    Returns:
        Coefficients and held-out residuals.
    """
    there = np.isfinite(target)
    wanted = np.where(there, target, 0.0)
    weight = weights * there
    size = _size(rows, weight)
    unit = rows / size[:, None, :]
    for _ in range(ROUNDS):
        gram, moment = _normal(unit, wanted, weight)
        beta = _ridge(gram, moment, PENALTIES[2] * weight.sum(axis=1))
        weight = weights * there * _trust(np.where(there, target - _predict(unit, beta), np.nan))
    return _choose(unit, target, weight, weights, gap, size)


def _choose(
    unit: FloatArray, target: FloatArray, weight: FloatArray, ages: FloatArray, gap: int, size: FloatArray
) -> Solved:
    """Try all penalties on all folds, and fit with the best."""
    wanted = np.where(np.isfinite(target), target, 0.0)
    cuts, kept = _stretches(unit.shape[1], gap)
    parts = [_normal(unit[:, s], wanted[:, s], weight[:, s]) for s in cuts]
    masses = [weight[:, s].sum(axis=1) for s in cuts]
    said = np.zeros((len(PENALTIES), *target.shape))
    for fold, keep in enumerate(kept):
        gram = sum((parts[k][0] for k in keep), np.zeros(1))
        moment = sum((parts[k][1] for k in keep), np.zeros(1))
        mass = sum((masses[k] for k in keep), np.zeros(1))
        stretch = slice(fold * unit.shape[1] // FOLDS, (fold + 1) * unit.shape[1] // FOLDS)
        for place, penalty in enumerate(PENALTIES):
            beta = _ridge(gram, moment, penalty * mass)
            said[place, :, stretch] = _predict(unit[:, stretch], beta)
    errors = target - said
    loss = np.nansum(np.abs(errors) * ages, axis=2)
    best = _smooth(loss).argmin(axis=0)
    gram = sum((part[0] for part in parts), np.zeros(1))
    moment = sum((part[1] for part in parts), np.zeros(1))
    beta = _ridge(gram, moment, np.array(PENALTIES)[best] * sum(masses))
    return Solved(beta / size, errors[best, np.arange(len(best))])


def _stretches(count: int, gap: int) -> tuple[list[slice], list[list[int]]]:
    """Cut rows into stretches, so that for each fold some of them are all that may be learned from.

    Returns:
        The stretches in order, and for each fold which of them are not held out nor within the gap of it.
    """
    ends = [count * fold // FOLDS for fold in range(FOLDS + 1)]
    marks = {0, count}
    for end in ends[1:-1]:
        marks |= {max(0, end - gap), end, min(count, end + gap)}
    edges = sorted(marks)
    cuts = [slice(first, stop) for first, stop in pairwise(edges)]
    kept = [
        [
            place
            for place, cut in enumerate(cuts)
            if cut.stop <= ends[fold] - gap or cut.start >= ends[fold + 1] + gap
        ]
        for fold in range(FOLDS)
    ]
    return cuts, kept


def _size(rows: FloatArray, weight: FloatArray) -> FloatArray:
    """Answer how large each regressor is, shape (n steps, n columns), 1 for the constant and for zeros."""
    mass = np.maximum(weight.sum(axis=1), 1e-12)[:, None]
    size = np.sqrt(np.einsum("hr,hrp->hp", weight, np.square(rows)) / mass)
    return np.where(size > 0, size, 1.0)


def _normal(unit: FloatArray, target: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Answer the Gram matrix and the moments of each step."""
    turned = np.swapaxes(unit * weight[:, :, None], 1, 2)
    return turned @ unit, (turned @ target[:, :, None])[:, :, 0]


def _ridge(gram: FloatArray, moment: FloatArray, penalty: FloatArray) -> FloatArray:
    """Solve each step with its penalty; the constant bears none to speak of."""
    count = gram.shape[-1]
    bearing = np.ones(count)
    bearing[-1] = 1e-6
    lifted = gram + (penalty[:, None] + 1e-9)[:, :, None] * np.diag(bearing)
    return np.asarray(np.linalg.solve(lifted, moment[:, :, None])[:, :, 0], dtype=np.float64)


def _predict(unit: FloatArray, beta: FloatArray) -> FloatArray:
    """Answer predictions of shape (n steps, n rows)."""
    predicted: FloatArray = (unit @ beta[:, :, None])[:, :, 0]
    return predicted


def _trust(errors: FloatArray) -> FloatArray:
    """Weigh rows down by how far off they are (Huber 1964, near to least absolute errors)."""
    off = np.abs(errors)
    usual = np.nanmedian(off, axis=1, keepdims=True)
    return np.where(np.isfinite(off), 1.0 / np.maximum(off / np.maximum(usual, 1e-12), 1.0), 0.0)


def _smooth(loss: FloatArray) -> FloatArray:
    """Average losses of shape (n penalties, n steps) over neighbouring steps, each as a share of its best."""
    shares = loss / np.maximum(loss.min(axis=0, keepdims=True), 1e-12)
    kernel = np.ones(min(5, shares.shape[1]))
    return np.stack([np.convolve(row, kernel, mode="same") for row in shares])
