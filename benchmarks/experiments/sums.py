"""Sums of many simulated experiments at once, as the outcomes of arms are kept. Called by the simulations."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.experiments.worlds import Draw
from controlplane.experiments import tails
from controlplane.experiments.clusters import Moments, moments
from controlplane.experiments.msprt import Floats
from controlplane.experiments.quantiles import Below
from controlplane.experiments.sums import CLUSTERS
from controlplane.profiles.sketch import GAMMA

BINS = 320
"""Bins of durations, from `FIRST` on: from .3 to 180."""

FIRST = -60


@dataclass(slots=True)
class ArmSums:
    """One arm of all runs: rows are runs."""

    runs: int
    repeating: bool
    binned: bool
    count: Floats = field(init=False)
    total: Floats = field(init=False)
    squares: Floats = field(init=False)
    counts: Floats = field(init=False)
    totals: Floats = field(init=False)
    bins: Floats | None = None
    tails: Floats | None = None

    def __post_init__(self) -> None:
        self.count, self.total, self.squares = (np.zeros(self.runs) for _ in range(3))
        self.counts, self.totals = (np.zeros((self.runs, CLUSTERS)) for _ in range(2))

    def add(self, draw: Draw, mine: Floats) -> None:
        """Add the operations of one arm."""
        rows = np.broadcast_to(np.arange(self.runs)[:, None], mine.shape)[mine]
        value, place = draw.value[mine], rows * CLUSTERS + draw.cluster[mine]
        self.count += mine.sum(axis=1)
        self.total += np.bincount(rows, value, self.runs)
        self.squares += np.bincount(rows, value**2, self.runs)
        if self.repeating:
            cells = self.runs * CLUSTERS
            self.counts += np.bincount(place, minlength=cells).reshape(self.counts.shape)
            self.totals += np.bincount(place, value, cells).reshape(self.totals.shape)
        if self.binned:
            if self.bins is None:
                self.bins = np.zeros((self.runs, BINS))
            index = np.clip(np.ceil(np.log(value) / np.log(GAMMA)) - FIRST, 0, BINS - 1).astype(np.int64)
            self.bins += np.bincount(rows * BINS + index, minlength=self.runs * BINS).reshape(self.bins.shape)
            if self.repeating:
                self._add_tails(rows, index // tails.COARSE, draw.cluster[mine])

    def _add_tails(self, rows: Floats, index: Floats, cluster: Floats) -> None:
        shape = (self.runs, -(-BINS // tails.COARSE), tails.CLUSTERS)
        place = (rows * shape[1] + index) * shape[2] + cluster % shape[2]
        added = np.bincount(place, minlength=shape[0] * shape[1] * shape[2]).reshape(shape)
        self.tails = added.astype(np.float64) if self.tails is None else self.tails + added

    def moments(self) -> Moments:
        """Answer the arm's moments."""
        return moments(
            self.count, self.total, self.squares, self.counts, self.totals, repeating=self.repeating
        )

    def below(self) -> Below:
        """Answer how many lie below the upper end of each bin."""
        assert self.bins is not None
        return Below(np.cumsum(self.bins, axis=1), self.count)
