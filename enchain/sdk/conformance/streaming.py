"""Checks of what comes over a stream: order, numbers, handles, outputs, sizes, heartbeats, failures."""

import re
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise

import jsonschema
from google.protobuf.message import Message

from enchain.chains.values import Json, SecretRef, from_struct, to_python_map
from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.calling import Stream
from enchain.sdk.conformance.catalogue import Group, SkippedError, require
from enchain.sdk.conformance.expecting import nothing_stands, success
from enchain.sdk.conformance.looking import schema_of
from enchain.sdk.conformance.probe import Probe, Work, told
from enchain.v1 import diagnostic_pb2, value_pb2

CHECKS = Group()

HANDLE_BYTES_MAX = 8 * 1024
OUTPUT_BYTES_MAX = 16 * 1024
DIAGNOSTIC_BYTES_MAX = 8 * 1024
EVENT_BYTES_MAX = 16 * 1024
ENVELOPE_BYTES = 1024
"""What the parts of a result and an event take beside what is measured."""

_CODE = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_FAILED = (diagnostic_pb2.OUTCOME_FAILED_CLEAN, diagnostic_pb2.OUTCOME_FAILED_PARTIAL)


async def streams_of(probe: Probe) -> AsyncIterator[tuple[str, Stream]]:
    """Answer the finished streams of all kinds that the samples allow."""
    for name in ("good", "slow", "failing"):
        if name in probe.inputs.samples:
            work = await probe.kept(name)
            assert work.stream is not None
            yield f"the Apply of `{name}`", work.stream
    _, destroyed = await probe.gone()
    yield "a Destroy", destroyed


@CHECKS.add("good")
async def good_inputs_succeed(probe: Probe) -> None:
    """Apply of good inputs succeeds, with the outputs that the suite inputs expect."""
    work = await probe.good()
    expect_outputs(work)


def expect_outputs(work: Work, sample: str = "") -> None:
    """Expect that a work's outputs hold what its sample says."""
    outputs = to_python_map(work.result.outputs, field="outputs")
    for name, wanted in work.sample.outputs.items():
        found = outputs.get(name, "missing")
        require(found == wanted, f"{sample}output `{name}` is {found!r} instead of {wanted!r}")


@CHECKS.add("good")
async def accepted_comes_first(probe: Probe) -> None:
    """Every stream opens with `accepted`, which names the instance; for new work it is not `reattached`."""
    async for what, stream in streams_of(probe):
        kinds = [event.WhichOneof("event") for event in stream.events]
        require(kinds[:1] == ["accepted"], f"{what} opens with {kinds[0] if kinds else 'nothing'}")
        require(kinds.count("accepted") == 1, f"{what} sent `accepted` {kinds.count('accepted')} times")
        require(stream.events[0].accepted.instance, f"{what} names no instance in `accepted`")
        require(not stream.reattached, f"{what} of a new key says that it is `reattached`")


@CHECKS.add("good")
async def one_result_comes_last(probe: Probe) -> None:
    """Every stream of work ends with OK after exactly one result with an outcome."""
    async for what, stream in streams_of(probe):
        require(stream.refusal is None, f"{what} ended otherwise than with OK: {stream.refusal}")
        kinds = [event.WhichOneof("event") for event in stream.events]
        require(kinds.count("result") == 1, f"{what} sent {kinds.count('result')} results")
        require(kinds[-1] == "result", f"{what} sent {kinds[-1]} after the result")
        require(None not in kinds, f"{what} sent an empty event")
        require("plan" not in kinds, f"{what} sent a plan")
        assert stream.result is not None
        outcome = stream.result.outcome
        known = 0 < outcome < diagnostic_pb2.OUTCOME_DEFERRED
        require(known, f"{what} ended with {_outcome(outcome)}")


@CHECKS.add("good")
async def seq_grows_strictly(probe: Probe) -> None:
    """Events are numbered strictly growing from 1, the same in every stream of a key, and carry a time."""
    async for what, stream in streams_of(probe):
        numbers = [event.seq for event in stream.events]
        require(numbers[:1] == [1], f"{what} begins with seq {numbers[:1]}")
        growing = all(one < other for one, other in pairwise(numbers))
        require(growing, f"{what} is numbered {numbers}")
        require(all(event.HasField("time") for event in stream.events), f"{what} has events without a time")
    work = await probe.good()
    assert work.stream is not None
    kinds = {event.seq: event.WhichOneof("event") for event in work.stream.events}
    joined = await probe.apply(work, token=work.next_token())
    numbers = [event.seq for event in joined.events]
    growing = all(one < other for one, other in pairwise(numbers))
    require(growing, f"a stream that joins is numbered {numbers}")
    for event in joined.events:
        known = kinds.get(event.seq, event.WhichOneof("event"))
        require(known == event.WhichOneof("event"), f"seq {event.seq} is another event in a second stream")


@CHECKS.add("good")
async def handle_comes_before_result(probe: Probe) -> None:
    """A step that makes something tells its handle before the result, in a shape that the handshake named.

    The result carries the newest handle.
    """
    work = await probe.good()
    assert work.stream is not None
    handles = work.stream.of("handle")
    require(handles, "the Apply of `good` sent no handle before its result")
    newest = handles[-1].handle
    require(newest.schema in probe.instance.handle_schemas, f"the handle's schema is {newest.schema!r}")
    kept = work.result.handle.SerializeToString(deterministic=True)
    is_same = kept == newest.SerializeToString(deterministic=True)
    require(is_same, "the result does not carry the newest handle")


