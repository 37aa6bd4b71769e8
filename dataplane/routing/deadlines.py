"""Deadline and retry arithmetic of operations and steps.

The pipeline machine and admission call it. Now and the dice are arguments: `jitter` is a number in [0, 1).
"""

from datetime import datetime, timedelta

from dataplane.routing.times import length, moment
from enchain.chains.errors import DeadlineError, Violation
from enchain.v1 import chain_pb2, operation_pb2, workload_pb2

TIMEOUT_DEFAULT = timedelta(hours=1)
"""How long an operation may take where neither request nor workload says."""

TIMEOUT_MIN = timedelta(seconds=1)

STOP_GRACE = timedelta(seconds=30)
"""How long after its deadline a step that was told to stop may take to say how it ended."""

COMPENSATION_MIN = timedelta(minutes=5)
"""Undoing has a time budget of its own: as long as the chain allows an operation, and at least this."""

ASK_INITIAL = timedelta(milliseconds=500)
ASK_MAX = timedelta(seconds=15)
"""Backoff of asking again what became of a step."""

RETRY_ATTEMPTS = 3
RETRY_INITIAL = timedelta(seconds=1)
RETRY_MAX = timedelta(seconds=30)

DOUBLINGS_MAX = 20


def backoff(attempt: int, initial: timedelta, maximum: timedelta, jitter: float) -> timedelta:
    """Full jitter: a random part of `initial` doubled `attempt - 1` times, at most `maximum`."""
    grown = initial.total_seconds() * 2 ** min(max(attempt - 1, 0), DOUBLINGS_MAX)
    return timedelta(seconds=min(grown, maximum.total_seconds()) * jitter)


def ask_backoff(asks: int, jitter: float) -> timedelta:
    """How long to wait before asking again; never less than a tenth of the longest for that count."""
    grown: timedelta = min(ASK_INITIAL * (2 ** min(max(asks - 1, 0), DOUBLINGS_MAX)), ASK_MAX)
    return grown * (0.1 + 0.9 * jitter)


def attempts_max(retry: workload_pb2.Retry) -> int:
    """Attempts in all."""
    return retry.max_attempts or RETRY_ATTEMPTS


def retry_backoff(retry: workload_pb2.Retry, attempt: int, jitter: float) -> timedelta:
    """How long to wait after a failed attempt."""
    initial = length(retry.initial_backoff) if retry.HasField("initial_backoff") else RETRY_INITIAL
    maximum = length(retry.max_backoff) if retry.HasField("max_backoff") else RETRY_MAX
    return backoff(attempt, initial, maximum, jitter)


def operation_timeout(asked: timedelta | None, chain: chain_pb2.Chain | None) -> timedelta:
    """How long an operation may take.

    Raises:
        DeadlineError: What was asked for is shorter than a second or longer than the workload allows.
    """
    has_own = chain is not None and chain.HasField("timeout")
    allowed = length(chain.timeout) if chain is not None and has_own else TIMEOUT_DEFAULT
    if asked is None:
        return allowed
    if asked < TIMEOUT_MIN:
        raise _refuse(f"a timeout of {asked.total_seconds():g} s is too short", "DEADLINE_TOO_SHORT", allowed)
    if asked > allowed:
        raise _refuse(f"a timeout of {asked.total_seconds():g} s is too long", "DEADLINE_TOO_LONG", allowed)
    return asked


def _refuse(told: str, reason: str, allowed: timedelta) -> DeadlineError:
    remedy = f"Ask for {TIMEOUT_MIN.total_seconds():g} to {allowed.total_seconds():g} s, or leave it out."
    return DeadlineError(
        told,
        reason=reason,
        remedy=remedy,
        metadata={"allowed_seconds": f"{allowed.total_seconds():g}"},
        violations=[Violation("timeout", told, reason)],
    )


def step_deadline(
    operation: operation_pb2.Operation, step: operation_pb2.StepRun, chain_step: chain_pb2.ChainStep | None
) -> datetime:
    """When the attempt at hand must have ended: the operation's deadline, or the step's own if earlier."""
    whole = moment(operation.deadline)
    if chain_step is None or not chain_step.HasField("timeout") or not step.HasField("start_time"):
        return whole
    return min(whole, moment(step.start_time) + length(chain_step.timeout))


def compensation_deadline(chain: chain_pb2.Chain | None, now: datetime) -> datetime:
    """When undoing must have ended."""
    return now + max(operation_timeout(None, chain), COMPENSATION_MIN)
