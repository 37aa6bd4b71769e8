"""Assignment: which arm of an experiment a key gets, and why. Pure.

Routers, control plane and client call it and get the same answer. It goes by what the experiment's newest
phase says (seed, ranges) and computes none of it; what was assigned is stored and never assigned anew. It
must never read a clock, a store or dice.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from enchain.chains import cohort
from enchain.chains.decision_names import LayerName
from enchain.chains.errors import MalformedError, PreconditionError
from enchain.chains.units import RESOURCE, Attributes, missing, unit_of
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment

WHOLE_PERCENT = 100.0

_NOBODY = 255
"""Stands in a table of buckets where no arm has the bucket."""
_ROUNDING = 6
"""Decimals of a bucket that count: far fewer than a double has, so that sums of weights leave no crumbs."""


class Reason(StrEnum):
    """Why a key is in an arm, or in none."""

    ENROLLED = "ENROLLED"
    FORCED = "FORCED"
    NOT_RUNNING = "NOT_RUNNING"
    OUTSIDE_LAYER = "OUTSIDE_LAYER"
    NO_UNIT = "NO_UNIT"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    OUTSIDE_COVERAGE = "OUTSIDE_COVERAGE"


_WORDS = {
    Reason.ENROLLED: "key {key} falls into bucket {bucket}; {arm} has the buckets {start} to {last}",
    Reason.FORCED: "key {key} is forced into {arm}; it counts in no statistic",
    Reason.NOT_RUNNING: "the experiment does not run, so that nobody is enrolled",
    Reason.OUTSIDE_LAYER: "key {key} is in another part of the layer",
    Reason.NO_UNIT: "the request is not enrolled: {detail}",
    Reason.NOT_ELIGIBLE: "the request is not eligible: {detail}",
    Reason.OUTSIDE_COVERAGE: "key {key} falls into bucket {bucket}, which no arm has at this coverage",
}


_LOOKED_UP = frozenset({Reason.ENROLLED, Reason.OUTSIDE_COVERAGE})
"""Reasons of requests whose eligibility matters, and was asked where it could be."""

NOT_ASKED = "; whether the request is eligible was not asked"


class Place(NamedTuple):
    """An arm, its chain, its buckets, `start` <= bucket < `end` of 10,000, and the seed of its phase."""

    arm: str
    chain: str
    start: int
    end: int
    seed: str = ""


class Assignment(NamedTuple):
    """What an experiment says of a key.

    Attributes:
        experiment: The experiment's name; empty where none of a workload's has the key.
        phase: Number of the phase that said it.
        reason: Why.
        key: The unit's value; empty where the request has none.
        bucket: The key's bucket; -1 where nothing was hashed.
        place: The arm; None for a key that is not enrolled.
        detail: More of the reason, such as what is missing.
    """

    experiment: str
    phase: int
    reason: Reason
    key: str
    bucket: int = -1
    place: Place | None = None
    detail: str = ""

    @property
    def forced(self) -> bool:
        """It counts in no statistic."""
        return self.reason is Reason.FORCED


def ranges(arms: Sequence[experiment_pb2.Arm], coverage: float) -> list[experiment_pb2.ArmRange]:
    """Buckets of each arm: it starts where the weights before it end, and is `weight x coverage` long.

    Every arm is anchored at its own edge, so that raising the coverage moves no key from one arm to another.
    A bucket is in where its ten-thousandth is, as GrowthBook's `getBucketRanges` and `chooseVariation` say.

    Args:
        arms: Their weights are percent and sum to 100.
        coverage: Percent of all keys, 0 to 100.
    """
    found, before = [], 0.0
    for arm in arms:
        length = arm.weight * coverage / WHOLE_PERCENT
        start, end = _first_bucket_from(before), _first_bucket_from(before + length)
        found.append(experiment_pb2.ArmRange(arm=arm.name, start=start, end=end))
        before += arm.weight
    return found


def _first_bucket_from(percent: float) -> int:
    return min(ceil(round(percent * cohort.BUCKETS / WHOLE_PERCENT, _ROUNDING)), cohort.BUCKETS)


class Assigner:
    """One experiment, read once, to be asked often.

    Args:
        experiment: With a phase at least; its newest is in force. It is not kept.

    Attributes:
        name: The experiment's name.
        unit: What is assigned.
        running: Whether it enrols anybody.
        layer: Id of its layer; empty where it has its workload to itself.
        part: Its part of the layer: thousandths from the first to before the last.
        phase: Number of the phase in force.
        forced: Arms by the keys that get them whatever their hash.
        places: Arms and their buckets.

    Raises:
        MalformedError: The phase is missing, of another hash, or does not fit the arms; or the part of the
            layer is none.
        InvalidArgumentError: The eligibility expression cannot be read.
    """

    def __init__(self, experiment: Experiment) -> None:
        phase = _phase_of(experiment)
        self.name = experiment.name
        self.unit = experiment.unit or RESOURCE
        self.running = experiment.state == Experiment.STATE_RUNNING
        self.layer = LayerName.parse(experiment.layer.layer).layer if experiment.HasField("layer") else ""
        self.part = _part(experiment)
        self.places = _places(experiment, phase)
        self.forced = _forced(experiment, self.places)
        self.phase = phase.number
        self._seed = phase.seed
        self._hash_version = phase.hash_version
        self._owners = _owners(self.places)
        self._why_not = _why_not(experiment.eligibility)
        self._bars = not self.running or bool(self.layer) or self._why_not is not None

    def of_request(self, attributes: Attributes) -> Assignment:
        """Say which arm a request gets."""
        return self.of_unit(unit_of(self.unit, attributes), attributes)

    def of_unit(
        self, key: str, attributes: Attributes | None = None, *, in_layer: bool = False
    ) -> Assignment:
        """Say which arm a unit gets.

        Args:
            key: The unit's value; empty where there is none.
            attributes: What eligibility goes by; None: not asked, the key is taken to be eligible.
            in_layer: The caller knows that the key is in the experiment's part of the layer.
        """
        if key in self.forced and self.running:
            bucket = self.hashed(key)[0]
            return Assignment(self.name, self.phase, Reason.FORCED, key, bucket, self.forced[key])
        if self._bars or not key:
            barred = self._barred(key, attributes, in_layer=in_layer)
            if barred is not None:
                return barred
        bucket = cohort.bucket(self._seed, key)
        owner = self._owners[bucket]
        if owner == _NOBODY:
            return Assignment(self.name, self.phase, Reason.OUTSIDE_COVERAGE, key, bucket)
        return Assignment(self.name, self.phase, Reason.ENROLLED, key, bucket, self.places[owner])

    def _barred(self, key: str, attributes: Attributes | None, *, in_layer: bool) -> Assignment | None:
        """What keeps a unit out before its bucket is looked at."""
        if not self.running:
            return self._none(Reason.NOT_RUNNING, key)
        if not key:
            return self._none(Reason.NO_UNIT, key, missing(self.unit))
        if self.layer and not in_layer and not self._in_layer(key):
            return self._none(Reason.OUTSIDE_LAYER, key)
        if self._why_not is not None and attributes is not None:
            detail = self._why_not(attributes)
            if detail:
                return self._none(Reason.NOT_ELIGIBLE, key, detail)
        return None

    def hashed(self, key: str) -> tuple[int, Place | None]:
        """A key's bucket and the arm that has it, whatever else speaks against it: also those of a draft."""
        bucket = cohort.bucket(self._seed, key)
        owner = self._owners[bucket]
        return bucket, None if owner == _NOBODY else self.places[owner]

    def explain(self, key: str, attributes: Attributes | None = None) -> experiment_pb2.ArmAssignment:
        """Answer `of_unit` as people are told it, and whether eligibility was not asked."""
        assignment = self.of_unit(key, attributes)
        place = assignment.place
        not_asked = attributes is None and self._why_not is not None and assignment.reason in _LOOKED_UP
        return experiment_pb2.ArmAssignment(
            arm=place.arm if place else "",
            chain=place.chain if place else "",
            experiment=self.name,
            phase=self.phase,
            bucket=max(assignment.bucket, 0),
            start=place.start if place else 0,
            end=place.end if place else 0,
            seed=self._seed,
            hash_version=self._hash_version,
            reason=assignment.reason,
            description=words(assignment) + NOT_ASKED * not_asked,
            eligibility_not_asked=not_asked,
        )

    def _in_layer(self, key: str) -> bool:
        return self.part[0] <= cohort.layer_slot(self.layer, key) < self.part[1]

    def _none(self, reason: Reason, key: str, detail: str = "") -> Assignment:
        return Assignment(self.name, self.phase, reason, key, detail=detail)


