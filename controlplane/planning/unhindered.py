"""How long provisions take that never wait, for many chains at once. Pure; numpy only.

Arrays keep it. It depends on durations and the promise alone, so that whoever plans the same chains again,
beside other work on their pools, may hand on what was worked out. It must never depend on sizes or demand.
"""

from typing import NamedTuple

import numpy as np

from controlplane.planning.completion import time_at
from controlplane.planning.durations import Z95, overdue_by, sums_below
from controlplane.planning.queueing import FloatArray
from controlplane.planning.rules import CELLS, SLOW_SHARE
from controlplane.planning.sums import across

_Z999 = 3.09
"""The normal score that one of a thousand exceeds."""


class Unhindered(NamedTuple):
    """Provisions of n chains that never wait.

    Attributes:
        service: Shape (CELLS + 1, n): by when they are done, up to the promise.
        overdue: Shape (w, n, len(DECAYS)): how likely one wait of such a rate makes a provision too slow, two
            of them, and so on up to the most calls that go to one pool.
        longest: Shape (n,): seconds in which all but a few of them are done.
        p95: Shape (n,): seconds in which 95 % of them are.
    """

    service: FloatArray
    overdue: FloatArray
    longest: FloatArray
    p95: FloatArray


Memory = dict[object, Unhindered]
"""What was worked out, by what it was worked out of."""


def unhindered(shapes: FloatArray, counts: FloatArray, promised: FloatArray, waits: int) -> Unhindered:
    """Work out provisions that never wait.

    Args:
        shapes: Shape (n, j, 4): how long each call takes, rows of `LogShape`.
        counts: Shape (n,): how many calls there are; others are left out.
        promised: Shape (n,): seconds; 0 where nothing is promised.
        waits: How many calls go to one pool at most.
    """
    timed = promised > 0
    until = np.where(timed, promised, 1.0)
    service = sums_below(shapes, counts, until, CELLS)
    slowest = np.exp(shapes[..., 1] + (_Z999 - Z95) * shapes[..., 3])
    longest = across(np.where(np.arange(shapes.shape[1]) < counts[:, None], slowest, 0.0))
    p95 = np.where(timed, time_at(service, until, 1 - SLOW_SHARE), np.inf)
    beyond = np.flatnonzero(~np.isfinite(p95))
    if len(beyond):
        wide = sums_below(shapes[beyond], counts[beyond], longest[beyond], CELLS)
        p95[beyond] = time_at(wide, longest[beyond], 1 - SLOW_SHARE)
    return Unhindered(
        service=service,
        overdue=np.where(timed[:, None], overdue_by(service, waits), 0.0),
        longest=longest,
        p95=p95,
    )
