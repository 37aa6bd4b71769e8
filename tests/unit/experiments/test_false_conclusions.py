"""Few false conclusions over many looks, and few true ones missed: the benchmark, scaled down and seeded.

`python -m benchmarks.experiments` is the whole of it.
"""

import pytest

from benchmarks.experiments.tables import LEVEL, judged
from benchmarks.experiments.worlds import World

RUNS, LOOKS, OPERATIONS = 300, 40, 8000


@pytest.mark.parametrize(
    "world",
    [
        World("failures", "share", "bernoulli", 0.01, operations=OPERATIONS),
        World("common share", "share", "bernoulli", 0.3, operations=OPERATIONS),
        World("heavy tail", "mean", "lognormal", spread=2.0, weight=0.1, operations=OPERATIONS),
        World("quantile", "p95", "lognormal", operations=OPERATIONS),
        World("tenants", "mean", "lognormal", tenants=300, operations=OPERATIONS),
        World("failures of tenants", "share", "bernoulli", 0.02, tenants=300, operations=OPERATIONS),
    ],
    ids=lambda world: world.name,
)
def test_arms_that_are_the_same_are_rarely_told_apart(world: World) -> None:
    assert judged(world, RUNS, LOOKS, 1)["here"].share <= LEVEL


@pytest.mark.parametrize(
    ("world", "share", "median"),
    [
        (World("failures", "share", "bernoulli", 0.02, effect=0.04, operations=OPERATIONS), 0.95, 2000),
        (World("cost", "mean", "gamma", effect=0.2, operations=OPERATIONS), 0.99, 1200),
        (World("quantile", "p95", "lognormal", effect=0.4, operations=OPERATIONS), 0.95, 4000),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_arms_that_differ_are_told_apart_in_time(world: World, share: float, median: float) -> None:
    found = judged(world, RUNS, LOOKS, 2)["here"]
    assert found.share >= share
    assert found.median <= median
