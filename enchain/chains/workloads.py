"""Workloads: checked by themselves, and made whole with defaults.

The control plane calls it before it saves one. What depends on engines (their inputs' types, the outputs of
steps) is checked by `chains.derive`, once they have been asked for their schemas. All faults are told at
once.
"""

import re
from collections.abc import Sequence

from enchain.chains import names, schemas
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.expressions import StepOutputs, Types
from enchain.chains.profiles import profile_faults
from enchain.chains.timing import (
    OPERATION_DEFAULT,
    duration,
    retry_faults,
    timeout_faults,
    with_retry_defaults,
)
from enchain.chains.values import from_struct, to_struct
from enchain.chains.wiring import Place, typed_values
from enchain.v1 import workload_pb2

STEPS_MAX = 16
IMPLEMENTATIONS_MAX = 16
DESCRIPTION_CHARS_MAX = 2000
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_ANYTHING = StepOutputs({"type": "object"})


def check(workload: workload_pb2.Workload) -> workload_pb2.Workload:
    """Answer a workload with its defaults filled in and its schema in the long form.

    Raises:
        InvalidArgumentError: With a violation for every fault, such as
            `steps[1].implementations[0].inputs.run[2]`.
    """
    normal = workload_pb2.Workload()
    normal.CopyFrom(workload)
    _fill(normal)
    found = [
        *_name_faults(normal.name),
        *_text_faults(normal.description, "description"),
        *schemas.check_schema(from_struct(normal.inputs), "inputs", named=True),
        *timeout_faults(normal.timeout, "timeout"),
        *_step_faults(normal.steps),
        *profile_faults(normal),
    ]
    # Expressions can be held only against inputs and steps that have proper names.
    if not any(v.field.startswith("inputs") or v.field.endswith("].name") for v in found):
        found += _wiring_faults(normal)
    refuse(found, normal.name or "the workload")
    return normal


def refuse(found: Sequence[Violation], what: str) -> None:
    """Raise what was found, if anything was."""
    once = tuple(dict.fromkeys(found))
    if once:
        more = f" (and {len(once) - 1} more)" if len(once) > 1 else ""
        raise InvalidArgumentError(
            f"{what} is refused: {once[0].field}: {once[0].description}{more}",
            reason=once[0].reason,
            violations=once,
        )


def _fill(workload: workload_pb2.Workload) -> None:
    workload.inputs.CopyFrom(to_struct(schemas.schema_of(workload.inputs)))
    if not workload.on_failure:
        workload.on_failure = workload_pb2.ON_FAILURE_COMPENSATE
    if not workload.HasField("timeout"):
        workload.timeout.CopyFrom(duration(OPERATION_DEFAULT))
    for step in workload.steps:
        for implementation in step.implementations:
            implementation.retry.CopyFrom(with_retry_defaults(implementation.retry))
            if list(implementation.covers) == [step.name]:
                del implementation.covers[:]


def _name_faults(name: str) -> list[Violation]:
    try:
        names.workload_id(name)
    except InvalidArgumentError as error:
        return list(error.violations)
    return []


def _text_faults(text: str, field: str) -> list[Violation]:
    if len(text) <= DESCRIPTION_CHARS_MAX:
        return []
    return [Violation(field, f"write at most {DESCRIPTION_CHARS_MAX} characters", "OUT_OF_RANGE")]


def _step_faults(steps: Sequence[workload_pb2.Step]) -> list[Violation]:
    found = []
    if not 1 <= len(steps) <= STEPS_MAX:
        found.append(Violation("steps", f"write 1 to {STEPS_MAX} steps", "OUT_OF_RANGE"))
    order = [step.name for step in steps]
    covered: set[str] = set()
    for index, step in enumerate(steps):
        field = f"steps[{index}]"
        found += schemas.name_faults(step.name, f"{field}.name")
        found += _text_faults(step.description, f"{field}.description")
        if step.name in order[:index]:
            found.append(Violation(f"{field}.name", f"there are two steps named {step.name}", "DOUBLED"))
        if not step.implementations and step.name not in covered:
            told = f"no engine does {step.name}; write one under `by`"
            found.append(Violation(f"{field}.implementations", told, "MISSING_IMPLEMENTATION"))
        if len(step.implementations) > IMPLEMENTATIONS_MAX:
            told = f"write at most {IMPLEMENTATIONS_MAX} implementations"
            found.append(Violation(f"{field}.implementations", told, "OUT_OF_RANGE"))
        for number, implementation in enumerate(step.implementations):
            where = f"{field}.implementations[{number}]"
            covered.update(implementation.covers)
            found += _cover_faults(implementation, order, index, where)
            found += _implementation_faults(implementation, where)
            found += _rival_faults(step, number, where)
    return found


