"""Drafts of experiments, as far as folding needs them: which arm would a provision have got? Pure.

`outcomes.py` asks; `controlplane.loops.drafts` follows them for the leader. What is folded under a draft is
the pre-period: it lowers the variance of what is measured later, and decides nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from enchain.chains.assignment import ranges
from enchain.chains.cohort import HASH_VERSION, bucket
from enchain.v1 import experiment_pb2, operation_pb2

DRAFTS_MAX = 8
"""Drafts of one workload that have a pre-period, the first by name: each costs a write for each entry."""

_KEY_CHARACTERS_MAX = 256
"""An entry holds no more of a key, so what is as long may be cut off."""

Entry = operation_pb2.OutboxEntry


@dataclass(frozen=True, slots=True)
class Draft:
    """What is needed of one.

    Attributes:
        experiment: Its id.
        unit: What is assigned.
        seed: What keys are hashed with.
        ranges: Buckets of the arms where a ramp ends: those of the steps before lie within.
    """

    experiment: str
    unit: str
    seed: str
    ranges: Sequence[experiment_pb2.ArmRange]


BEFORE = frozenset({experiment_pb2.Experiment.STATE_DRAFT, experiment_pb2.Experiment.STATE_WARMING})
"""States in which it enrols nobody yet."""

DraftsOf = Callable[[str], Sequence[Draft]]
"""Answers the drafts of a workload by name; at most `DRAFTS_MAX`."""


def draft_of(name: str, experiment: experiment_pb2.Experiment) -> Draft | None:
    """Answer what is needed of the experiment of that id; None where it has begun, or hashes otherwise."""
    if experiment.state not in BEFORE or not experiment.phases:
        return None
    phase = experiment.phases[-1]
    if not phase.seed or phase.hash_version != HASH_VERSION:
        return None
    arms = ranges(experiment.arms, experiment.coverage or 100.0)
    return Draft(name, experiment.unit, phase.seed, tuple(arms))


def key_of(draft: Draft, entry: Entry) -> str:
    """The value of a draft's unit; empty where an entry does not tell. Inputs are told by none."""
    keys = {"": entry.routing_key, "resource": entry.routing_key}
    keys |= {"tenant": entry.tenant, "requester": entry.requester}
    key = keys.get(draft.unit, "")
    return key if len(key) < _KEY_CHARACTERS_MAX else ""


def place_of(draft: Draft, entry: Entry) -> tuple[str, int] | None:
    """The arm that an entry's key would have got, and its bucket; None where it would have got none."""
    key = key_of(draft, entry)
    if not key:
        return None
    number = bucket(draft.seed, key)
    return next(((each.arm, number) for each in draft.ranges if each.start <= number < each.end), None)
