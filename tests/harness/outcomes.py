"""Outbox entries of provisions that were assigned to arms of experiments."""

from collections.abc import Mapping
from datetime import timedelta

from enchain.chains.cohort import bucket
from enchain.v1 import experiment_pb2, operation_pb2
from tests.harness.outbox import START, Entry, entry
from tests.harness.profiles import step, used

SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED
FAILED = operation_pb2.Operation.STATE_FAILED
CANCELLED = operation_pb2.Operation.STATE_CANCELLED

NAME = "workloads/site/experiments/faster"


def assigned(
    number: int = 0,
    *,
    arm: str = "control",
    state: operation_pb2.Operation.State.ValueType = SUCCEEDED,
    seconds: float = 10.0,
    cost: float = 0.0,
    currency: str = "EUR",
    code: str = "",
    measures: Mapping[str, float] | None = None,
    name: str = NAME,
    phase: int = 1,
    seed: str = "",
) -> Entry:
    """What a provision leaves whose bucket is `number`; it was admitted `number` seconds after the start."""
    made = entry(workload=name.split("/")[1])
    made.experiment, made.experiment_phase, made.arm, made.bucket = name, phase, arm, number % 10_000
    made.experiment_seed = seed
    made.routing_key, made.state, made.requester = f"customer-{number}", state, f"person-{number % 7}"
    made.create_time.FromDatetime(START + timedelta(seconds=number))
    made.end_time.FromDatetime(START + timedelta(seconds=number + seconds))
    made.steps.append(used(step(seconds, code=code), cost=cost, currency=currency))
    made.measures.update(measures or {})
    return made


def draft(*, unit: str = "resource", seed: str = "first", name: str = NAME) -> experiment_pb2.Experiment:
    """A draft of two arms that share all buckets."""
    made = experiment_pb2.Experiment(
        name=name, state=experiment_pb2.Experiment.STATE_DRAFT, unit=unit, coverage=100
    )
    for arm in ("control", "quick"):
        made.arms.add(name=arm, chain=f"workloads/site/chains/{arm}", weight=50)
    phase = made.phases.add(number=1, seed=seed, hash_version=2, coverage=100)
    phase.ranges.add(arm="control", start=0, end=5000)
    phase.ranges.add(arm="quick", start=5000, end=10_000)
    return made


def arm_of(seed: str, key: str) -> str:
    """The arm that a draft gives a key."""
    return "control" if bucket(seed, key) < 5000 else "quick"
