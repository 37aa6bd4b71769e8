"""From demand to instances: the fewest that keep the promised time, by the project's queueing. Pure.

The simulation asks it for every policy alike. An instance does one request at a time.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.forecast.series import FloatArray
from controlplane.planning.queueing import IntArray, erlang_c, mean_wait_if_any, residual_seconds, wait_beyond

HALVINGS = 50


@dataclass(frozen=True, slots=True)
class Work:
    """What a request asks for, and what is promised.

    Attributes:
        seconds: How long it takes on average.
        variation: Standard deviation over that.
        promised: It misses if waiting and work together take longer.
        patience: So long it may wait: what the promise leaves to nearly all.
        late: The share of requests that may wait longer where demand is known exactly.
    """

    seconds: float = 120.0
    variation: float = 0.5
    promised: float = 360.0
    patience: float = 120.0
    late: float = 0.005

    def durations(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Draw how long requests take, gamma distributed, shape (count,)."""
        shape = self.variation**-2
        return rng.gamma(shape, self.seconds / shape, count)


def carried(work: Work, most: int) -> FloatArray:
    """Answer the most work in flight that 1 to `most` instances carry within the promise, ascending."""
    servers: IntArray = np.arange(1, most + 1)
    low, high = np.zeros(most), servers.astype(np.float64)
    residual = np.full(most, residual_seconds(work.seconds, work.variation))
    for _ in range(HALVINGS):
        load = (low + high) / 2
        waits = mean_wait_if_any(servers, load, residual)
        fine = wait_beyond(erlang_c(servers, load), waits, work.patience) <= work.late
        low, high = np.where(fine, load, low), np.where(fine, high, load)
    return np.maximum.accumulate(low)


def instances(load: FloatArray, table: FloatArray) -> IntArray:
    """Answer the fewest instances that carry work in flight, at least one and at most all of the table."""
    return np.minimum(np.searchsorted(table, load) + 1, len(table))
