"""What a planned event must be: every fault is found, and named by its field."""

import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.catalog.event_rules import DESCRIPTION_CHARACTERS_MAX, UPLIFT_MAX, check
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import event_pb2

START = Timestamp(seconds=1_800_000_000)
END = Timestamp(seconds=1_800_003_600)


def event(**fields: object) -> event_pb2.PlannedEvent:
    return event_pb2.PlannedEvent(**{"type": "campaign", "start_time": START, "end_time": END} | fields)  # type: ignore[arg-type]  # fields by name


def faults(message: event_pb2.PlannedEvent) -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgumentError) as caught:
        check(message)
    return [(fault.field, fault.reason) for fault in caught.value.violations]


@pytest.mark.parametrize("uplift", [None, 0.001, 0.5, 3.0, UPLIFT_MAX])
def test_what_can_be_meant_passes(uplift: float | None) -> None:
    check(event(expected_uplift=uplift))


@pytest.mark.parametrize("uplift", [0.0, -0.0, -1.0, 1000.5, math.inf, -math.inf, math.nan])
def test_an_uplift_is_a_factor_within_bounds(uplift: float) -> None:
    assert [field for field, _ in faults(event(expected_uplift=uplift))] == ["event.expected_uplift"]


@pytest.mark.parametrize("end", [START, Timestamp(seconds=START.seconds - 1), Timestamp(seconds=1)])
def test_the_end_is_after_the_start(end: Timestamp) -> None:
    assert faults(event(end_time=end)) == [("event.end_time", "OUT_OF_RANGE")]


def test_a_nanosecond_is_enough() -> None:
    check(event(end_time=Timestamp(seconds=START.seconds, nanos=1)))


@pytest.mark.parametrize(
    "time",
    [Timestamp(seconds=-1), Timestamp(seconds=253_402_300_800), Timestamp(seconds=1, nanos=10**9)],
)
def test_times_that_cannot_be_written_down_are_refused(time: Timestamp) -> None:
    assert faults(event(start_time=time)) == [("event.start_time", "OUT_OF_RANGE")]


@pytest.mark.parametrize("kind", ["Campaign", "-x", "x" * 64, "a b", "ä"])
def test_a_type_has_the_form_of_an_id(kind: str) -> None:
    assert faults(event(type=kind)) == [("event.type", "INVALID_ID")]


def test_all_faults_are_told_at_once() -> None:
    empty = event_pb2.PlannedEvent(
        description="x" * (DESCRIPTION_CHARACTERS_MAX + 1), expected_uplift=math.nan
    )

    assert faults(empty) == [
        ("event.type", "REQUIRED"),
        ("event.description", "TOO_LONG"),
        ("event.start_time", "REQUIRED"),
        ("event.end_time", "REQUIRED"),
        ("event.expected_uplift", "NOT_FINITE"),
    ]
