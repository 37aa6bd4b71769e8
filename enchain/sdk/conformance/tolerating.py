"""Checks of what an engine must take in its stride: newer callers, traces, secrets."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace

from enchain.chains.values import Json, SecretRef
from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.catalogue import Group, SkippedError, require
from enchain.sdk.conformance.expecting import nothing_made, success
from enchain.sdk.conformance.probe import Probe, succeeded, told
from enchain.v1 import diagnostic_pb2
from enchain.v1 import engine_pb2 as registry_pb2

CHECKS = Group()

UNKNOWN_FIELD = bytes((0xFA, 0xF0, 0x04, 0x03)) + b"new"
"""Field 9999 of no message of today, holding the text `new`."""

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@CHECKS.add("good")
async def unknown_fields_are_tolerated(probe: Probe) -> None:
    """Fields and enum values of a newer protocol are ignored, not refused."""
    work = probe.new_work(probe.sample("good"))
    request = probe.apply_request(work.sample, probe.call(work.work_id))
    request.MergeFromString(UNKNOWN_FIELD)
    request.call.MergeFromString(UNKNOWN_FIELD)
    success(await probe.open(work, request).rest(), "Apply with fields that are unknown")
    hello = engine_pb2.HandshakeRequest(caller="conformance")
    hello.MergeFromString(bytes((0x08, 99)) + UNKNOWN_FIELD)  # capability 99
    await probe.caller.handshake(hello)


@CHECKS.add("good")
async def origin_and_trace_are_accepted(probe: Probe) -> None:
    """Trace context, identity, locality and target are accepted; a malformed trace context does no harm."""
    work = probe.new_work(probe.sample("good"))
    call = probe.call(work.work_id)
    call.traceparent = TRACEPARENT
    call.identity.subject = "conformance"
    call.locality.region, call.locality.zone = "nowhere", "nowhere-1"
    call.target.account = "conformance"
    request = probe.apply_request(work.sample, call)
    stream = await probe.open(work, request, (("traceparent", TRACEPARENT),)).rest()
    success(stream, "Apply with a trace context")
    request.call.traceparent = "00-no-trace"
    stream = await probe.open(work, request, (("traceparent", "00-no-trace"),)).rest()
    success(stream, "Apply with a malformed trace context")


@CHECKS.add("secret")
async def secrets_are_not_told(probe: Probe) -> None:
    """A secret that is passed by reference is used, and told nowhere: not in events, results or errors."""
    sample = probe.sample("secret")
    heard: list[bytes] = []
    probe.caller.heard = heard
    try:
        work = probe.new_work(sample)
        await probe.caller.validate(
            engine_pb2.ValidateRequest(inputs=sample.values(), artifacts=sample.refs())
        )
        if probe.can(registry_pb2.CAPABILITY_PLAN):
            call = probe.call(work.work_id)
            request = engine_pb2.PlanRequest(call=call, inputs=sample.values(), artifacts=sample.refs())
            await probe.caller.plan(request).rest()
        stream = await probe.apply(work)
        await probe.apply(work, token=work.next_token())
        await probe.get_step(work)
        if probe.can(registry_pb2.CAPABILITY_OBSERVE):
            await probe.observe(work, work.handle)
        await probe.destroy(work, work.handle)
    finally:
        probe.caller.heard = None
    tellers = sum(any(form in message for form in forms_of(sample.secret)) for message in heard)
    require(tellers == 0, f"{tellers} of {len(heard)} messages hold the secret in plain sight")
    success(stream, "Apply with a secret")


def forms_of(secret: str) -> tuple[bytes, ...]:
    """Answer how a secret may look in a message."""
    raw = secret.encode()
    return raw, json.dumps(secret)[1:-1].encode(), base64.b64encode(raw).rstrip(b"=")


@CHECKS.add("secret")
async def missing_secret_fails_clean(probe: Probe) -> None:
    """A secret that cannot be had fails the step, or refuses it, before anything is made."""
    sample = probe.sample("secret")
    work = probe.new_work(replace(sample, inputs=_lost(sample.inputs)))
    if work.sample.inputs == sample.inputs:
        raise SkippedError("the secret sample refers to no secret")
    stream = await probe.apply(work)
    require(not succeeded(stream), "Apply succeeded although its secret cannot be had")
    if stream.refusal is None:
        outcome = stream.result.outcome if stream.result is not None else None
        clean = outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
        require(clean, f"a secret that cannot be had must fail the step clean, but {told(stream)}")
    await nothing_made(probe, work, "a secret that cannot be had", clean_failure=True)
    success(await probe.destroy(work, work.handle), "Destroy after a secret that could not be had")


def _lost(value: Json) -> Json:
    """Let every reference name a secret that is not there."""
    match value:
        case SecretRef(ref=ref):
            return SecretRef(f"{ref.partition(':')[0]}:conformance-no-such-secret")
        case Mapping():
            return {key: _lost(inner) for key, inner in value.items()}
        case list():
            return [_lost(inner) for inner in value]
    return value
