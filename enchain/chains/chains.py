"""Chains: derived from a workload, checked whole, named by what they do.

The control plane derives and checks before it saves; routers check each one that they follow, for anybody may
have put it into the store. A chain stands alone: it embeds the schemas of its engines, so nobody need be
asked again. All faults are told at once, under the paths of the document that was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enchain.chains import agreement, names, schemas
from enchain.chains.digests import digest_of, revision_of
from enchain.chains.errors import InvalidArgumentError, OurError, Violation
from enchain.chains.expressions import StepOutputs, Types
from enchain.chains.selection import Need, SchemaAnswer, Selected, needs, select
from enchain.chains.timing import (
    OPERATION_DEFAULT,
    duration,
    retry_faults,
    timeout_faults,
    with_retry_defaults,
)
from enchain.chains.values import Json, from_struct
from enchain.chains.wiring import Place, typed_values
from enchain.chains.workloads import STEPS_MAX, VERSION, digest_faults, refuse
from enchain.v1 import chain_pb2, workload_pb2

__all__ = ["DEFAULT_CHAIN", "Need", "SchemaAnswer", "check", "derive", "needs"]

DEFAULT_CHAIN = "default"


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where a call stands in the document that people sent."""

    call: str
    fallback: str


def derive(
    workload: workload_pb2.Workload,
    chain_id: str,
    use: Mapping[str, str],
    answers: Mapping[Need, SchemaAnswer],
    *,
    description: str = "",
) -> chain_pb2.Chain:
    """Make a chain of a workload.

    Args:
        workload: A workload that `workloads.check` has answered.
        chain_id: The chain's id; `default` for the one that each workload has.
        use: The engine wanted by step, where it is not the first.
        answers: What engines answered to all that `needs` asks for.
        description: What the chain is for.

    Raises:
        InvalidArgumentError: The chain is not whole, or an expression or input does not fit its engine. Paths
            are the workload's, such as `steps[1].implementations[0].inputs.run[2]`.
    """
    owner = names.workload_id(workload.name)
    names.check_id(names.CHAIN, chain_id, "chain_id")
    selected = select(workload, use)
    chain = chain_pb2.Chain(
        description=description,
        use=use,
        inputs=workload.inputs,
        outputs=workload.outputs,
        on_failure=workload.on_failure,
        timeout=workload.timeout,
        workload_etag=workload.etag,
        steps=[_chain_step(call, answers) for call in selected],
    )
    paths = [_Paths(call.where, call.fallback_where) for call in selected]
    refuse(
        _shape_faults(chain, paths) or _content_faults(chain, paths),
        f"chain {chain_id} of {owner}",
    )
    _name(chain, names.ChainName(owner, chain_id))
    return chain


def check(
    chain: chain_pb2.Chain,
    *,
    key: names.ChainName | None = None,
    workload: workload_pb2.Workload | None = None,
) -> chain_pb2.Chain:
    """Check a chain whole and answer it with name, digest and defaults filled in.

    Args:
        chain: The chain as it was written, maybe by hand: name and digest may be empty then.
        key: The name that the key in the store says. Its revision may be anything.
        workload: Where given, the chain must do just its steps, in their order.

    Raises:
        InvalidArgumentError: With a violation for every fault.
    """
    normal = chain_pb2.Chain()
    normal.CopyFrom(chain)
    _fill(normal)
    paths = [_Paths(f"steps[{i}]", f"steps[{i}].fallback") for i in range(len(normal.steps))]
    found = _identity_faults(chain, normal, key)
    found += _shape_faults(normal, paths)
    if workload is not None:
        found += _completeness_faults(normal, [step.name for step in workload.steps])
    # Types can be told only of what has its shape.
    found = found or _content_faults(normal, paths)
    refuse(found, str(key) if key else normal.name or "the chain")
    normal.name = str(key) if key else normal.name
    normal.digest = digest_of(normal)
    return normal


def _name(chain: chain_pb2.Chain, name: names.ChainName) -> None:
    chain.digest = digest_of(chain)
    chain.name = str(names.ChainName(name.workload, name.chain, revision_of(chain.digest)))


def _chain_step(call: Selected, answers: Mapping[Need, SchemaAnswer]) -> chain_pb2.ChainStep:
    step = _one_call(call.implementation, call.need(), answers)
    fallback = call.fallback_need()
    if call.fallback and fallback:
        step.fallback.CopyFrom(_one_call(call.fallback, fallback, answers))
    return step


