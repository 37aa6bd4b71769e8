"""A sketch of how long something takes: any quantile to within 1 %, mergeable, weighted, bounded. Pure.

`statistics.py` and `starts.py` fold durations into it, `view.py` reads it. It is DDSketch (Masson, Rim, Lee:
DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees, VLDB 2019): bins whose
bounds grow by a constant factor. Where there would be too many bins the lowest are joined, so that only the
quantiles among the shortest durations lose accuracy.

All that is added up are multiples of powers of two, so that sums come out the same in whatever order.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from enchain.v1 import learned_pb2

ACCURACY = 0.01
"""A quantile is this much too long or too short, at most."""

GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(GAMMA)

SECONDS_MIN = 0.001
"""Shorter durations are not told from 0: most of what they show is the clock."""

SECONDS_MAX = 30 * 24 * 3600.0
"""Longer durations are taken for this."""

BINS_MAX = 192
"""Non-empty bins that are kept. Bins without a gap span a factor of 46."""

SECONDS_BITS = 12
"""Durations are added up in units of 2^-12 s, a quarter of a millisecond."""


def on_grid(value: float, bits: int) -> float:
    """Round to a multiple of `2^-bits`, so that sums are exact and come out the same in whatever order."""
    return math.ldexp(round(math.ldexp(value, bits)), -bits)


def bin_of(seconds: float) -> int:
    """The index of the bin of a duration of at least `SECONDS_MIN`."""
    return math.ceil(math.log(seconds) / _LOG_GAMMA)


def length_of(index: int) -> float:
    """The duration in seconds that stands for all of a bin: within 1 % of each."""
    return 2 * math.exp(index * _LOG_GAMMA) / (GAMMA + 1)


def sound(value: float) -> float:
    """A sum as it was stored; 0 for what is no sum. Statistics may have been edited by hand."""
    return value if 0 <= value < math.inf else 0.0


@dataclass(slots=True)
class Sketch:
    """A sketch that is being worked on; it is kept as a `DurationSketch`.

    Attributes:
        weight: The weight of all durations.
        seconds: Their weighted sum.
        zeros: The weight of those too short to be told from 0.
        bins: Weights by index.
    """

    weight: float = 0.0
    seconds: float = 0.0
    zeros: float = 0.0
    bins: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: learned_pb2.DurationSketch) -> "Sketch":
        """Take up what was kept; what is no weight is left out."""
        pairs = zip(kept.bins, kept.weights, strict=False)
        bins = {index: weight for index, weight in pairs if 0 < weight < math.inf}
        return cls(sound(kept.weight), sound(kept.sum), sound(kept.zeros), bins)

    def message(self) -> learned_pb2.DurationSketch:
        """Answer it as it is kept, the lowest bins joined where there are too many."""
        self._collapse()
        indices = sorted(self.bins)
        weights = [self.bins[index] for index in indices]
        return learned_pb2.DurationSketch(
            weight=self.weight, sum=self.seconds, zeros=self.zeros, bins=indices, weights=weights
        )

    def add(self, seconds: float, weight: float = 1.0) -> None:
        """Add a duration."""
        seconds = min(seconds, SECONDS_MAX)
        self.weight += weight
        if not seconds >= SECONDS_MIN:  # nor where it is no number
            self.zeros += weight
            return
        self.seconds += on_grid(seconds, SECONDS_BITS) * weight
        index = bin_of(seconds)
        self.bins[index] = self.bins.get(index, 0.0) + weight

    def merge(self, other: "Sketch") -> None:
        """Add all durations of another one."""
        self.weight += other.weight
        self.seconds += other.seconds
        self.zeros += other.zeros
        for index, weight in other.bins.items():
            self.bins[index] = self.bins.get(index, 0.0) + weight

    def fade(self, halvings: int, least: float = 0.0) -> None:
        """Halve all weights so many times; bins that weigh less than `least` then are forgotten."""
        factor = 0.5**halvings
        self.weight *= factor
        self.seconds *= factor
        self.zeros *= factor
        faded = ((index, weight * factor) for index, weight in self.bins.items())
        self.bins = {index: weight for index, weight in faded if weight >= least}

    def quantile(self, share: float) -> float:
        """The duration in seconds that `share` of the weight does not exceed; 0 where there is none."""
        return next(self.quantiles([share]))

    def quantiles(self, shares: Iterable[float]) -> Iterator[float]:
        """The same for several shares, ascending."""
        indices = sorted(self.bins)
        total = self.zeros + math.fsum(self.bins.values())
        reached, place = self.zeros, -1
        for share in shares:
            while place + 1 < len(indices) and (reached < share * total or reached == 0):
                place += 1
                reached += self.bins[indices[place]]
            yield length_of(indices[place]) if place >= 0 else 0.0

    @property
    def mean(self) -> float:
        """In seconds; 0 where there is none."""
        return self.seconds / self.weight if self.weight > 0 else 0.0

    @property
    def variation(self) -> float:
        """Standard deviation over mean, by what stands for each bin."""
        total = self.zeros + math.fsum(self.bins.values())
        pairs = [(length_of(index), weight) for index, weight in self.bins.items()]
        mean = math.fsum(length * weight for length, weight in pairs) / total if total > 0 else 0.0
        if mean <= 0:
            return 0.0
        squares = math.fsum(weight * (length - mean) ** 2 for length, weight in pairs) + self.zeros * mean**2
        return math.sqrt(squares / total) / mean

    def _collapse(self) -> None:
        """Join the lowest bins. Those that stay are the highest there ever were, whatever the order."""
        surplus = len(self.bins) - BINS_MAX
        if surplus <= 0:
            return
        indices = sorted(self.bins)
        joined = math.fsum(self.bins.pop(index) for index in indices[:surplus])
        self.bins[indices[surplus]] += joined
