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

PENALTIES = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0)
"""Tried penalties, per row of weight 1, on regressors of unit size."""

SHARPNESS = 30
"""With what power a penalty's weight falls with its held-out loss."""

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
    """Fit each step ahead by itself, penalties weighted by held-out time for a few steps together.

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
        beta = _ridge(gram, moment, PENALTIES[3] * weight.sum(axis=1))
        weight = weights * there * _trust(np.where(there, target - _predict(unit, beta), np.nan))
    return _blend(unit, target, weight, weights, gap, size)


def _blend(
    unit: FloatArray, target: FloatArray, weight: FloatArray, ages: FloatArray, gap: int, size: FloatArray
) -> Solved:
    """Try all penalties on all folds, and fit with all of them, weighted by how they did."""
    wanted = np.where(np.isfinite(target), target, 0.0)
    cuts, kept = _stretches(unit.shape[1], gap)
    sums = [(*_normal(unit[:, s], wanted[:, s], weight[:, s]), weight[:, s].sum(axis=1)) for s in cuts]
    said = np.zeros((len(PENALTIES), *target.shape))
    for fold, keep in enumerate(kept):
        gram, moment, mass = (sum(part, np.zeros(1)) for part in zip(*(sums[k] for k in keep), strict=True))
        held = slice(fold * unit.shape[1] // FOLDS, (fold + 1) * unit.shape[1] // FOLDS)
        for place, penalty in enumerate(PENALTIES):
            said[place, :, held] = _predict(unit[:, held], _ridge(gram, moment, penalty * mass))
    errors = target - said
    shares = _shares(errors, ages)
    gram, moment, mass = (sum(part, np.zeros(1)) for part in zip(*sums, strict=True))
    betas = np.stack([_ridge(gram, moment, penalty * mass) for penalty in PENALTIES])
    return Solved((shares[:, :, None] * betas).sum(axis=0) / size, (shares[:, :, None] * errors).sum(axis=0))


def _shares(errors: FloatArray, ages: FloatArray) -> FloatArray:
    """Weigh penalties by their held-out errors around each step ahead, shape (n penalties, n steps).

    The loss is the mean root of the error, squared: quiet times have a say in it beside the restless ones.
    """
    loss = np.square(np.nansum(np.sqrt(np.abs(errors)) * ages, axis=2)) + 1e-12
    relative = loss / loss.min(axis=0, keepdims=True)
    kernel = np.ones(min(5, relative.shape[1])) / 5
    around = np.stack([np.convolve(row, kernel, mode="same") for row in relative])
    shares = (around / around.min(axis=0, keepdims=True)) ** -SHARPNESS
    return np.asarray(shares / shares.sum(axis=0, keepdims=True), dtype=np.float64)


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