def assign(experiment: Experiment, key: str, attributes: Attributes | None = None) -> Assignment:
    """Say which arm of an experiment a unit's value gets, as routers do.

    Args:
        experiment: As the control plane answers it.
        key: The unit's value: a routing key, a tenant, a requester or an input, as the experiment says.
        attributes: What the request is; None: the key is taken to be eligible.

    Raises:
        MalformedError: The experiment does not fit together.
        PreconditionError: Attributes are given, and there is no CEL runtime to ask about them.
    """
    return Assigner(experiment).of_unit(key, attributes)


def explain(
    experiment: Experiment, key: str, attributes: Attributes | None = None
) -> experiment_pb2.ArmAssignment:
    """Answer `assign` with range, seed and the reason in words."""
    return Assigner(experiment).explain(key, attributes)


def words(assignment: Assignment) -> str:
    """The reason in one sentence."""
    place = assignment.place or Place("", "", 0, 0)
    return _WORDS[assignment.reason].format(
        key=repr(assignment.key),
        bucket=assignment.bucket,
        arm=place.arm,
        start=place.start,
        last=place.end - 1,
        detail=assignment.detail,
    )


def _phase_of(experiment: Experiment) -> experiment_pb2.Phase:
    if not experiment.phases:
        raise _malformed(experiment, "it has no phase", "PHASE_MISSING")
    phase = experiment.phases[-1]
    if phase.hash_version != cohort.HASH_VERSION:
        told = f"hash version {phase.hash_version} is not known; there is {cohort.HASH_VERSION}"
        raise _malformed(experiment, told, "UNKNOWN_HASH_VERSION")
    return phase


