"""What the forecasting loop asks of its worker, windows left out. Pure.

The loop and the look at the past build their questions from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.forecast.grids import Grid
from controlplane.forecast.registry import GLOBAL

SEED = 20_260
"""Of all randomness in forecasting, so that a forecast can be made again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which models for which series.

    Attributes:
        wanted: By model, the indices of the series that it is asked for.
        artifacts: By global model that is in use, the folder of what it has learned.
    """

    wanted: Mapping[str, Sequence[int]]
    artifacts: Mapping[str, str]

    def body(self, grid: Grid, budget_seconds: float) -> dict[str, object]:
        """Answer the question's JSON."""
        return {
            "horizon": grid.horizon,
            "seed": SEED,
            "wanted": {name: list(indices) for name, indices in self.wanted.items()},
            "artifacts": dict(self.artifacts),
            "budget": budget_seconds,
        }

    def of(self, few: Sequence[int]) -> "Asked":
        """Answer the same question for some of the series alone, counted anew."""
        place = {index: number for number, index in enumerate(few)}
        theirs = {
            name: [place[index] for index in indices if index in place]
            for name, indices in self.wanted.items()
        }
        return Asked({name: indices for name, indices in theirs.items() if indices}, self.artifacts)

    def models(self, index: int) -> frozenset[str]:
        """Answer the models of one series that can answer: those that have learned, or learn from itself."""
        return frozenset(
            name
            for name, indices in self.wanted.items()
            if index in indices and (name not in GLOBAL or name in self.artifacts)
        )