def _one_call(
    implementation: workload_pb2.Implementation, need: Need, answers: Mapping[Need, SchemaAnswer]
) -> chain_pb2.ChainStep:
    answer = answers.get(need)
    if answer is None:
        raise OurError(
            f"{need.engine} was not asked for the schema of {', '.join(need.steps)}",
            reason="SCHEMA_NOT_ASKED",
        )
    step = chain_pb2.ChainStep(
        steps=need.steps,
        engine=need.engine,
        version=answer.version,
        inputs=implementation.inputs,
        artifacts=implementation.artifacts,
        retry=with_retry_defaults(implementation.retry),
        schema=answer.schema,
    )
    if implementation.HasField("timeout"):
        step.timeout.CopyFrom(implementation.timeout)
    return step


def _fill(chain: chain_pb2.Chain) -> None:
    """Fill in what a chain put by hand may leave out."""
    if not chain.HasField("inputs"):
        chain.inputs.update({"type": "object", "additionalProperties": False})
    if not chain.on_failure:
        chain.on_failure = workload_pb2.ON_FAILURE_COMPENSATE
    if not chain.HasField("timeout"):
        chain.timeout.CopyFrom(duration(OPERATION_DEFAULT))
    for call in chain.steps:
        call.retry.CopyFrom(with_retry_defaults(call.retry))
        if call.HasField("fallback"):
            call.fallback.retry.CopyFrom(with_retry_defaults(call.fallback.retry))
            if not call.fallback.steps:
                call.fallback.steps.extend(call.steps)


# --- who it is, and whether all its parts are there


def _identity_faults(
    written: chain_pb2.Chain, normal: chain_pb2.Chain, key: names.ChainName | None
) -> list[Violation]:
    found = []
    if written.name or not key:
        try:
            name = names.ChainName.parse(written.name, whole=True)
        except InvalidArgumentError as error:
            found += list(error.violations)
        else:
            if key and (name.workload, name.chain) != (key.workload, key.chain):
                found.append(Violation("name", f"it says {name} and lies at {key}", "OTHER_NAME"))
    # By hand one may reckon the digest over what one wrote; we reckon it with the defaults filled in.
    if written.digest and written.digest not in (digest_of(written), digest_of(normal)):
        told = f"it should be {digest_of(normal)}; leave it out, or write the right one"
        found.append(Violation("digest", told, "WRONG_DIGEST"))
    return found


def _shape_faults(chain: chain_pb2.Chain, paths: Sequence[_Paths]) -> list[Violation]:
    found = [
        *schemas.check_schema(from_struct(chain.inputs), "inputs", named=True),
        *timeout_faults(chain.timeout, "timeout"),
    ]
    done = [name for call in chain.steps for name in call.steps]
    if not 1 <= len(done) <= STEPS_MAX:
        found.append(Violation("steps", f"a chain does 1 to {STEPS_MAX} steps", "OUT_OF_RANGE"))
    twice = dict.fromkeys(n for n in done if done.count(n) > 1)
    found += [Violation("steps", f"{name} is done twice", "STEPS_OVERLAP") for name in twice]
    for call, path in zip(chain.steps, paths, strict=True):
        found += _call_shape_faults(call, path.call)
        if call.HasField("fallback"):
            found += _call_shape_faults(call.fallback, path.fallback)
            found += _fallback_faults(call, path.fallback)
    for name in sorted(chain.outputs):
        found += schemas.name_faults(name, f"outputs.{name}")
    return found


def _call_shape_faults(call: chain_pb2.ChainStep, where: str) -> list[Violation]:
    found = []
    if not call.steps:
        found.append(Violation(f"{where}.steps", "name the steps that it does", "REQUIRED"))
    for index, name in enumerate(call.steps):
        found += schemas.name_faults(name, f"{where}.steps[{index}]")
    engine = names.violation_of(names.ENGINE, call.engine, f"{where}.engine")
    found += [engine] if engine else []
    if not VERSION.fullmatch(call.version):
        told = "write the engine's exact version, such as 1.2.0"
        found.append(Violation(f"{where}.version", told, "INVALID_VERSION"))
    if not call.HasField("schema"):
        told = "embed the engine's schema; `enchain get chain` shows what one looks like"
        found.append(Violation(f"{where}.schema", told, "REQUIRED"))
    for name in sorted(call.artifacts):
        found += digest_faults(call.artifacts[name], f"{where}.artifacts.{name}")
    if call.HasField("timeout"):
        found += timeout_faults(call.timeout, f"{where}.timeout")
    return found + retry_faults(call.retry, f"{where}.retry")


