"""Durations by coarse bins and by cluster of units: how alike the tails of one unit's operations are. Pure.

`outcomes.py` folds durations into them; `analysis.py` asks of them how much more a P95 varies than it would
if each operation were a unit of its own. That cannot be told from means: tenants may take equally long on
average, and yet one of them may have most of what takes longest. What is kept must be the same in whatever
order durations come.

The share of operations above a bound is a ratio of two sums over clusters, as in `clusters.py`. Of the bounds
that are kept the two next to the quantile are asked, and the larger answer is taken.
"""

import sys
from array import array
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.experiments.clusters import Moments, moments
from controlplane.experiments.confidence import freedom
from controlplane.experiments.msprt import Floats
from controlplane.profiles.sketch import SECONDS_MAX, SECONDS_MIN, bin_of

CLUSTERS = 32
"""Fewer than sums have, since there are so many bins. Buckets modulo this."""

COARSE = 15
"""Bins of a sketch in each bin: bounds lie apart by 35 %."""

BINS_MAX = 18
"""Bins up to the longest: they reach down to a two-hundredth of it. The lowest holds all below, too."""

NEAR = 3.0
"""A bound tells of a quantile where the shares above the two differ by no more than so many times."""

_COUNT_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike operations of one unit are.

    Attributes:
        alike: How many times larger variances are for it; at least 1.
        freedom: Degrees of freedom of the variance.
    """

    alike: Floats
    freedom: Floats


NONE = Likeness(np.asarray(1.0), np.asarray(1e9))
"""Where each operation is a unit of its own."""


def add(kept: MutableMapping[int, bytes], times: Iterable[tuple[float, int]]) -> None:
    """Add durations in seconds, each with the cluster of its unit, to what is kept."""
    bins: dict[int, array[int]] = {}
    for seconds, cluster in times:
        index = bin_of(min(max(seconds, SECONDS_MIN), SECONDS_MAX)) // COARSE
        if index not in bins:
            bins[index] = _unpacked(kept.get(index, b""))
        counts = bins[index]
        counts[cluster % CLUSTERS] = min(counts[cluster % CLUSTERS] + 1, _COUNT_MAX)
    for index, counts in bins.items():
        kept[index] = _packed(counts)
    _join(kept)


def arrays(arms: Sequence[Mapping[int, bytes]]) -> list[Floats]:
    """Answer operations of each arm by bin, the same bins for all, and by cluster, which is the last axis."""
    indices = [index for kept in arms for index in kept]
    first, last = (min(indices), max(indices)) if indices else (0, 0)
    last = min(last, first + 4 * BINS_MAX)  # more was edited by hand
    answer = [np.zeros((last - first + 1, CLUSTERS)) for _ in arms]
    for counts, kept in zip(answer, arms, strict=True):
        for index, packed in kept.items():
            counts[min(index, last) - first] += _unpacked(packed)
    return answer


def likeness(
    control: Floats, treated: Floats, share: float, means: tuple[Moments, Moments], plain: Floats
) -> Likeness:
    """Answer how alike operations of one unit are about a quantile.

    Args:
        control: The control's operations by bin and by cluster.
        treated: Those of the treated arm by the same.
        share: Which quantile.
        means: The moments of both arms' means: their likeness counts where no bound is near the quantile.
        plain: That likeness.
    """
    first, second = _above(control), _above(treated)
    number = np.maximum(first.count + second.count, 1)
    beyond = (first.mean * first.count + second.mean * second.count) / number
    places = np.arange(beyond.shape[-1])
    upper = np.argmax(beyond < 1 - share, axis=-1)[..., None]
    asked = (places == upper) | (places == upper - 1)
    alike = np.maximum(number / np.maximum(first.size + second.size, 1e-9), 1.0)
    worst = np.argmax(np.where(asked, alike, 0.0), axis=-1)[..., None]
    apart = np.abs(np.log(np.maximum(beyond, 1e-9) / (1 - share)))
    near = np.where(asked, apart, np.inf).min(axis=-1) <= np.log(NEAR)
    found = np.take_along_axis(alike, worst, axis=-1)[..., 0]
    free = np.take_along_axis(freedom(first, second), worst, axis=-1)[..., 0]
    return Likeness(
        np.where(near, found, np.maximum(found, plain)),
        np.where(near, free, np.minimum(free, freedom(*means))),
    )


def _above(counts: Floats) -> Moments:
    """The shares of operations above each bin but the last, by which nothing is above."""
    above = np.flip(np.cumsum(np.flip(counts, axis=-2), axis=-2), axis=-2)
    number, clusters = np.broadcast_to(above[..., :1, :], above.shape), np.zeros_like(above)
    clusters[..., :-1, :] = above[..., 1:, :]
    total = clusters.sum(axis=-1)
    return moments(number.sum(axis=-1), total, total, number, clusters, repeating=True)


def _join(kept: MutableMapping[int, bytes]) -> None:
    """Join what is too far below the longest into the lowest bin."""
    lowest = max(kept, default=0) - BINS_MAX + 1
    below = [index for index in kept if index < lowest]
    if below:
        joined = _unpacked(kept.get(lowest, b""))
        for index in below:
            pairs = zip(joined, _unpacked(kept.pop(index)), strict=True)
            joined = array("I", [min(one + other, _COUNT_MAX) for one, other in pairs])
        kept[lowest] = _packed(joined)


def _packed(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = array("I", numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _unpacked(kept: bytes) -> "array[int]":
    """What was kept; what was edited by hand into something else counts as nothing."""
    numbers = array("I", kept if len(kept) == 4 * CLUSTERS else bytes(4 * CLUSTERS))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
