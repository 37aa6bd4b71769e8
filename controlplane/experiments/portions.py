"""Which part of a workload's requests its experiments send to which chain. Pure.

Pools of the arms' engines are sized by it (`controlplane.catalog.arm_pools`). Routers never ask it: who gets
which arm is decided by buckets alone.
"""

from collections.abc import Iterable, Mapping

from controlplane.experiments.states import RUNNING, WARMING
from enchain.v1.experiment_pb2 import Experiment

WHOLE_PERCENT = 100.0
THOUSANDTHS = 1000.0

ENROLLING = frozenset({RUNNING, WARMING})
"""In one of these it sends new requests to its arms, or is about to."""


def portions(experiments: Iterable[Experiment]) -> dict[str, float]:
    """Answer by chain the share of a workload's requests that arms get, in 0..1.

    All requests are taken to be eligible, and units to come equally often. A ramp is taken to be at the step
    that comes next, so that instances are there when it is taken.

    Args:
        experiments: Of one workload, in any state.
    """
    found: dict[str, float] = {}
    for experiment in experiments:
        if experiment.state not in ENROLLING or not experiment.phases:
            continue
        enrolled = _part_of_layer(experiment) * coverage_ahead(experiment) / WHOLE_PERCENT
        for arm in experiment.arms:
            share = enrolled * max(arm.weight, 0.0) / WHOLE_PERCENT
            if share > 0:
                found[arm.chain] = found.get(arm.chain, 0.0) + share
    return _within_whole(found)


def coverage_ahead(experiment: Experiment) -> float:
    """Answer the coverage in percent that instances are to be ready for: that of the ramp's next step."""
    phase, steps = experiment.phases[-1], experiment.ramp.steps
    following = phase.ramp_step + 1
    ahead = steps[following] if following < len(steps) else 0.0
    return min(max(phase.coverage, ahead), WHOLE_PERCENT)


def _part_of_layer(experiment: Experiment) -> float:
    if not experiment.HasField("layer"):
        return 1.0
    return max(experiment.layer.end - experiment.layer.start, 0) / THOUSANDTHS


def _within_whole(shares: Mapping[str, float]) -> dict[str, float]:
    """Documents that were put by hand may share out more than there is."""
    scale = max(sum(shares.values()), 1.0)
    return {chain: share / scale for chain, share in shares.items()}
