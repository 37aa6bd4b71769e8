"""What of an experiment may be written when: all of a draft, little of one that has begun. Pure.

`controlplane.catalog.experiments` calls it. Whatever an assignment depends on never changes in place: it has
calls of its own, which begin a new phase, or it is another experiment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from controlplane.catalog.experiment_rules import OUTPUT_ONLY
from controlplane.experiments.changing import Why, first_phase, noted
from controlplane.experiments.states import DRAFT, Act, word
from enchain.chains.errors import PreconditionError, Violation
from enchain.v1.experiment_pb2 import Experiment

ALWAYS = frozenset(
    {
        "description", "guardrails", "time_limit", "forced", "on_conclusion", "on_guardrail",
        "minimum_effect", "recommendation",
    }
)  # fmt: skip
"""What may change while it runs or is paused. Of guardrails only the tolerances."""

ASSIGNING = frozenset({"arms", "unit", "coverage", "ramp"})
"""What the first phase of a draft depends on."""

_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "arms": "weights: enchain experiments weights, which begins a new phase; for all else "
        "create another experiment",
        "coverage": "enchain experiments coverage",
        "ramp": "enchain experiments coverage, which ends the ramp",
    }
)


@dataclass(frozen=True, slots=True)
class Edit:
    """What differs between an experiment and what is wanted.

    Attributes:
        differs: The fields that differ.
        refused: Those of them that may not change now.
    """

    differs: tuple[str, ...]
    refused: tuple[str, ...]

    def refuse(self, before: Experiment) -> None:
        """Refuse an edit in place.

        Raises:
            PreconditionError: A field may not change now; every one is listed with what to do instead.
        """
        if not self.refused:
            return
        state = word(before.state)
        faults = [
            Violation(f"experiment.{name}", f"not while it is {state}; {_remedy(name)}", "IMMUTABLE")
            for name in self.refused
        ]
        raise PreconditionError(
            f"{before.name} is {state}: {', '.join(self.refused)} cannot be changed in place",
            reason="IMMUTABLE",
            remedy=f"{faults[0].field}: {_remedy(self.refused[0])}.",
            metadata={"name": before.name, "state": state, "fields": ", ".join(self.refused)},
            violations=faults,
        )

    def apply(self, before: Experiment, wanted: Experiment, ulid: str, why: Why) -> Experiment:
        """Answer the experiment as it is wanted. A draft that would assign otherwise is hashed anew."""
        after = Experiment()
        after.CopyFrom(before)
        for name in self.differs:
            after.ClearField(name)  # type: ignore[arg-type]  # its stub wants a literal
            _copy(wanted, after, name)
        if before.state == DRAFT:
            after.ClearField("warming")  # why another draft could not be started
        if before.state == DRAFT and ASSIGNING & set(self.differs):
            del after.phases[:]
            after.phases.append(first_phase(after, seed_of(after, 1, ulid)))
        return noted(after, Act.UPDATE, why)


def drafted(wanted: Experiment, ulid: str, why: Why) -> Experiment:
    """Answer a new draft, with the phase that it will begin with."""
    draft = Experiment()
    draft.CopyFrom(wanted)
    draft.state = DRAFT
    draft.create_time.FromDatetime(why.now)
    draft.phases.append(first_phase(draft, seed_of(draft, 1, ulid)))
    return noted(draft, Act.CREATE, why)


def decide_edit(before: Experiment, wanted: Experiment) -> Edit:
    """Compare an experiment with what is wanted.

    A chain without a revision means the newest of a draft, and the one that is pinned of all others, so that
    applying a document again changes nothing.
    """
    fields = [each.name for each in Experiment.DESCRIPTOR.fields if each.name not in OUTPUT_ONLY]
    meant = wanted if before.state == DRAFT else _pinned(before, wanted)
    differs = tuple(name for name in fields if _only(before, name) != _only(meant, name))
    if before.state == DRAFT:
        return Edit(differs, ())
    refused = [name for name in differs if name not in ALWAYS]
    if before.state == Experiment.STATE_CONCLUDED:
        refused = [name for name in differs if name != "description"]
    elif "guardrails" in differs and not _only_tolerances(before, meant):
        refused.append("guardrails")
    return Edit(differs, tuple(refused))


def _remedy(field: str) -> str:
    return _REMEDIES.get(field, "create another experiment")


def seed_of(experiment: Experiment, phase: int, ulid: str) -> str:
    """Answer a seed that no other phase of any experiment has."""
    return f"{experiment.name.rpartition('/')[2]}.{phase}.{ulid}"


def _pinned(before: Experiment, wanted: Experiment) -> Experiment:
    pins = {arm.name: arm.chain for arm in before.arms}
    meant = Experiment()
    meant.CopyFrom(wanted)
    for arm in meant.arms:
        pin = pins.get(arm.name, "")
        if "@" not in arm.chain and pin.partition("@")[0] == arm.chain:
            arm.chain = pin
    return meant


def _only(experiment: Experiment, name: str) -> Experiment:
    content = Experiment()
    _copy(experiment, content, name)
    return content


def _copy(source: Experiment, target: Experiment, name: str) -> None:
    value = Experiment()
    value.CopyFrom(source)
    for field in Experiment.DESCRIPTOR.fields:
        if field.name != name:
            value.ClearField(field.name)  # type: ignore[arg-type]  # its stub wants a literal
    target.MergeFrom(value)


def _only_tolerances(before: Experiment, after: Experiment) -> bool:
    def kinds(experiment: Experiment) -> list[tuple[str, int]]:
        return [(each.metric, each.better) for each in experiment.guardrails]

    return kinds(before) == kinds(after)
