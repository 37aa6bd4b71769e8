"""Few false conclusions over many looks, and few true ones missed: the benchmark, scaled down and seeded.

`python -m benchmarks.experiments` is the whole of it.
"""

from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.experiments import judges
from benchmarks.experiments.sums import ArmSums
from benchmarks.experiments.tables import LEVEL, judged
from benchmarks.experiments.worlds import Runs, World
from controlplane.experiments import tails
from controlplane.experiments.analysis import analyse
from controlplane.experiments.sums import sums_of
from controlplane.profiles.sketch import Sketch
from enchain.v1.experiment_pb2 import ArmStatistics, Experiment, ExperimentMetric

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


@pytest.mark.parametrize(
    ("world", "metric"),
    [
        (World("failures", "share", "bernoulli", 0.03, effect=0.03), "compensation"),
        (World("common share", "share", "bernoulli", 0.3, effect=0.05), "compensation"),
        (World("cost", "mean", "gamma", effect=0.1, weight=0.2), "cost"),
        (World("cost of tenants", "mean", "gamma", effect=0.3, tenants=200), "cost"),
        (World("quantile", "p95", "lognormal", effect=0.3), "p95_time"),
        (World("quantile of tenants", "p95", "lognormal", effect=1.2, tenants=200), "p95_time"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_is_simulated_is_what_is_analysed(world: World, metric: str) -> None:
    draw = Runs(world, 1, np.random.default_rng(8)).draw(3000)
    arms = [ArmSums(1, world.tenants > 0, world.kind == "p95") for _ in range(2)]
    kept = {}
    for name, arm, mine in zip(("default", "other"), arms, (~draw.treated, draw.treated), strict=True):
        arm.add(draw, mine)
        values, clusters = draw.value[mine].tolist(), draw.cluster[mine].tolist()
        times = zip(values, clusters, strict=True)
        sums, sketch = sums_of(zip(values, clusters, strict=True)), Sketch()
        for value in values:
            sketch.add(value)
        kept[name] = ArmStatistics(phase=1, operations=len(values), times=sketch.message())
        tails.add(kept[name].tails, times)
        for each in ("time", "cost", "compensation"):
            kept[name].metrics[each].CopyFrom(sums)
    made = Experiment(unit="tenant" if world.tenants else "resource", goal=ExperimentMetric(metric=metric))
    made.phases.add(number=1)
    for name in kept:
        made.arms.add(name=name, weight=50)
    found = analyse(made, kept, {}, datetime(2026, 3, 1, tzinfo=UTC)).metrics[1]
    simulated = np.exp(-judges.evidence(world.kind, arms[0], arms[1], LEVEL)[0])
    assert found.p_value == pytest.approx(min(simulated, 1.0), rel=1e-3)
    assert found.p_value < 1
