"""What went wrong between us and etcd, by what it means for the call. Pure.

The adapter calls it with every gRPC error, which goes no further than here. The one question that matters:
has the thing certainly not been done? Only then is it `UnavailableError`; a mutation of which that is not
certain is `UnsettledError`.
"""

from dataclasses import dataclass

import grpc

from enchain.chains.errors import (
    EnchainError,
    ForbiddenError,
    OurError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
    UnsettledError,
)

RETRY_AFTER_SECONDS = 1.0


class UnreachableError(UnavailableError):
    """No connection could be made: nothing left this process, and another member may be tried."""

    default_reason = "STORE_UNREACHABLE"


class StaleTokenError(UnauthenticatedError):
    """The member does not take our token any more, and has done nothing; a new token may be got."""

    default_reason = "STORE_TOKEN_STALE"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message of etcd means. All of them say that nothing was done.

    Attributes:
        text: Part of etcd's message.
        kind: Our error.
        reason: Its reason.
        remedy: What to do.
    """

    text: str
    kind: type[EnchainError]
    reason: str
    remedy: str = ""


MEANINGS = (
    Meaning("invalid auth token", StaleTokenError, "STORE_TOKEN_STALE"),
    Meaning("revision of auth store is old", StaleTokenError, "STORE_TOKEN_STALE"),
    Meaning(
        "permission denied", ForbiddenError, "STORE_PERMISSION", "Grant the etcd user a role for this key."
    ),
    Meaning(
        "authentication failed", UnauthenticatedError, "STORE_LOGIN", "Check the etcd user and password."
    ),
    Meaning("user name is empty", UnauthenticatedError, "STORE_LOGIN", "Say which etcd user to be."),
    Meaning("authentication is not enabled", UnauthenticatedError, "STORE_LOGIN", "Leave out the etcd user."),
    Meaning("requested lease not found", PreconditionError, "LEASE_GONE"),
    Meaning("required revision is a future revision", UnavailableError, "STORE_BEHIND"),
    Meaning(
        "database space exceeded",
        UnavailableError,
        "STORE_FULL",
        "Compact and defragment etcd, or raise its quota; then disarm the alarm.",
    ),
    Meaning("too many requests", UnavailableError, "STORE_BUSY"),
    Meaning("no leader", UnavailableError, "STORE_NO_LEADER"),
    Meaning("duplicate key given", OurError, "BAD_TRANSACTION"),
    Meaning("too many operations", OurError, "BAD_TRANSACTION"),
    Meaning("request is too large", OurError, "BAD_TRANSACTION"),
    Meaning("key is not provided", OurError, "BAD_TRANSACTION"),
)

NEVER_LEFT = ("failed to connect to all addresses", "DNS resolution failed")
"""How gRPC says that it had no connection. Its own retries are off, so nothing was sent."""

COMPACTED_TEXT = "required revision has been compacted"


def is_compacted(details: str) -> bool:
    """Say whether a read failed because its revision is compacted."""
    return COMPACTED_TEXT in details


def unreachable(message: str) -> UnreachableError:
    """Answer the error for a call that never left."""
    return UnreachableError(
        message, remedy="Check that etcd runs and that its address is right.", retry_after=RETRY_AFTER_SECONDS
    )


def explain(code: grpc.StatusCode, details: str, *, mutation: bool) -> EnchainError:
    """Turn a gRPC status into one of our errors.

    Args:
        code: The status.
        details: Its message.
        mutation: The call would have changed something.
    """
    for meaning in MEANINGS:
        if meaning.text in details:
            return meaning.kind(
                f"etcd refused: {details}",
                reason=meaning.reason,
                remedy=meaning.remedy,
                retry_after=RETRY_AFTER_SECONDS if meaning.kind is UnavailableError else None,
            )
    said = f"{code.name}: {details}"
    if code is grpc.StatusCode.UNAVAILABLE and details.startswith(NEVER_LEFT):
        return unreachable(f"etcd cannot be reached ({said})")
    if code in _REFUSALS:
        return OurError(f"etcd refused what it should not have been asked ({said})", reason="STORE_REFUSED")
    return explain_silence(said, mutation=mutation)


_REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.OUT_OF_RANGE)


def explain_silence(said: str, *, mutation: bool) -> EnchainError:
    """Answer the error for a call that may or may not have reached etcd."""
    if mutation:
        return UnsettledError(
            f"etcd did not answer a change, which may have been made ({said})", reason="STORE_UNSETTLED"
        )
    return UnavailableError(
        f"etcd did not answer ({said})", reason="STORE_SILENT", retry_after=RETRY_AFTER_SECONDS
    )