@CHECKS.add("good")
async def outputs_match_schema(probe: Probe) -> None:
    """Outputs are as the schema says; those that it calls secret are references."""
    schema = await schema_of(probe)
    work = await probe.good()
    outputs = to_python_map(work.result.outputs, field="outputs")
    for name in schema.secret_outputs:
        plain = name in outputs and not isinstance(outputs[name], SecretRef)
        require(not plain, f"the secret output `{name}` is not a reference")
    told_plainly = {name: value for name, value in outputs.items() if not isinstance(value, SecretRef)}
    rules = _without_required(from_struct(schema.outputs), set(outputs) - set(told_plainly))
    for error in jsonschema.Draft202012Validator(rules).iter_errors(told_plainly):
        require(False, f"the outputs are not as the schema says: {error.message}")


def _without_required(rules: dict[str, Json], names: set[str]) -> dict[str, Json]:
    """Answer a schema that does not ask for some fields."""
    asked = [name for name in rules.get("required", ()) if name not in names]
    return {**rules, "required": asked} if "required" in rules else rules


@CHECKS.add("good")
async def budgets_are_kept(probe: Probe) -> None:
    """Handles take at most 8 KiB, outputs 16 KiB, diagnostics 8 KiB, and one event 16 KiB.

    A result is measured by its parts.
    """
    async for what, stream in streams_of(probe):
        for event in stream.events:
            kind = event.WhichOneof("event")
            if kind == "handle":
                _within(event.handle, HANDLE_BYTES_MAX, f"a handle of {what}")
            if kind == "result":
                _result_within(event.result, what)
            else:
                _within(event, EVENT_BYTES_MAX + ENVELOPE_BYTES, f"a {kind} of {what}")


def _result_within(result: engine_pb2.StepResult, what: str) -> None:
    _within(result.handle, HANDLE_BYTES_MAX, f"the result's handle of {what}")
    taken = _bytes_of(result.outputs)
    require(taken <= OUTPUT_BYTES_MAX, f"the outputs of {what} take {taken} bytes")
    taken = sum(found.ByteSize() for found in result.diagnostics)
    require(taken <= DIAGNOSTIC_BYTES_MAX + ENVELOPE_BYTES, f"the diagnostics of {what} take {taken} bytes")


def _bytes_of(values: Mapping[str, value_pb2.Value]) -> int:
    return sum(len(name.encode()) + value.ByteSize() for name, value in values.items())


def _within(message: Message, limit: int, what: str) -> None:
    require(message.ByteSize() <= limit, f"{what} takes {message.ByteSize()} bytes")


@CHECKS.add("slow")
async def heartbeats_come(probe: Probe) -> None:
    """Running work says at least about once per heartbeat interval that it runs."""
    interval = probe.heartbeat_seconds
    work = await probe.kept("slow")
    assert work.stream is not None
    success(work.stream, "the slow sample did not succeed")
    times = work.stream.arrivals
    lasted = times[-1] - times[0]
    if lasted < 3 * interval:
        raise SkippedError(
            f"the slow sample took {lasted:.1f} s, less than three intervals of {interval:g} s"
        )
    longest = max(later - earlier for earlier, later in pairwise(times))
    silent = f"it was silent for {longest:.1f} s although it promised a heartbeat every {interval:g} s"
    require(longest < max(3 * interval, lasted / 2), silent)


@CHECKS.add("failing")
async def failure_is_told(probe: Probe) -> None:
    """A step that fails is a stream that ends OK with a failed result and a diagnostic that says why.

    Diagnostics carry a code in UPPER_SNAKE, a summary, a severity and a domain. What failed in part has a
    handle; what failed clean left nothing.
    """
    work = await probe.kept("failing")
    assert work.stream is not None
    require(work.stream.refusal is None, told(work.stream))
    result = work.result
    require(result.outcome in _FAILED, f"the failing sample ended with {_outcome(result.outcome)}")
    require(result.diagnostics, "the failed result has no diagnostic")
    for found in result.diagnostics:
        require(_CODE.fullmatch(found.code), f"the code {found.code!r} is not in UPPER_SNAKE")
        require(found.summary, f"the diagnostic {found.code} has no summary")
        require(found.severity, f"the diagnostic {found.code} has no severity")
        require(found.domain, f"the diagnostic {found.code} has no domain")
    if result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL:
        require(result.HasField("handle"), "the result says FAILED_PARTIAL and carries no handle")
    else:
        await nothing_stands(probe, work, "a step that failed clean", work.handle)


@CHECKS.add("large_handle")
async def oversize_handle_is_refused(probe: Probe) -> None:
    """A handle of more than 8 KiB fails the step before anything is made (FAILED_CLEAN)."""
    work = probe.new_work(probe.sample("large_handle"))
    stream = await probe.apply(work)
    clean = stream.result is not None and stream.result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    require(clean, f"with a handle that is too large, {told(stream)}")
    for event in stream.of("handle"):
        _within(event.handle, HANDLE_BYTES_MAX, "a handle")
    await nothing_stands(probe, work, "a handle that is too large")


@CHECKS.add("large_outputs")
async def oversize_outputs_fail_partially(probe: Probe) -> None:
    """Outputs of more than 16 KiB fail the step with FAILED_PARTIAL and the handle of what was made."""
    work = probe.new_work(probe.sample("large_outputs"))
    stream = await probe.apply(work)
    result = stream.result
    partial = result is not None and result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    require(partial, f"with outputs that are too large, {told(stream)}")
    assert result is not None
    require(result.HasField("handle"), "the result carries no handle")
    _result_within(result, "outputs that are too large")


def _outcome(outcome: diagnostic_pb2.Outcome.ValueType) -> str:
    known = outcome in diagnostic_pb2.Outcome.values()
    return diagnostic_pb2.Outcome.Name(outcome) if known else f"the unknown outcome {outcome}"
