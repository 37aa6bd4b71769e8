"""Sums of one metric of an arm, exact in whatever order values come. Pure.

`outcomes.py` folds values into them; the analysis reads `clusters_of`. What is summed are integers: a value
in units of 2^-20, its square in units of 2^-40, so no addition is ever rounded, whatever the total. Only the
sums by cluster have an end: 64 bits, which 8,000 values of a thousand million each would fill; there they
stop.
"""

import math
import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from enchain.v1 import experiment_pb2

MetricSums = experiment_pb2.MetricSums

CLUSTERS = 256
"""Units share a cluster by their bucket modulo this, so that nothing is kept for each unit."""

UNIT_BITS = 20
"""Values are multiples of `2^-20`, about a millionth."""

VALUE_MAX = 1e9
"""Larger values, of either sign, are taken for this."""

_CLUSTER_MAX = 2**63 - 1
_COUNT_MAX = 2**32 - 1
_INTEGER = re.compile(r"-?[0-9]{1,64}")


def units_of(value: float) -> int:
    """A value in units of `2^-20`. It must be a number."""
    return round(math.ldexp(min(max(value, -VALUE_MAX), VALUE_MAX), UNIT_BITS))


@dataclass(slots=True)
class Sums:
    """Sums that are being worked on; they are kept as `MetricSums`.

    Attributes:
        count: How many values.
        total: Their sum in units of `2^-20`.
        squares: The sum of their squares in units of `2^-40`.
        counts: Values by cluster.
        totals: Sums by cluster, in units of `2^-20`.
    """

    count: int = 0
    total: int = 0
    squares: int = 0
    counts: "array[int]" = field(default_factory=lambda: array("I", bytes(4 * CLUSTERS)))
    totals: "array[int]" = field(default_factory=lambda: array("q", bytes(8 * CLUSTERS)))

    @classmethod
    def of(cls, kept: MetricSums) -> "Sums":
        """Take up what was kept; what was edited by hand into something else counts as nothing."""
        sums = cls(max(kept.count, 0), _integer(kept.exact_sum), _integer(kept.exact_squares))
        if len(kept.cluster_counts) == 4 * CLUSTERS and len(kept.cluster_sums) == 8 * CLUSTERS:
            sums.counts = _unpacked("I", kept.cluster_counts)
            sums.totals = _unpacked("q", kept.cluster_sums)
        return sums

    def add(self, value: float, cluster: int) -> None:
        """Add a value, which must be a number."""
        units = units_of(value)
        self.count += 1
        self.total += units
        self.squares += units * units
        self.counts[cluster] = min(self.counts[cluster] + 1, _COUNT_MAX)
        self.totals[cluster] = min(max(self.totals[cluster] + units, -_CLUSTER_MAX), _CLUSTER_MAX)

    def message(self) -> MetricSums:
        """Answer them as they are kept."""
        return MetricSums(
            count=self.count,
            sum=float(Fraction(self.total, 1 << UNIT_BITS)),
            sum_squares=float(Fraction(self.squares, 1 << 2 * UNIT_BITS)),
            cluster_counts=_packed(self.counts),
            cluster_sums=_packed(self.totals),
            exact_sum=str(self.total),
            exact_squares=str(self.squares),
        )


def sums_of(values: Iterable[tuple[float, int]]) -> MetricSums:
    """Answer the sums of values, each with its cluster."""
    sums = Sums()
    for value, cluster in values:
        sums.add(value, cluster)
    return sums.message()


def clusters_of(kept: MetricSums) -> tuple[Sequence[int], Sequence[float]]:
    """Answer counts and sums of the 256 clusters; zeros where none are kept."""
    sums = Sums.of(kept)
    return sums.counts, [math.ldexp(total, -UNIT_BITS) for total in sums.totals]


def _integer(text: str) -> int:
    return int(text) if _INTEGER.fullmatch(text) else 0


def _packed(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _unpacked(kind: str, kept: bytes) -> "array[int]":
    numbers = array(kind, kept)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
