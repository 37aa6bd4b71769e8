"""The grids on which demand is forecast: how far apart, how far back, how far ahead, how often. Pure.

The forecasting loop, the service and the command's words for them (`5m`, `1h`) come from here.
"""

from dataclasses import dataclass

from controlplane.demand.signals import GRIDS as NAMES
from controlplane.forecast.series import DAY, HOUR, MINUTE, WEEK


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of demand.

    Attributes:
        step_seconds: Distance of its values.
        window_seconds: How far back models look.
        horizon: How many steps ahead.
        keep_every: Every how many steps the members' forecasts are kept, to be compared with what comes.
        holdout: Steps at the end that global models do not learn from, so that they can be judged there.
        back: Past origins for a series whose members were not judged yet, as steps before its end.
    """

    step_seconds: int
    window_seconds: int
    horizon: int
    keep_every: int
    holdout: int
    back: tuple[int, ...]

    @property
    def id(self) -> str:
        """As people write it."""
        return NAMES[self.step_seconds]


FINE = Grid(
    5 * MINUTE, 2 * WEEK, horizon=48, keep_every=12, holdout=DAY // (5 * MINUTE),
    back=(288, 240, 192, 144, 96, 48),
)  # fmt: skip
"""Four hours ahead, refreshed every five minutes."""

COARSE = Grid(
    HOUR, 8 * WEEK, horizon=48, keep_every=6, holdout=4 * 24, back=(96, 84, 72, 60, 48)
)  # fmt: skip
"""Two days ahead, refreshed every hour."""

GRIDS = (FINE, COARSE)


def grid(identifier: str) -> Grid:
    """Answer a grid by its id.

    Raises:
        KeyError: There is none.
    """
    return {each.id: each for each in GRIDS}[identifier]
