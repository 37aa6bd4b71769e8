"""What can go wrong, by whose fault it is.

Every room raises these; `enchain.process.statuses` turns them into gRPC statuses and back, in one table.
Nothing here knows gRPC. An error says what was wrong, where (`field`), and what to do about it (`remedy`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault in what was sent.

    Attributes:
        field: Path of the field, such as `inputs.size` or `steps.serve.inputs.run[2]`.
        description: What is wrong with it, as a sentence.
        reason: Stable UPPER_SNAKE code.
    """

    field: str
    description: str
    reason: str = "INVALID_FIELD"


class EnchainError(Exception):
    """An error with a stable reason, a precise place and a remedy.

    Attributes:
        reason: Stable UPPER_SNAKE code that programs compare.
        message: One sentence for people.
        remedy: What to do about it, as an imperative sentence; may be empty.
        metadata: Every dynamic part of the message, by name.
        violations: The faulty fields, where the caller sent some.
        retry_after: Seconds after which the same call may succeed; None where it will not by waiting.
    """

    default_reason = "ERROR"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        remedy: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.remedy = remedy
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata or {}))
        self.violations = tuple(violations)
        self.retry_after = retry_after


class CallerError(EnchainError):
    """The caller asked for something that cannot be had as asked."""

    default_reason = "CALLER_ERROR"


class InvalidArgumentError(CallerError):
    """What was sent is wrong by itself, whatever the state of the system."""

    default_reason = "INVALID_ARGUMENT"


class NotFoundError(CallerError):
    """What was named does not exist."""

    default_reason = "NOT_FOUND"


class AlreadyExistsError(CallerError):
    """What was to be made exists, and differs."""

    default_reason = "ALREADY_EXISTS"


class PreconditionError(CallerError):
    """The system is not in the state that the call needs; the remedy says how to get there."""

    default_reason = "FAILED_PRECONDITION"


class ConflictError(CallerError):
    """Somebody else was faster or holds the thing: read again, decide again."""

    default_reason = "CONFLICT"


class ForbiddenError(CallerError):
    """The caller may not do this."""

    default_reason = "PERMISSION_DENIED"


class UnauthenticatedError(CallerError):
    """The caller did not say who it is, or not credibly."""

    default_reason = "UNAUTHENTICATED"


class ExhaustedError(CallerError):
    """A bound is reached: a queue, a quota, a size."""

    default_reason = "RESOURCE_EXHAUSTED"


class DeadlineError(CallerError):
    """The time given is over, or too short to begin."""

    default_reason = "DEADLINE_EXCEEDED"


class UnimplementedError(CallerError):
    """The call or capability asked for does not exist here."""

    default_reason = "UNIMPLEMENTED"


class PeerError(EnchainError):
    """Another process did not do its part."""

    default_reason = "PEER_ERROR"


class UnavailableError(PeerError):
    """A peer cannot be reached now. Nothing is known to have happened."""

    default_reason = "UNAVAILABLE"


class UnsettledError(PeerError):
    """A peer did not answer a mutation: it may or may not have happened. Settle it by reading."""

    default_reason = "UNSETTLED"


class MalformedError(PeerError):
    """A peer or a stored value does not keep the contract."""

    default_reason = "MALFORMED"


class OurError(EnchainError):
    """enchain itself is wrong. It is a bug, and is logged as one."""

    default_reason = "INTERNAL"
