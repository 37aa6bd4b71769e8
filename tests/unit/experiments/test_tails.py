"""How alike the longest operations of one unit are: what is kept of them, and what it says of a P95."""

from datetime import UTC, datetime

import numpy as np
import pytest

from controlplane.experiments import clusters, tails
from controlplane.experiments.analysis import analyse
from controlplane.experiments.sums import sums_of
from controlplane.profiles.sketch import Sketch
from enchain.v1.experiment_pb2 import ArmStatistics, Experiment, ExperimentMetric, MetricAnalysis

SHARE = 0.95


def kept(times: np.ndarray, units: np.ndarray) -> dict[int, bytes]:
    made: dict[int, bytes] = {}
    tails.add(made, zip(times.tolist(), units.tolist(), strict=True))
    return made


def likeness(first: dict[int, bytes], second: dict[int, bytes], plain: float = 1.0) -> tails.Likeness:
    nothing = np.zeros(256)
    one = np.asarray(1.0)
    mean = clusters.moments(one * 2000, one, one, nothing, nothing, repeating=False)
    control, treated = tails.arrays([first, second])
    return tails.likeness(control, treated, SHARE, (mean, mean), np.asarray(plain))


def test_operations_of_units_of_their_own_are_hardly_alike() -> None:
    random = np.random.default_rng(1)
    arms = [kept(random.lognormal(2, 1, 5000), random.integers(0, 256, 5000)) for _ in range(2)]
    assert 1 <= likeness(arms[0], arms[1]).alike < 1.6


def test_units_that_differ_in_their_tails_alone_are_told_to_be_alike() -> None:
    random = np.random.default_rng(2)
    arms = []
    for _ in range(2):
        units = random.integers(0, 200, 5000)
        width = np.where(units % 10 == 0, 1.5, 0.2)
        arms.append(kept(np.exp(width * random.normal(0, 1, 5000) - width**2 / 2), units))
    found = likeness(arms[0], arms[1])
    assert found.alike > 2.5
    assert found.freedom < 64


def test_where_no_bound_is_near_the_quantile_means_are_asked_too() -> None:
    random = np.random.default_rng(3)
    arms = [kept(random.uniform(10.0, 10.1, 2000), random.integers(0, 256, 2000)) for _ in range(2)]
    assert likeness(arms[0], arms[1], plain=7.0).alike == 7


def test_of_nothing_nothing_is_alike() -> None:
    assert likeness({}, {}).alike == 1


def test_what_is_far_below_the_longest_is_counted_in_the_lowest_bin() -> None:
    made = kept(np.array([0.0, 0.01, 5.0, 1e5, 2.0]), np.array([1, 2, 3, 4, 36]))
    assert len(made) <= tails.BINS_MAX
    (counts,) = tails.arrays([made])
    assert counts.sum() == 5
    assert counts[0].tolist() == [0, 1, 1, 1, 1] + 27 * [0]
    assert counts[-1].tolist() == [0, 0, 0, 0, 1] + 27 * [0]


def test_what_was_edited_by_hand_counts_as_nothing() -> None:
    made = kept(np.array([5.0]), np.array([3]))
    far = {**made, 2**30: b"\xff" * 128, 4: b"short"}
    assert sum(counts.shape[0] for counts in tails.arrays([far])) < 100
    assert likeness(far, made).alike >= 1


@pytest.mark.parametrize(("tenants", "said"), [(8, False), (200, True)])
def test_of_few_tenants_nothing_is_said_of_a_p95(tenants: int, said: bool) -> None:
    random = np.random.default_rng(4)
    made = Experiment(unit="tenant", goal=ExperimentMetric(metric="p95_time"))
    made.phases.add(number=1)
    arms = {}
    for name in ("default", "other"):
        made.arms.add(name=name, weight=50)
        times, units = random.lognormal(2, 1, 3000), random.integers(0, tenants, 3000)
        arms[name] = ArmStatistics(phase=1, operations=3000)
        arms[name].metrics["time"].CopyFrom(sums_of(zip(times.tolist(), units.tolist(), strict=True)))
        sketch = Sketch()
        for each in times:
            sketch.add(float(each))
        arms[name].times.CopyFrom(sketch.message())
        tails.add(arms[name].tails, zip(times.tolist(), units.tolist(), strict=True))
    found = analyse(made, arms, {}, datetime(2026, 3, 1, tzinfo=UTC)).metrics[1]
    assert (found.finding != MetricAnalysis.FINDING_TOO_FEW) == said
