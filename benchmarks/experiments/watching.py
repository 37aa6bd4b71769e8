"""Looks at simulated experiments until the last one, and when each was decided. Called by the simulations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.experiments.sums import ArmSums
from benchmarks.experiments.worlds import Runs, World
from controlplane.experiments.msprt import Floats

Judge = Callable[[ArmSums, ArmSums], Floats]


@dataclass(frozen=True, slots=True)
class Outcome:
    """When runs were decided.

    Attributes:
        first: Operations of both arms at the look at which each run was decided; infinite for never.
    """

    first: Floats

    @property
    def share(self) -> float:
        """Of the runs that were decided."""
        return float(np.isfinite(self.first).mean())

    @property
    def median(self) -> float:
        """Operations of both arms at which half of all runs were decided; infinite where fewer were."""
        return float(np.sort(self.first)[len(self.first) // 2])

    @property
    def mean_capped(self) -> float:
        """Mean operations until a decision, or until the last look."""
        return float(self.first[np.isfinite(self.first)].mean()) if self.share else float("inf")


def watch(
    world: World, judges: dict[str, Judge], level: float, runs: int, looks: int, seed: int
) -> dict[str, Outcome]:
    """Look at runs of a world, and answer for each judge when they were decided."""
    drawn = Runs(world, runs, np.random.default_rng(seed))
    control, treated = (ArmSums(runs, world.tenants > 0, world.kind == "p95") for _ in range(2))
    first = {name: np.full(runs, np.inf) for name in judges}
    each = max(world.operations // looks, 1)
    for look in range(1, looks + 1):
        draw = drawn.draw(each)
        control.add(draw, ~draw.treated)
        treated.add(draw, draw.treated)
        for name, judge in judges.items():
            decided = judge(control, treated) >= -np.log(level)
            first[name] = np.where(decided & np.isinf(first[name]), look * each, first[name])
    return {name: Outcome(times) for name, times in first.items()}
