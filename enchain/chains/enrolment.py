"""Enrolment: all experiments of one workload, indexed, so that a request asks at most one of them. Pure.

A router's table makes one whenever something of the workload changes and asks it for every admission; fifty
experiments cost a request what one does. Either one experiment has the workload to itself, or all are in
parts of one layer and assign the same unit: what says otherwise is refused as a whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from enchain.chains import cohort
from enchain.chains.assignment import Assigner, Assignment, Experiment, Reason
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.units import Attributes, missing, unit_of
from enchain.v1 import experiment_pb2

IN_FORCE = frozenset({Experiment.STATE_RUNNING, Experiment.STATE_PAUSED})
"""States in which an experiment stands in its workload's way."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who takes which requests of a workload. Make it with `enrolment_of`.

    Attributes:
        assigners: All that run or are paused, in the order in which they are asked.
        unit: What all of them assign.
        layer: The layer that all are in; empty where one has the workload to itself.
    """

    assigners: tuple[Assigner, ...]
    unit: str
    layer: str
    _by_slot: tuple[Assigner | None, ...]
    _forcing: dict[str, Assigner]

    def of_request(self, attributes: Attributes) -> Assignment:
        """Say which arm of which experiment a request gets, or why none."""
        return self._of_unit(unit_of(self.unit, attributes), attributes)

    def of_key(self, key: str, attributes: Attributes | None = None) -> Assignment:
        """Say it of a unit's value; without attributes eligibility is not asked."""
        return self._of_unit(key, attributes)

    def explain(self, key: str, attributes: Attributes | None = None) -> list[experiment_pb2.ArmAssignment]:
        """What each experiment says of a unit's value, and of the request where it is known."""
        return [assigner.explain(key, attributes) for assigner in self.assigners]

    def _of_unit(self, key: str, attributes: Attributes | None) -> Assignment:
        if not key:
            return Assignment("", 0, Reason.NO_UNIT, "", detail=missing(self.unit))
        forcing = self._forcing.get(key)
        if forcing is not None:
            return forcing.of_unit(key, attributes)
        if not self.layer:
            return self.assigners[0].of_unit(key, attributes)
        assigner = self._by_slot[cohort.layer_slot(self.layer, key)]
        if assigner is None:
            return Assignment("", 0, Reason.OUTSIDE_LAYER, key)
        return assigner.of_unit(key, attributes, in_layer=True)


def enrolment_of(experiments: Iterable[Experiment]) -> Enrolment | None:
    """Index the experiments of a workload; None where none runs or is paused.

    Raises:
        MalformedError: One does not fit together by itself.
        InvalidArgumentError: Two are in each other's way (`EXPERIMENT_IN_THE_WAY`, `LAYER_OVERLAP`).
    """
    found = [Assigner(experiment) for experiment in experiments if experiment.state in IN_FORCE]
    if not found:
        return None
    found.sort(key=lambda assigner: (assigner.part, assigner.name))
    _check_together(found)
    first = found[0]
    slots: list[Assigner | None] = [None] * cohort.LAYER_SLOTS
    for assigner in found if first.layer else ():
        start, end = assigner.part
        slots[start:end] = [assigner] * (end - start)
    forcing = {key: assigner for assigner in reversed(found) if assigner.running for key in assigner.forced}
    return Enrolment(tuple(found), first.unit, first.layer, tuple(slots), forcing)


def _check_together(found: Sequence[Assigner]) -> None:
    first = found[0]
    for before, after in pairwise(found):
        if not first.layer or (after.layer, after.unit) != (first.layer, first.unit):
            told = f"{after.name} and {first.name} want the same requests and share no layer and unit"
            raise _refuse(told, "EXPERIMENT_IN_THE_WAY")
        if after.part[0] < before.part[1]:
            told = f"{before.name} and {after.name} overlap in layers/{first.layer}"
            raise _refuse(told, "LAYER_OVERLAP")


def _refuse(told: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(told, reason=reason, violations=[Violation("layer", told, reason)])
