"""Errors and gRPC statuses: one table, both ways.

Servers turn an `EnchainError` into a `google.rpc.Status` with `abort`; clients turn the status back with
`from_rpc_error`, and hold the same class with the same parts. It is part of the small base install: grpc and
Google's error messages, nothing else.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from enchain.chains.errors import (
    AlreadyExistsError,
    CallerError,
    ConflictError,
    DeadlineError,
    EnchainError,
    ExhaustedError,
    ForbiddenError,
    InvalidArgumentError,
    MalformedError,
    NotFoundError,
    OurError,
    PeerError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    UnsettledError,
    Violation,
)

DOMAIN = "enchain"
DETAILS_KEY = "grpc-status-details-bin"

DETAILS_BYTES_MAX = 5 * 1024
"""What the details may take: peers with default settings refuse trailers above 8 KiB, base64 included."""

MESSAGE_CHARACTERS_MAX = 1024
TEXT_CHARACTERS_MAX = 512

TABLE: tuple[tuple[type[EnchainError], grpc.StatusCode], ...] = (
    (InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (PreconditionError, grpc.StatusCode.FAILED_PRECONDITION),
    (ConflictError, grpc.StatusCode.ABORTED),
    (ForbiddenError, grpc.StatusCode.PERMISSION_DENIED),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (ExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (UnimplementedError, grpc.StatusCode.UNIMPLEMENTED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
    # Not UNAVAILABLE: that invites every client on the way to repeat what may have happened.
    (UnsettledError, grpc.StatusCode.UNKNOWN),
    (MalformedError, grpc.StatusCode.DATA_LOSS),
    (OurError, grpc.StatusCode.INTERNAL),
    # The bases, for errors that are no more precise than whose fault they are.
    (CallerError, grpc.StatusCode.INVALID_ARGUMENT),
    (PeerError, grpc.StatusCode.UNAVAILABLE),
    (EnchainError, grpc.StatusCode.INTERNAL),
)
"""Most precise first. The first row with a code says what that code becomes on the client."""

_FOREIGN: dict[grpc.StatusCode, type[EnchainError]] = {
    grpc.StatusCode.CANCELLED: UnsettledError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    # Without our own words beside it, the peer (or a proxy on the way) failed: it is not known to be our bug.
    grpc.StatusCode.INTERNAL: UnsettledError,
}


def code_of(error: EnchainError) -> grpc.StatusCode:
    """Answer the code of an error."""
    return next(code for kind, code in TABLE if isinstance(error, kind))


def to_status(error: EnchainError) -> status_pb2.Status:
    """Write an error down, cut so that it fits into trailers."""
    status = status_pb2.Status(
        code=code_of(error).value[0], message=_cut(error.message, MESSAGE_CHARACTERS_MAX)
    )
    metadata = {key: _cut(value) for key, value in error.metadata.items()}
    if error.remedy:
        metadata["remedy"] = _cut(error.remedy)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    for detail in _details(error, info):
        status.details.add().Pack(detail)
    _fit(status, error, info)
    return status


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: EnchainError) -> NoReturn:
    """End a call with an error; what was to be sent in trailers is sent too."""
    status = to_status(error)
    trailers = [(key, value) for key, value in context.trailing_metadata() or () if key != DETAILS_KEY]
    await context.abort(
        code_of(error), status.message, (*trailers, (DETAILS_KEY, status.SerializeToString()))
    )


def from_rpc_error(error: grpc.aio.AioRpcError) -> EnchainError:
    """Rebuild the error that the server raised; make the best of a status without details."""
    status = _status_of(error)
    info, found = error_details_pb2.ErrorInfo(), False
    violations: list[Violation] = []
    retry_after: float | None = None
    for detail in status.details:
        found = detail.Unpack(info) or found
        violations += _violations(detail)
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    metadata = dict(info.metadata)
    return _kind_of(error.code(), ours=found and info.domain == DOMAIN)(
        status.message or error.details() or error.code().name,
        reason=info.reason or error.code().name,
        remedy=metadata.pop("remedy", ""),
        metadata=metadata,
        violations=violations,
        retry_after=retry_after,
    )


def _kind_of(code: grpc.StatusCode, *, ours: bool) -> type[EnchainError]:
    if not ours and code in _FOREIGN:
        return _FOREIGN[code]
    return next((kind for kind, known in TABLE if known is code), UnsettledError)


def _details(error: EnchainError, info: error_details_pb2.ErrorInfo) -> Iterable[Message]:
    yield info
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after * 1e9))
        yield error_details_pb2.RetryInfo(retry_delay=delay)
    if isinstance(error, PreconditionError):
        yield error_details_pb2.PreconditionFailure(
            violations=[
                error_details_pb2.PreconditionFailure.Violation(
                    type=error.reason, subject=_subject(error), description=_cut(error.message)
                )
            ]
        )
    if isinstance(error, ExhaustedError):
        yield error_details_pb2.QuotaFailure(
            violations=[
                error_details_pb2.QuotaFailure.Violation(
                    subject=_subject(error), description=_cut(error.message)
                )
            ]
        )
    if error.violations:
        yield error_details_pb2.BadRequest(field_violations=map(_field_violation, error.violations))


def _subject(error: EnchainError) -> str:
    """Answer what the error is about: named so in its metadata, else its first field, else its reason."""
    named = error.metadata.get("subject") or next((fault.field for fault in error.violations), "")
    return _cut(named or error.reason)


def _field_violation(fault: Violation) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(
        field=_cut(fault.field), description=_cut(fault.description), reason=fault.reason
    )


def _violations(detail: Any) -> Iterable[Violation]:
    request = error_details_pb2.BadRequest()
    if detail.Unpack(request):
        for fault in request.field_violations:
            yield Violation(fault.field, fault.description, fault.reason or "INVALID_FIELD")


def _fit(status: status_pb2.Status, error: EnchainError, info: error_details_pb2.ErrorInfo) -> None:
    """Drop violations from the end, then metadata, until the details fit; say how many were dropped."""
    kept = len(error.violations)
    while status.ByteSize() > DETAILS_BYTES_MAX and kept > 1:
        kept //= 2
        info.metadata["violationsOmitted"] = str(len(error.violations) - kept)
        request = error_details_pb2.BadRequest(
            field_violations=map(_field_violation, error.violations[:kept])
        )
        status.details[0].Pack(info)
        status.details[-1].Pack(request)
    if status.ByteSize() > DETAILS_BYTES_MAX:
        for key in sorted(info.metadata, key=lambda name: len(info.metadata[name]), reverse=True):
            if key != "remedy" and status.ByteSize() > DETAILS_BYTES_MAX:
                del info.metadata[key]
                status.details[0].Pack(info)


def _cut(text: str, limit: int = TEXT_CHARACTERS_MAX) -> str:
    """Shorten what may repeat a caller's input. A lone surrogate could not be sent at all."""
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Read the rich status of the trailers; an empty one where there is none, or none that can be read."""
    trailers: Any = error.trailing_metadata()  # its stub says a single pair
    for key, value in trailers or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()
