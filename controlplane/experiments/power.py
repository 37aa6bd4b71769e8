"""How long an experiment has to go on, and what it can find out by then. Pure.

`analysis.py` asks it, of the width that the goal's interval has now, whatever the metric: standard errors
shrink with the root of the operations. A difference is taken to be found when it is found with a chance of
four in five.
"""

import math

import numpy as np

from controlplane.experiments import msprt

SURE = 0.8416
"""The score below which a normal distribution has four fifths."""

FACTOR_MAX = 1e6
"""More times the operations there are now is taken for never."""


def error(half: float, size: float, level: float) -> float:
    """Answer the standard error that an interval's half width comes of."""
    return half / float(msprt.boundary(np.asarray(size), level))


def detectable(error_now: float, size: float, factor: float, level: float) -> float:
    """Answer the smallest difference that will be found with so many times the operations there are now."""
    bound = float(msprt.boundary(np.asarray(size * factor), level))
    return (bound + SURE) * error_now / math.sqrt(factor)


def needed(error_now: float, size: float, effect: float, level: float) -> float:
    """Answer how many times the operations there are now it takes to find an effect: infinite for never."""
    if effect <= 0 or not math.isfinite(error_now):
        return math.inf
    low, high = 1e-6, FACTOR_MAX
    if detectable(error_now, size, high, level) > effect:
        return math.inf
    for _ in range(30):  # to within a millionth
        middle = math.sqrt(low * high)
        low, high = (low, middle) if detectable(error_now, size, middle, level) <= effect else (middle, high)
    return high
