"""Times between Python and the wire. The routing rooms call it; it never asks what time it is."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def stamp(moment: datetime) -> Timestamp:
    """Turn an aware datetime into a wire time."""
    wire = Timestamp()
    wire.FromDatetime(moment)
    return wire


def moment(wire: Timestamp) -> datetime:
    """Turn a wire time into an aware datetime in UTC."""
    return wire.ToDatetime(tzinfo=UTC)


def span(length: timedelta) -> Duration:
    """Turn a timedelta into a wire duration."""
    wire = Duration()
    wire.FromTimedelta(length)
    return wire


def length(wire: Duration) -> timedelta:
    """Turn a wire duration into a timedelta."""
    return wire.ToTimedelta()
