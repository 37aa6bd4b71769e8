"""Sums whose last digit does not depend on what else is summed at once. Pure; numpy only.

Everything that is worked out for many chains at once uses them: a plan must come out the same, to the last
digit, alone and among others. Library products and sums pick their order by the shape of the whole array.
"""

import numpy as np

from controlplane.planning.queueing import FloatArray, IntArray


def across(values: FloatArray) -> FloatArray:
    """Add up the last axis, from left to right; zeros at its end change nothing."""
    found = np.zeros(values.shape[:-1])
    for column in range(values.shape[-1]):
        found += values[..., column]
    return found


def weighted(values: FloatArray | IntArray, weights: FloatArray) -> FloatArray:
    """Add up the last axis by weights, shape (k,), from left to right."""
    found = np.zeros(values.shape[:-1])
    for column, weight in enumerate(weights.tolist()):
        found += values[..., column] * weight
    return found


def product(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Multiply matrices, shapes (n, k) and (k, m), adding up from the first of k to the last."""
    found = np.zeros((rows.shape[0], columns.shape[1]))
    for inner in range(rows.shape[1]):
        found += rows[:, inner, None] * columns[inner]
    return found
