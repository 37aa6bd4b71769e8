"""Timing: bounds and defaults of timeouts and retries, for workloads and chains alike.

Deadlines themselves are reckoned by the router (`dataplane.routing`); nothing here knows what time it is.
"""

from datetime import timedelta

from google.protobuf import duration_pb2

from enchain.chains.errors import Violation
from enchain.v1 import workload_pb2

OPERATION_DEFAULT = timedelta(hours=1)
TIMEOUT_MIN = timedelta(seconds=1)
TIMEOUT_MAX = timedelta(days=7)
ATTEMPTS_DEFAULT, ATTEMPTS_MAX = 3, 10
BACKOFF_INITIAL = timedelta(seconds=1)
BACKOFF_MAX = timedelta(seconds=30)


def duration(of: timedelta) -> duration_pb2.Duration:
    """A duration as it travels."""
    message = duration_pb2.Duration()
    message.FromTimedelta(of)
    return message


def with_retry_defaults(retry: workload_pb2.Retry) -> workload_pb2.Retry:
    """Fill in what a retry leaves open."""
    full = workload_pb2.Retry()
    full.CopyFrom(retry)
    full.max_attempts = retry.max_attempts or ATTEMPTS_DEFAULT
    if not retry.HasField("initial_backoff"):
        full.initial_backoff.CopyFrom(duration(BACKOFF_INITIAL))
    if not retry.HasField("max_backoff"):
        longest = max(BACKOFF_MAX, full.initial_backoff.ToTimedelta())
        full.max_backoff.CopyFrom(duration(longest))
    return full


def timeout_faults(timeout: duration_pb2.Duration, field: str) -> list[Violation]:
    """Answer what is wrong with a timeout that was given."""
    try:
        given = timeout.ToTimedelta()
    except (OverflowError, ValueError):
        given = timedelta.max
    if TIMEOUT_MIN <= given <= TIMEOUT_MAX:
        return []
    told = f"write a duration from 1 s to {TIMEOUT_MAX.days} days"
    return [Violation(field, told, "OUT_OF_RANGE")]


def retry_faults(retry: workload_pb2.Retry, field: str) -> list[Violation]:
    """Answer what is wrong with a retry that was given."""
    found = []
    if not 0 <= retry.max_attempts <= ATTEMPTS_MAX:
        told = f"write 1 to {ATTEMPTS_MAX} attempts, the first included"
        found.append(Violation(f"{field}.max_attempts", told, "OUT_OF_RANGE"))
    for name, backoff in (("initial_backoff", retry.initial_backoff), ("max_backoff", retry.max_backoff)):
        if backoff.seconds < 0 or backoff.nanos < 0 or backoff.seconds > TIMEOUT_MAX.total_seconds():
            found.append(Violation(f"{field}.{name}", "write a duration of 0 s or more", "OUT_OF_RANGE"))
    if not found and retry.HasField("max_backoff"):
        full = with_retry_defaults(retry)
        if full.initial_backoff.ToTimedelta() > full.max_backoff.ToTimedelta():
            told = "it is shorter than the first backoff"
            found.append(Violation(f"{field}.max_backoff", told, "OUT_OF_RANGE"))
    return found
