"""Checks of what an engine must refuse before it makes anything: wrong inputs, sizes, malformed calls."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import grpc

from enchain.chains.values import Json, SecretRef, TemplateText, from_struct
from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.calling import RefusedError
from enchain.sdk.conformance.catalogue import Group, SkippedError, require
from enchain.sdk.conformance.expecting import (
    complaints_of,
    names_field,
    nothing_made,
    paths_of,
    refusal,
    refused,
)
from enchain.sdk.conformance.looking import planned, schema_of
from enchain.sdk.conformance.probe import DEPROVISION, UPDATE, Probe, told
from enchain.sdk.conformance.samples import Sample
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1 import engine_pb2 as registry_pb2

CHECKS = Group()

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

DERIVED_MAX = 3
"""Faulty variants of the good inputs that are tried; each of them is a few calls."""

TOO_MUCH_FOR_INPUTS = 20 * 1024
TOO_MUCH_FOR_A_REQUEST = 1536 * 1024

_WRONG_FOR: Mapping[str, Json] = {
    "string": {"conformance": True},
    "integer": {"conformance": True},
    "number": {"conformance": True},
    "boolean": {"conformance": True},
    "object": 7,
    "array": 7,
}
"""Values of another type, which no engine can convert."""


@CHECKS.add("good")
async def missing_input_is_refused(probe: Probe) -> None:
    """Inputs that lack a required field are refused with the field's path, before anything is made.

    By Validate as a diagnostic, by Apply with INVALID_ARGUMENT or as a step that failed clean.
    """
    sample = probe.sample("good")
    schema = from_struct((await schema_of(probe)).inputs)
    faulty = [
        replace(sample, inputs=without(sample.inputs, path), path=".".join(("inputs", *path)))
        for path in list(required_paths(schema, sample.inputs))[:DERIVED_MAX]
    ]
    if not faulty:
        raise SkippedError("the schema requires none of the inputs of the good sample")
    for item in faulty:
        await _expect_complaint(probe, item, f"inputs without {item.path}")


@CHECKS.add("good")
async def wrong_input_is_refused(probe: Probe) -> None:
    """Inputs of a wrong type are refused with the field's path, before anything is made.

    So are the inputs that the suite inputs call wrong. By Validate as a diagnostic, by Apply with
    INVALID_ARGUMENT or as a step that failed clean.
    """
    sample = probe.sample("good")
    schema = from_struct((await schema_of(probe)).inputs)
    faulty = [
        replace(sample, inputs=replaced(sample.inputs, path, wrong), path=".".join(("inputs", *path)))
        for path, wrong in list(typed_paths(schema, sample.inputs))[:DERIVED_MAX]
    ]
    faulty += probe.inputs.wrong
    if not faulty:
        raise SkippedError("the schema gives no types, and the suite inputs call nothing wrong")
    for item in faulty:
        await _expect_complaint(probe, item, f"inputs with a wrong {item.path}")


async def _expect_complaint(probe: Probe, sample: Sample, what: str) -> None:
    request = engine_pb2.ValidateRequest(inputs=sample.values(), artifacts=sample.refs())
    try:
        found = paths_of((await probe.caller.validate(request)).diagnostics)
    except RefusedError as error:
        found = [(fault.field, fault.description) for fault in error.told.violations]
    _expect_path(found, sample.path, f"Validate of {what}")
    work = probe.new_work(sample)
    stream = await probe.apply(work)
    if stream.refusal is not None:
        refusal(stream, f"Apply of {what}", INVALID)
    else:
        outcome = stream.result.outcome if stream.result is not None else None
        clean = outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
        require(clean, f"Apply of {what} must be refused or fail clean, but {told(stream)}")
    _expect_path(complaints_of(stream), sample.path, f"Apply of {what}")
    await nothing_made(probe, work, f"a refused Apply of {what}", clean_failure=True)


def _expect_path(found: list[tuple[str, str]], wanted: str, what: str) -> None:
    paths = ", ".join(path or "no path" for path, _ in found) or "nothing"
    named = any(names_field(path, wanted, text) for path, text in found)
    require(named, f"{what} must name {wanted}, but it names {paths}")


def required_paths(schema: Json, inputs: Json) -> Iterator[tuple[str, ...]]:
    """Find the required fields that inputs hold, outermost first."""
    if not isinstance(schema, dict) or not isinstance(inputs, Mapping):
        return
    yield from ((name,) for name in schema.get("required", ()) if name in inputs)
    for name, inner in (schema.get("properties") or {}).items():
        for path in required_paths(inner, inputs.get(name)):
            yield (name, *path)


def typed_paths(schema: Json, inputs: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Find the fields of one plain type that inputs hold, innermost first, each with a wrong value."""
    if not isinstance(schema, dict) or not isinstance(inputs, Mapping):
        return
    for name, inner in (schema.get("properties") or {}).items():
        if name not in inputs or isinstance(inputs[name], SecretRef | TemplateText):
            continue
        for path, wrong in typed_paths(inner, inputs[name]):
            yield (name, *path), wrong
        kind = inner.get("type") if isinstance(inner, dict) else None
        if isinstance(kind, str) and kind in _WRONG_FOR:
            yield (name,), _WRONG_FOR[kind]


