"""Experiments as the control plane stores them, for tests of who acts on them."""

from collections.abc import Mapping

from enchain.chains import assignment, cohort
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment


def experiment(
    name: str = "x",
    *,
    workload: str = "site",
    state: Experiment.State.ValueType = Experiment.STATE_RUNNING,
    weights: Mapping[str, float] = {"a": 50, "b": 50},
    chains: Mapping[str, str] = {},
    coverage: float = 100,
    seed: str = "abc",
    unit: str = "resource",
    eligibility: str = "",
    layer: str = "",
    part: tuple[int, int] = (0, 1000),
    forced: Mapping[str, str] = {},
) -> Experiment:
    """An experiment of arms by weight; the chain of arm `a` is `workloads/site/chains/a@r1` unless told."""
    arms = [
        experiment_pb2.Arm(
            name=arm, weight=weight, chain=chains.get(arm, f"workloads/{workload}/chains/{arm}@r1")
        )
        for arm, weight in weights.items()
    ]
    phase = experiment_pb2.Phase(
        number=1,
        seed=seed,
        hash_version=cohort.HASH_VERSION,
        coverage=coverage,
        ranges=assignment.ranges(arms, coverage),
    )
    made = Experiment(
        name=f"workloads/{workload}/experiments/{name}",
        state=state,
        arms=arms,
        unit=unit,
        eligibility=eligibility,
        coverage=coverage,
        forced=forced,
        phases=[phase],
    )
    if layer:
        made.layer.CopyFrom(experiment_pb2.LayerRange(layer=f"layers/{layer}", start=part[0], end=part[1]))
    return made
