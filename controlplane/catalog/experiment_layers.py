"""Who has which part of a layer, and which experiments are in one another's way. Pure.

`controlplane.catalog.experiment_life` calls it when an experiment starts and when it ends. Parts of those
that warm, run or are paused never overlap, in whichever workload they are, so that one unit is in one at
most.
"""

from collections.abc import Iterable

from enchain.chains.decision_names import LayerName
from enchain.chains.errors import PreconditionError
from enchain.v1.experiment_pb2 import Experiment, Layer

THOUSANDTHS = 1000


def reserved(layer: Layer, experiment: Experiment) -> Layer:
    """Answer a layer in which an experiment has its part.

    Raises:
        PreconditionError: Another one has some of it.
    """
    wanted = experiment.layer
    others = [each for each in layer.reservations if each.experiment != experiment.name]
    for other in others:
        if other.start < wanted.end and wanted.start < other.end:
            free = ", ".join(f"{start} to {end}" for start, end in _free(others)) or "none"
            raise PreconditionError(
                f"experiment.layer: {wanted.start} to {wanted.end} of {wanted.layer} overlaps"
                f" {other.start} to {other.end}, which {other.experiment} has",
                reason="LAYER_OVERLAP",
                remedy=f"Take another part (free: {free}), or conclude {other.experiment}.",
                metadata={"name": experiment.name, "layer": wanted.layer, "other": other.experiment},
            )
    answer = Layer(name=wanted.layer, reservations=others)
    answer.reservations.add(experiment=experiment.name, start=wanted.start, end=wanted.end)
    answer.reservations.sort(key=lambda each: each.start)
    return answer


def released(layer: Layer, experiment: str) -> Layer:
    """Answer a layer in which an experiment has nothing."""
    kept = [each for each in layer.reservations if each.experiment != experiment]
    return Layer(name=layer.name, reservations=kept)


def refuse_in_the_way(experiment: Experiment, others: Iterable[Experiment]) -> None:
    """Refuse to start an experiment while others of its workload could take the same requests.

    Args:
        experiment: The one that is to start.
        others: Those of its workload that warm, run or are paused.

    Raises:
        PreconditionError: One has the workload to itself, or shares it by another layer or unit.
    """
    for other in others:
        why = _in_the_way(experiment, other)
        if why:
            raise PreconditionError(
                f"{other.name} is in the way: {why}",
                reason="EXPERIMENT_IN_THE_WAY",
                remedy=f"Conclude it first (enchain experiments conclude {_short(other.name)}), or let both"
                " share the workload by parts of one layer, with the same unit.",
                metadata={"name": experiment.name, "other": other.name},
            )


def layer_id(experiment: Experiment) -> str:
    """Id of the layer that an experiment has a part of; empty where it has none."""
    return LayerName.parse(experiment.layer.layer, "experiment.layer").layer if has_layer(experiment) else ""


def has_layer(experiment: Experiment) -> bool:
    """Say whether it shares its units by a layer."""
    return experiment.HasField("layer")


def _in_the_way(experiment: Experiment, other: Experiment) -> str:
    if not has_layer(other):
        return "it has the workload to itself"
    if not has_layer(experiment):
        return f"it has a part of {other.layer.layer}, and {experiment.name} is in no layer"
    if other.layer.layer != experiment.layer.layer:
        return f"it is in {other.layer.layer}, and {experiment.name} in {experiment.layer.layer}"
    if other.unit != experiment.unit:
        return f"its unit is {other.unit}, and that of {experiment.name} is {experiment.unit}"
    return ""


def _free(taken: Iterable[Layer.Reservation]) -> list[tuple[int, int]]:
    found, reached = [], 0
    for each in sorted(taken, key=lambda part: part.start):
        if each.start > reached:
            found.append((reached, each.start))
        reached = max(reached, each.end)
    return [*found, (reached, THOUSANDTHS)] if reached < THOUSANDTHS else found


def _short(name: str) -> str:
    return name.removeprefix("workloads/").replace("/experiments/", "/")