def without(inputs: Mapping[str, Json], path: tuple[str, ...]) -> dict[str, Json]:
    """Answer inputs without a field."""
    name, *rest = path
    if not rest:
        return {key: value for key, value in inputs.items() if key != name}
    return {**inputs, name: without(inputs[name], tuple(rest))}


def replaced(inputs: Mapping[str, Json], path: tuple[str, ...], value: Json) -> dict[str, Json]:
    """Answer inputs with another value in a field."""
    name, *rest = path
    return {**inputs, name: replaced(inputs[name], tuple(rest), value) if rest else value}


@CHECKS.add()
async def malformed_call_is_refused(probe: Probe) -> None:
    """A call with a malformed work id, verb or generation is refused: INVALID_ARGUMENT, the field's path."""
    sample = probe.inputs.samples.get("good") or Sample("nothing")
    faults: tuple[tuple[str, Callable[[engine_pb2.StepCall], None]], ...] = (
        ("call.work_id", lambda call: call.ClearField("work_id")),
        ("call.work_id", lambda call: setattr(call, "work_id", "no-step")),
        ("call.work_id", lambda call: setattr(call, "work_id", "../../elsewhere/step")),
        ("call.verb", lambda call: call.ClearField("verb")),
        ("call.verb", lambda call: setattr(call, "verb", DEPROVISION)),
        ("call.generation", lambda call: setattr(call, "generation", 0)),
    )
    for field, spoil in faults:
        work = probe.new_work(sample)
        call = probe.call(work.work_id)
        spoil(call)
        stream = await probe.open(work, probe.apply_request(sample, call)).rest()
        what = f"Apply with {field} = {getattr(call, field.partition('.')[2])!r}"
        found = refusal(stream, what, INVALID)
        _expect_path([(fault.field, fault.description) for fault in found.told.violations], field, what)


@CHECKS.add("good")
async def deadline_past_is_refused(probe: Probe) -> None:
    """A call whose deadline is past is refused with DEADLINE_EXCEEDED, before anything is made."""
    work = probe.new_work(probe.sample("good"))
    stream = await probe.apply(work, seconds=-1)
    refusal(stream, "Apply after its deadline", grpc.StatusCode.DEADLINE_EXCEEDED)
    await nothing_made(probe, work, "an Apply after its deadline")


@CHECKS.add("good")
async def oversize_inputs_are_refused(probe: Probe) -> None:
    """Inputs of more than 16 KiB are refused before anything is made.

    With RESOURCE_EXHAUSTED or INVALID_ARGUMENT.
    """
    work = probe.new_work(_swollen(probe.sample("good"), TOO_MUCH_FOR_INPUTS))
    stream = await probe.apply(work)
    refusal(stream, "Apply with 20 KiB of inputs", EXHAUSTED, INVALID)
    await nothing_made(probe, work, "an Apply with 20 KiB of inputs")


@CHECKS.add("good")
async def oversize_request_is_refused(probe: Probe) -> None:
    """A request of more than 1 MiB is refused, and the server goes on.

    With RESOURCE_EXHAUSTED or INVALID_ARGUMENT.
    """
    work = probe.new_work(_swollen(probe.sample("good"), TOO_MUCH_FOR_A_REQUEST))
    stream = await probe.apply(work)
    refusal(stream, "Apply with 1.5 MiB of inputs", EXHAUSTED, INVALID)
    await nothing_made(probe, work, "an Apply with 1.5 MiB of inputs")


def _swollen(sample: Sample, size: int) -> Sample:
    """Answer a sample whose inputs are too large, in a field that the engine knows where there is one."""
    texts = [name for name, value in sample.inputs.items() if isinstance(value, str)]
    return replace(sample, inputs={**sample.inputs, texts[0] if texts else "padding": "x" * size})


@CHECKS.add("good")
async def missing_artifact_is_refused(probe: Probe) -> None:
    """An artifact that is not in the store, or has a malformed digest, is refused before anything is made."""
    sample = probe.sample("good")
    if not sample.artifacts:
        raise SkippedError("the good sample has no artifact")
    codes = (INVALID, grpc.StatusCode.NOT_FOUND, PRECONDITION)
    for digest in ("sha256:" + "0" * 64, "../../etc/passwd"):
        work = probe.new_work(replace(sample, artifacts=dict.fromkeys(sample.artifacts, digest)))
        what = f"Apply with the artifact {digest}"
        refusal(await probe.apply(work), what, *codes)
        await nothing_made(probe, work, what)


