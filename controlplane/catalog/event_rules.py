"""What a planned event must be. Pure.

`controlplane.catalog.events` calls it before it reads anything.
"""

import math
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.names import EVENT_TYPE, violation_of
from enchain.v1 import event_pb2

UPLIFT_MAX = 1000.0
DESCRIPTION_CHARACTERS_MAX = 1024

SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999, which is the last that RFC 3339 can write."""

NANOS_MAX = 999_999_999


def check(event: event_pb2.PlannedEvent) -> None:
    """Check what people write of an event.

    Raises:
        InvalidArgumentError: Something is wrong; every fault is listed.
    """
    faults = list(_faults(event))
    if faults:
        raise InvalidArgumentError(faults[0].description, reason=faults[0].reason, violations=faults)


def _faults(event: event_pb2.PlannedEvent) -> Iterable[Violation]:
    kind = violation_of(EVENT_TYPE, event.type, "event.type")
    if kind:
        yield kind
    if len(event.description) > DESCRIPTION_CHARACTERS_MAX:
        told = f"it has more than {DESCRIPTION_CHARACTERS_MAX} characters"
        yield Violation("event.description", told, "TOO_LONG")
    times = [*_time_faults(event, "start_time"), *_time_faults(event, "end_time")]
    yield from times
    if not times and _nanoseconds(event.end_time) <= _nanoseconds(event.start_time):
        yield Violation("event.end_time", "the end is not after the start", "OUT_OF_RANGE")
    if event.HasField("expected_uplift"):
        yield from _uplift_faults(event.expected_uplift)


def _time_faults(event: event_pb2.PlannedEvent, field: str) -> Iterable[Violation]:
    time: Timestamp = getattr(event, field)
    what = field.removesuffix("_time")
    if not event.HasField(field):  # type: ignore[arg-type]  # its stub wants a literal
        yield Violation(f"event.{field}", f"the {what} is missing", "REQUIRED")
    elif not (0 <= time.seconds <= SECONDS_MAX and 0 <= time.nanos <= NANOS_MAX):
        yield Violation(f"event.{field}", f"the {what} is not between 1970 and 9999", "OUT_OF_RANGE")


def _uplift_faults(uplift: float) -> Iterable[Violation]:
    if not math.isfinite(uplift):
        yield Violation("event.expected_uplift", "the uplift is not a finite number", "NOT_FINITE")
    elif not 0 < uplift <= UPLIFT_MAX:
        told = (
            f"the uplift {uplift:g} is not above 0 and at most {UPLIFT_MAX:g}; "
            "it is what demand is multiplied by: 3 is three times as much"
        )
        yield Violation("event.expected_uplift", told, "OUT_OF_RANGE")


def _nanoseconds(time: Timestamp) -> int:
    return time.seconds * 1_000_000_000 + time.nanos