def _cover_faults(
    implementation: workload_pb2.Implementation, order: Sequence[str], index: int, where: str
) -> list[Violation]:
    covers = list(implementation.covers)
    if not covers or covers == list(order[index : index + len(covers)]):
        return []
    told = f"covers must name steps in a row, beginning with {order[index]}; the order is {', '.join(order)}"
    return [Violation(f"{where}.covers", told, "NOT_CONSECUTIVE")]


def _implementation_faults(implementation: workload_pb2.Implementation, where: str) -> list[Violation]:
    found = [names.violation_of(names.ENGINE, implementation.engine, f"{where}.engine")]
    if implementation.version and not VERSION.fullmatch(implementation.version):
        told = "write an exact version such as 1.2.0, or none for the one that runs"
        found.append(Violation(f"{where}.version", told, "INVALID_VERSION"))
    for name in sorted(implementation.artifacts):
        if name in implementation.inputs:
            told = f"{name} is an artifact and an input at once"
            found.append(Violation(f"{where}.inputs.{name}", told, "DOUBLED"))
        found += digest_faults(implementation.artifacts[name], f"{where}.artifacts.{name}")
    if implementation.HasField("timeout"):
        found += timeout_faults(implementation.timeout, f"{where}.timeout")
    found += retry_faults(implementation.retry, f"{where}.retry")
    return [fault for fault in found if fault]


def digest_faults(artifact: workload_pb2.ArtifactRef, field: str) -> list[Violation]:
    """Answer what is wrong with a pinned artifact."""
    if DIGEST.fullmatch(artifact.digest):
        return []
    told = "write sha256: and 64 hex digits; `enchain apply` uploads a path and fills it in"
    return [Violation(f"{field}.digest", told, "INVALID_DIGEST")]


def _rival_faults(step: workload_pb2.Step, number: int, where: str) -> list[Violation]:
    """Faults in how an implementation stands to the others of its step."""
    found = []
    this = step.implementations[number]
    if this.engine in [other.engine for other in step.implementations[:number]]:
        told = f"{this.engine} does {step.name} twice; write it once"
        found.append(Violation(f"{where}.engine", told, "DOUBLED"))
    if not this.fallback:
        return found
    fallback = next((other for other in step.implementations if other.engine == this.fallback), None)
    if fallback is None or this.fallback == this.engine:
        told = f"the fallback must be another engine of {step.name}"
        found.append(Violation(f"{where}.fallback", told, "UNKNOWN_ENGINE"))
    elif list(fallback.covers) != list(this.covers):
        told = f"{this.fallback} does other steps than {this.engine}; a fallback must cover the same"
        found.append(Violation(f"{where}.fallback", told, "COVERS_DIFFER"))
    return found


def _wiring_faults(workload: workload_pb2.Workload) -> list[Violation]:
    """Faults of expressions that can be seen without asking an engine."""
    inputs, order = from_struct(workload.inputs), [step.name for step in workload.steps]
    found = []
    for index, step in enumerate(workload.steps):
        types = Types(inputs, dict.fromkeys(order[:index], _ANYTHING))
        for number, implementation in enumerate(step.implementations):
            end = index + max(1, len(implementation.covers))
            own, later = frozenset(order[index:end]), frozenset(order[end:])
            place = Place(types, variables=None, own=own, later=later)
            where = f"steps[{index}].implementations[{number}].inputs"
            found += typed_values(implementation.inputs, place, where)[1]
    everything = Place(Types(inputs, dict.fromkeys(order, _ANYTHING)))
    for name in sorted(workload.outputs):
        found += schemas.name_faults(name, f"outputs.{name}")
    return found + typed_values(workload.outputs, everything, "outputs")[1]