def _fallback_faults(call: chain_pb2.ChainStep, where: str) -> list[Violation]:
    found = []
    if list(call.fallback.steps) != list(call.steps):
        told = f"a fallback does the same steps: {', '.join(call.steps)}"
        found.append(Violation(f"{where}.steps", told, "COVERS_DIFFER"))
    if call.fallback.HasField("fallback"):
        found.append(Violation(f"{where}.fallback", "a fallback has none of its own", "NOT_ALLOWED"))
    return found


def _completeness_faults(chain: chain_pb2.Chain, order: Sequence[str]) -> list[Violation]:
    done = [name for call in chain.steps for name in call.steps]
    missing = [n for n in order if n not in done]
    unknown = [n for n in done if n not in order]
    found = [Violation("steps", f"the chain does not do {n}", "MISSING_STEP") for n in missing]
    found += [Violation("steps", f"the workload has no step {n}", "UNKNOWN_STEP") for n in unknown]
    if not found and done != list(order):
        told = f"the steps must come in the workload's order: {', '.join(order)}"
        found.append(Violation("steps", told, "WRONG_ORDER"))
    return found


# --- whether its expressions and inputs fit


def _content_faults(chain: chain_pb2.Chain, paths: Sequence[_Paths]) -> list[Violation]:
    found = [
        fault for call, path in zip(chain.steps, paths, strict=True) for fault in _schema_faults(call, path)
    ]
    if found:
        return found
    found = _wiring_faults(chain, paths, fallbacks=False)
    if any(call.HasField("fallback") for call in chain.steps):
        # Once more, as if every fallback had run: its outputs may be others.
        found += _wiring_faults(chain, paths, fallbacks=True)
    return found


def _schema_faults(call: chain_pb2.ChainStep, path: _Paths) -> list[Violation]:
    """Faults of an engine's own schema; they are told, for nothing could be checked with it."""
    found = _engine_schema_faults(call.schema, f"{path.call}.schema")
    if call.HasField("fallback"):
        found += _engine_schema_faults(call.fallback.schema, f"{path.fallback}.schema")
    return found


def _engine_schema_faults(schema: chain_pb2.EngineSchema, where: str) -> list[Violation]:
    return [
        *schemas.check_schema(_object(from_struct(schema.inputs)), f"{where}.inputs"),
        *schemas.check_schema(_object(from_struct(schema.outputs)), f"{where}.outputs"),
    ]


def _object(schema: dict[str, Json]) -> dict[str, Json]:
    """An engine's schema; one that says nothing lets every object through."""
    return {"type": "object", **schema}


def _wiring_faults(chain: chain_pb2.Chain, paths: Sequence[_Paths], *, fallbacks: bool) -> list[Violation]:
    inputs = from_struct(chain.inputs)
    order = [name for call in chain.steps for name in call.steps]
    outputs: dict[str, StepOutputs] = {}
    found: list[Violation] = []
    for call, path in zip(chain.steps, paths, strict=True):
        types = Types(inputs, outputs)
        later = frozenset(order) - set(outputs) - set(call.steps)
        found += _call_faults(call, types, later, path.call)
        if call.HasField("fallback"):
            found += _call_faults(call.fallback, types, later, path.fallback)
        chosen = call.fallback if fallbacks and call.HasField("fallback") else call
        known = StepOutputs(
            _object(from_struct(chosen.schema.outputs)), frozenset(chosen.schema.secret_outputs)
        )
        outputs = {**outputs, **dict.fromkeys(call.steps, known)}
    return found + typed_values(chain.outputs, Place(Types(inputs, outputs)), "outputs")[1]


def _call_faults(
    call: chain_pb2.ChainStep, types: Types, later: frozenset[str], where: str
) -> list[Violation]:
    variables = from_struct(call.schema.variables)
    place = Place(types, variables, frozenset(call.steps), later)
    typed, found = typed_values(call.inputs, place, f"{where}.inputs")
    schema = _object(from_struct(call.schema.inputs))
    return found + agreement.faults(schema, typed, f"{where}.inputs")
