"""How long one analysis takes, of full sketches and all clusters. Called by the simulations."""

import time
from datetime import UTC, datetime

import numpy as np

from controlplane.experiments import tails
from controlplane.experiments.analysis import analyse
from controlplane.experiments.sums import CLUSTERS, sums_of
from controlplane.profiles.sketch import Sketch
from enchain.v1.experiment_pb2 import ArmStatistics, Experiment, ExperimentMetric

GOAL = 0.05
"""Seconds."""

OPERATIONS = 5000
SUCCEEDING, COMPENSATED = 0.98, 0.01
NAMES = ("a", "b", "c", "d")


def arm(random: np.random.Generator, place: int) -> ArmStatistics:
    """What ended in one of four arms."""
    buckets = random.integers(2500 * place, 2500 * (place + 1), OPERATIONS)
    times = random.lognormal(3, 1, OPERATIONS)
    made = ArmStatistics(phase=1, operations=OPERATIONS, buckets_seen=b"\xff" * 1250)
    for name, values in (
        ("success", random.random(OPERATIONS) < SUCCEEDING),
        ("compensation", random.random(OPERATIONS) < COMPENSATED),
        ("time", times),
        ("cost", random.gamma(2.0, 1.0, OPERATIONS)),
        ("outputs.size", random.gamma(2.0, 1.0, OPERATIONS)),
    ):
        made.metrics[name].CopyFrom(sums_of(zip(values.astype(float), buckets % CLUSTERS, strict=True)))
    sketch = Sketch()
    for each in times:
        sketch.add(float(each))
    made.times.CopyFrom(sketch.message())
    tails.add(made.tails, zip(times.tolist(), buckets.tolist(), strict=True))
    return made


def seconds(repeats: int = 20) -> float:
    """Seconds of CPU for an analysis of four arms and six metrics."""
    random = np.random.default_rng(700)
    made = Experiment(unit="tenant", goal=ExperimentMetric(metric="p95_time"))
    phase = made.phases.add(number=1)
    for place, name in enumerate(NAMES):
        made.arms.add(name=name, weight=25)
        phase.ranges.add(arm=name, start=2500 * place, end=2500 * (place + 1))
    made.guardrails.add(metric="success", tolerance=0.005)
    for name in ("time", "cost", "compensation", "outputs.size"):
        made.metrics.add(metric=name, better=ExperimentMetric.BETTER_LOWER)
    arms = {name: arm(random, place) for place, name in enumerate(NAMES)}
    started = time.process_time()
    for _ in range(repeats):
        analyse(made, arms, arms, datetime(2026, 3, 1, tzinfo=UTC))
    return (time.process_time() - started) / repeats
