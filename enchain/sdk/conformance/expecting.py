"""What checks expect of an engine, in words that they share. Every function fails the check, or answers."""

from collections.abc import Awaitable, Iterable

import grpc

from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.calling import RefusedError, Stream
from enchain.sdk.conformance.catalogue import require
from enchain.sdk.conformance.probe import Probe, Work, succeeded, told
from enchain.v1 import diagnostic_pb2
from enchain.v1 import engine_pb2 as registry_pb2

ABORTED = grpc.StatusCode.ABORTED
STALE = "STALE_TOKEN"

_STATES = engine_pb2.GetStepResponse.State
_PRESENCES = engine_pb2.ObserveResponse.Presence


def success(stream: Stream, what: str) -> engine_pb2.StepResult:
    """Expect a success and answer the result."""
    require(succeeded(stream), f"{what}: {told(stream)}")
    assert stream.result is not None
    return stream.result


def refusal(stream: Stream, what: str, *codes: grpc.StatusCode, reason: str = "") -> RefusedError:
    """Expect that a stream ended with one of some statuses, and with a reason where one is given."""
    found = stream.refusal
    names = " or ".join(code.name for code in codes)
    require(found is not None, f"{what} must be refused with {names}, but {told(stream)}")
    assert found is not None
    _judge(found, what, codes, reason)
    return found


async def refused(
    call: Awaitable[object], what: str, *codes: grpc.StatusCode, reason: str = ""
) -> RefusedError:
    """Expect that a unary call ends with one of some statuses, and with a reason where one is given."""
    try:
        await call
    except RefusedError as found:
        _judge(found, what, codes, reason)
        return found
    names = " or ".join(code.name for code in codes)
    require(False, f"{what} must be refused with {names}, but it was answered")
    raise AssertionError


def _judge(found: RefusedError, what: str, codes: tuple[grpc.StatusCode, ...], reason: str) -> None:
    names = " or ".join(code.name for code in codes)
    require(found.code in codes, f"{what} must be refused with {names}, but {found}")
    require(
        not reason or found.told.reason == reason,
        f"{what} must be refused with the reason {reason} in a google.rpc.ErrorInfo, but {found}",
    )


async def nothing_made(probe: Probe, work: Work, what: str, *, clean_failure: bool = False) -> None:
    """Expect that a refused Apply left nothing: its key was not begun, and nothing stands.

    With `clean_failure` it may also have been begun and have failed without making anything.
    """
    answer = await probe.get_step(work)
    clean = (
        answer.state == _STATES.STATE_FINISHED
        and answer.result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    )
    require(
        answer.state == _STATES.STATE_ABSENT or (clean_failure and clean),
        f"after {what}, GetStep must say STATE_ABSENT, but it says {_STATES.Name(answer.state)}",
    )
    await nothing_stands(probe, work, what)


async def nothing_stands(
    probe: Probe, work: Work, what: str, handle: diagnostic_pb2.Handle | None = None
) -> None:
    """Expect that nothing stands, where the engine can look."""
    if not probe.can(registry_pb2.CAPABILITY_OBSERVE):
        return
    answer = await probe.observe(work, handle)
    require(
        answer.presence == _PRESENCES.PRESENCE_ABSENT,
        f"after {what}, Observe must say PRESENCE_ABSENT, but it says {_PRESENCES.Name(answer.presence)}",
    )


def names_field(path: str, wanted: str, text: str) -> bool:
    """Say whether a complaint names a field: by its path, or by its parent's path and its name."""
    parent, _, name = wanted.rpartition(".")
    return path == wanted or (path == parent and name in text)


def complaints_of(stream: Stream) -> list[tuple[str, str]]:
    """Answer the paths and texts with which an Apply complains, as a status or as a failed result."""
    if stream.refusal is not None:
        return [(fault.field, fault.description) for fault in stream.refusal.told.violations]
    return paths_of(stream.result.diagnostics if stream.result is not None else ())


def paths_of(diagnostics: Iterable[diagnostic_pb2.Diagnostic]) -> list[tuple[str, str]]:
    """Answer the paths and texts of diagnostics."""
    return [(found.path, f"{found.summary} {found.detail}") for found in diagnostics]
