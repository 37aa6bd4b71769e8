"""Selection: which implementation does each step of a chain, and which schemas that asks for.

`chains` and the control plane call it. Steps are taken in order; each is done by the engine that `use` names,
else by its first implementation, and one that covers several steps does them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enchain.chains.errors import Violation
from enchain.chains.workloads import refuse
from enchain.v1 import chain_pb2, workload_pb2


@dataclass(frozen=True, slots=True)
class Need:
    """A schema that an engine must be asked for. Equal needs have the same answer.

    Attributes:
        engine: The engine's id.
        version: The version wanted, exactly; empty for any that runs.
        artifacts: Digests by input field, sorted.
        steps: The steps that one call would do.
        where: Path of the implementation in the workload, such as `steps[0].implementations[1]`.
    """

    engine: str
    version: str
    artifacts: tuple[tuple[str, str], ...]
    steps: tuple[str, ...]
    where: str = field(default="", compare=False)

    def artifact_refs(self) -> dict[str, workload_pb2.ArtifactRef]:
        """The artifacts as `GetSchemaRequest` takes them."""
        return {name: workload_pb2.ArtifactRef(digest=digest) for name, digest in self.artifacts}


@dataclass(frozen=True, slots=True)
class SchemaAnswer:
    """What an engine instance answered to a need: its exact version, and the schema."""

    version: str
    schema: chain_pb2.EngineSchema


@dataclass(frozen=True, slots=True)
class Selected:
    """One call of the chain to be: the steps that it does, and how."""

    steps: tuple[str, ...]
    implementation: workload_pb2.Implementation
    where: str
    fallback: workload_pb2.Implementation | None = None
    fallback_where: str = ""

    def need(self) -> Need:
        """The schema it asks for."""
        return _need(self.implementation, self.steps, self.where)

    def fallback_need(self) -> Need | None:
        """The schema that its fallback asks for, where it has one."""
        return _need(self.fallback, self.steps, self.fallback_where) if self.fallback else None


def _need(implementation: workload_pb2.Implementation, steps: tuple[str, ...], where: str) -> Need:
    artifacts = tuple(sorted((name, ref.digest) for name, ref in implementation.artifacts.items()))
    return Need(implementation.engine, implementation.version, artifacts, steps, where)


def needs(workload: workload_pb2.Workload, use: Mapping[str, str]) -> list[Need]:
    """Answer the schemas that a chain asks for, each once.

    Raises:
        InvalidArgumentError: No chain can be made so.
    """
    found: dict[Need, None] = {}
    for call in select(workload, use):
        found.update(dict.fromkeys(n for n in (call.need(), call.fallback_need()) if n))
    return list(found)


def select(workload: workload_pb2.Workload, use: Mapping[str, str]) -> list[Selected]:
    """Choose the implementations of a chain.

    Raises:
        InvalidArgumentError: `use` names what is not there, a step has no engine, or two want the same step.
    """
    order = [step.name for step in workload.steps]
    found = [
        Violation(
            f"use.{name}", f"there is no step {name}; the steps are: {', '.join(order)}", "UNKNOWN_STEP"
        )
        for name in sorted(set(use) - set(order))
    ]
    calls: list[Selected] = []
    done = 0
    for index, step in enumerate(workload.steps):
        if index < done:
            continue
        call = _call(workload, index, use.get(step.name, ""), found)
        if call:
            calls.append(call)
            found += _overlaps(call, use)
            done = index + len(call.steps)
    refuse(found, "the chain")
    return calls


def _call(
    workload: workload_pb2.Workload, index: int, engine: str, found: list[Violation]
) -> Selected | None:
    step = workload.steps[index]
    engines = [implementation.engine for implementation in step.implementations]
    if engine and engine not in engines:
        known = ", ".join(engines) or "none at all"
        told = f"{engine} does not do {step.name}; engines that do: {known}"
        found.append(Violation(f"use.{step.name}", told, "UNKNOWN_ENGINE"))
        return None
    if not engines:
        told = f"no engine of this chain does {step.name}; use one that covers it, or write one under `by`"
        found.append(Violation(f"steps[{index}].implementations", told, "MISSING_STEP"))
        return None
    number = engines.index(engine) if engine else 0
    chosen = step.implementations[number]
    where = f"steps[{index}].implementations"
    steps = tuple(chosen.covers) or (step.name,)
    if not chosen.fallback:
        return Selected(steps, chosen, f"{where}[{number}]")
    other = engines.index(chosen.fallback)
    return Selected(steps, chosen, f"{where}[{number}]", step.implementations[other], f"{where}[{other}]")


def _overlaps(call: Selected, use: Mapping[str, str]) -> Sequence[Violation]:
    engine = call.implementation.engine
    return [
        Violation(f"use.{name}", f"{engine} does {' and '.join(call.steps)} at once", "STEPS_OVERLAP")
        for name in call.steps[1:]
        if use.get(name, engine) != engine
    ]