@CHECKS.add()
async def missing_capability_is_refused(probe: Probe) -> None:
    """What the engine did not declare is refused with UNIMPLEMENTED, never ignored.

    That goes for Plan, Observe, Apply of an update, and Apply of a plan.
    """
    sample = probe.inputs.samples.get("good") or Sample("nothing")
    work = probe.new_work(sample)
    lacking = [name for name, value in registry_pb2.Capability.items() if value and not probe.can(value)]
    tried = 0
    if "CAPABILITY_PLAN" in lacking:
        plan = engine_pb2.PlanRequest(
            call=probe.call(work.work_id), inputs=sample.values(), artifacts=sample.refs()
        )
        refusal(await probe.caller.plan(plan).rest(), "Plan", _UNIMPLEMENTED)
        request = probe.apply_request(sample, probe.call(work.work_id), plan_digest="sha256:" + "0" * 64)
        refusal(await probe.open(work, request).rest(), "Apply of a plan", _UNIMPLEMENTED)
        tried += 1
    if "CAPABILITY_OBSERVE" in lacking:
        await refused(probe.observe(work), "Observe", _UNIMPLEMENTED)
        tried += 1
    if "CAPABILITY_UPDATE" in lacking:
        call = probe.call(work.work_id, verb=UPDATE, generation=2)
        stream = await probe.open(work, probe.apply_request(sample, call)).rest()
        refusal(stream, f"Apply with {operation_pb2.Verb.Name(UPDATE)}", _UNIMPLEMENTED)
        tried += 1
    if not tried:
        raise SkippedError("the engine declares all of them")


_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@CHECKS.add("good", capability=registry_pb2.CAPABILITY_PLAN)
async def unknown_plan_is_refused(probe: Probe) -> None:
    """Apply of a plan that the engine does not have is refused with FAILED_PRECONDITION (PLAN_STALE)."""
    work = probe.new_work(probe.sample("good"))
    request = probe.apply_request(work.sample, probe.call(work.work_id), plan_digest="sha256:" + "0" * 64)
    stream = await probe.open(work, request).rest()
    refusal(stream, "Apply of a plan that was never made", PRECONDITION, reason="PLAN_STALE")
    await nothing_made(probe, work, "an Apply of a plan that was never made", clean_failure=True)


@CHECKS.add("good", "changed", capability=registry_pb2.CAPABILITY_PLAN)
async def stale_plan_is_refused(probe: Probe) -> None:
    """A plan is applied exactly, or refused with FAILED_PRECONDITION (PLAN_STALE).

    Refused are other inputs than it was made for, and a world that has changed since.
    """
    work, stream = await planned(probe)
    assert stream.plan is not None
    digest = stream.plan.plan.digest
    if not digest:
        raise SkippedError("the engine keeps no plans: the digest is empty")
    other = probe.apply_request(probe.sample("changed"), probe.call(work.work_id), plan_digest=digest)
    what = "Apply of a plan with other inputs than it was made for"
    refusal(await probe.open(work, other).rest(), what, PRECONDITION, reason="PLAN_STALE")
    await nothing_made(probe, work, what, clean_failure=True)
    if not probe.can(registry_pb2.CAPABILITY_UPDATE):
        return
    work, stream = await planned(probe)
    assert stream.plan is not None
    made = await probe.apply(work, sample=probe.sample("changed"))
    require(made.result is not None, told(made))
    call = probe.call(work.work_id, verb=UPDATE, generation=2)
    late = probe.apply_request(
        probe.sample("good"), call, prior=made.handle, plan_digest=stream.plan.plan.digest
    )
    what = "Apply of a plan that was made before the world changed"
    refusal(await probe.open(work, late).rest(), what, PRECONDITION, reason="PLAN_STALE")


@CHECKS.add("good", capability=registry_pb2.CAPABILITY_PLAN)
async def plan_is_applied(probe: Probe) -> None:
    """Apply with the digest of a plan that is still good does what the plan says."""
    work, stream = await planned(probe)
    assert stream.plan is not None
    request = probe.apply_request(work.sample, probe.call(work.work_id), plan_digest=stream.plan.plan.digest)
    applied = await probe.open(work, request).rest()
    ended = applied.result.outcome if applied.result is not None else None
    require(ended == diagnostic_pb2.OUTCOME_SUCCEEDED, f"Apply of a fresh plan: {told(applied)}")
