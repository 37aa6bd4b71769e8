"""Made-up experiments, many at once: what ends between two looks. Called by the simulations.

A world draws operations of many runs together. It must draw from the generator it is given only, so that a
seed gives the same figures.
"""

from dataclasses import dataclass, field

import numpy as np

from controlplane.experiments.msprt import Floats
from controlplane.experiments.sums import CLUSTERS

BUCKETS = 10_000

UNEVEN, WIDEST = 2.0, 2.0
"""How unevenly times of tenants vary: how many times the level of a tenant, and the widest deviation."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Operations of all runs, one row each: which arm, which cluster, and the value."""

    treated: Floats
    cluster: Floats
    value: Floats


@dataclass(frozen=True, slots=True)
class World:
    """What is measured, and by how much the treated arm differs.

    Attributes:
        name: For the table.
        kind: `share`, `mean` or `p95`.
        shape: `bernoulli`, `gamma`, `lognormal`, `pareto`, or `uneven`: lognormal, with tenants that take
            equally long on average, but differ in how much that varies.
        centre: The share, or the mean of the logarithm.
        spread: The deviation of the logarithm.
        effect: Added to a share, or to the logarithm of the treated arm.
        weight: The treated arm's share of the buckets.
        tenants: Units that come again, in each run; 0: each operation is a unit of its own.
        between: The deviation between tenants of the logarithm, or of the logarithm of the odds.
        operations: Of both arms together, at the last look.
    """

    name: str
    kind: str
    shape: str
    centre: float = 0.0
    spread: float = 1.0
    effect: float = 0.0
    weight: float = 0.5
    tenants: int = 0
    between: float = 0.5
    operations: int = 20_000


@dataclass(slots=True)
class Runs:
    """Many runs of one world, with the tenants of each."""

    world: World
    number: int
    random: np.random.Generator
    buckets: Floats = field(init=False)
    levels: Floats = field(init=False)
    activity: Floats = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.number, max(self.world.tenants, 1))
        self.buckets = self.random.integers(0, BUCKETS, shape)
        self.levels = self.random.normal(0, self.world.between, shape)
        weights = np.exp(np.random.default_rng(7).normal(0, 1, shape[1]))
        self.activity = np.cumsum(weights) / weights.sum()

    def draw(self, count: int) -> Draw:
        """Answer so many operations of each run."""
        shape = (self.number, count)
        if self.world.tenants:
            who = np.searchsorted(self.activity, self.random.random(shape)).clip(0, self.world.tenants - 1)
            bucket = np.take_along_axis(self.buckets, who, axis=1)
            level = np.take_along_axis(self.levels, who, axis=1)
        else:
            bucket, level = self.random.integers(0, BUCKETS, shape), np.zeros(shape)
        treated = bucket >= BUCKETS * (1 - self.world.weight)
        return Draw(treated, bucket % CLUSTERS, self._values(level, treated))

    def _values(self, level: Floats, treated: Floats) -> Floats:
        world = self.world
        if world.shape == "bernoulli":
            odds = world.centre / (1 - world.centre) * np.exp(level)
            chance = odds / (1 + odds) + world.effect * treated
            return (self.random.random(level.shape) < chance).astype(np.float64)
        if world.shape == "uneven":
            width = np.minimum(world.spread * np.exp(UNEVEN * level), WIDEST)
            shift = world.centre + world.effect * treated - width**2 / 2
            return np.asarray(np.exp(shift + width * self.random.normal(0, 1, level.shape)))
        scale = np.exp(level + world.effect * treated + world.centre)
        if world.shape == "gamma":
            return np.asarray(scale * self.random.gamma(2.0, 0.5, level.shape))
        if world.shape == "pareto":
            return np.asarray(scale * (1 + self.random.pareto(world.spread, level.shape)))
        return np.asarray(scale * np.exp(self.random.normal(0, world.spread, level.shape)))