def _part(experiment: Experiment) -> tuple[int, int]:
    part = experiment.layer
    if experiment.HasField("layer") and not 0 <= part.start < part.end <= cohort.LAYER_SLOTS:
        told = f"{part.start} to {part.end} is no part of a layer, which has {cohort.LAYER_SLOTS}"
        raise _malformed(experiment, told, "INVALID_RANGE")
    return part.start, part.end


def _places(experiment: Experiment, phase: experiment_pb2.Phase) -> tuple[Place, ...]:
    arms, found = [arm.name for arm in experiment.arms], [part.arm for part in phase.ranges]
    if arms != found or not 1 <= len(arms) < _NOBODY:
        told = f"its arms are {', '.join(arms)}, and its phase has ranges for {', '.join(found) or 'none'}"
        raise _malformed(experiment, told, "RANGES_OF_OTHER_ARMS")
    reached = 0
    for part in phase.ranges:
        if not reached <= part.start <= part.end <= cohort.BUCKETS:
            raise _malformed(experiment, f"{part.arm} has no range of its own", "INVALID_RANGE")
        reached = part.end
    pairs = zip(experiment.arms, phase.ranges, strict=True)
    return tuple(Place(arm.name, arm.chain, part.start, part.end, phase.seed) for arm, part in pairs)


def _forced(experiment: Experiment, places: Sequence[Place]) -> Mapping[str, Place]:
    by_arm = {place.arm: place for place in places}
    unknown = sorted(set(experiment.forced.values()) - by_arm.keys())
    if unknown:
        raise _malformed(experiment, f"keys are forced into {unknown[0]}, which is no arm", "UNKNOWN_ARM")
    return {key: by_arm[arm] for key, arm in experiment.forced.items()}


def _owners(places: Sequence[Place]) -> bytes:
    owners = bytearray([_NOBODY]) * cohort.BUCKETS
    for number, place in enumerate(places):
        owners[place.start : place.end] = bytes([number]) * (place.end - place.start)
    return bytes(owners)


def _why_not(source: str) -> Callable[[Attributes], str] | None:
    if not source:
        return None
    try:
        from enchain.chains import eligibility  # noqa: PLC0415 - the CEL runtime, only where it is needed
    except ImportError:
        return _unreadable
    return eligibility.compiled(source)


def _unreadable(_: Attributes) -> str:
    """Stands for every condition in a plain install, which has no CEL."""
    raise PreconditionError(
        "whether a request is eligible cannot be told here: there is no CEL runtime",
        reason="CEL_MISSING",
        remedy="Install enchain[router], or ask the control plane or a router.",
    )


def _malformed(experiment: Experiment, told: str, reason: str) -> MalformedError:
    return MalformedError(
        f"{experiment.name}: {told}", reason=reason, metadata={"experiment": experiment.name}
    )
