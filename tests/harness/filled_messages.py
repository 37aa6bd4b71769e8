"""Messages of the kinds that are stored, filled in anyhow, for tests of what reads and writes them."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from enchain.engine.v1 import engine_pb2 as protocol_pb2
from enchain.v1 import (
    chain_pb2,
    forecast_pb2,
    learned_pb2,
    operation_pb2,
    presence_pb2,
    profile_pb2,
    recommendation_pb2,
    value_pb2,
    workload_pb2,
)

KINDS = [
    chain_pb2.Chain,
    forecast_pb2.Forecast,
    learned_pb2.ProfileStatistics,
    learned_pb2.RequestRateStatistics,
    operation_pb2.Operation,
    operation_pb2.OutboxEntry,
    operation_pb2.Resource,
    presence_pb2.RouterPresence,
    profile_pb2.PerformanceProfile,
    protocol_pb2.ApplyRequest,
    recommendation_pb2.Recommendation,
    value_pb2.Value,
    workload_pb2.Workload,
]
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(0, 20),
}
DEPTH_MAX = 4


def scalars(field: FieldDescriptor) -> st.SearchStrategy[object]:
    """Values that a field which is no message may hold."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=5)
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.text(st.characters(codec="utf-8"), max_size=5)
    return INTEGERS[field.cpp_type]


@st.composite
def filled(draw: st.DrawFn, kind: Any, depth: int = 0) -> Message:
    """A message with some fields filled in anyhow."""
    message = GetMessageClass(kind)()
    if kind.full_name == "google.protobuf.Timestamp":
        message.FromSeconds(draw(st.integers(0, 2**33)))  # type: ignore[attr-defined]  # it is a Timestamp
    elif kind.full_name == "google.protobuf.Duration":
        message.FromMicroseconds(draw(st.integers(-(2**50), 2**50)))  # type: ignore[attr-defined]  # likewise
    elif kind.full_name == "google.protobuf.Struct":
        content = st.dictionaries(
            st.text(max_size=3), st.none() | st.floats(-9, 9) | st.booleans(), max_size=2
        )
        message.update(draw(content))  # type: ignore[attr-defined]  # likewise
    elif not kind.full_name.startswith("google.protobuf."):
        numbers = st.integers(0, max(len(kind.fields) - 1, 0))
        for number in draw(st.lists(numbers, unique=True, max_size=min(6, len(kind.fields)))):
            draw(_fill(message, kind.fields[number], depth))
    return message


@st.composite
def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    there = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        for at in draw(st.lists(scalars(key), max_size=3)):
            if value.message_type is None:
                there[at] = draw(scalars(value))
            elif depth < DEPTH_MAX:
                there[at].CopyFrom(draw(filled(value.message_type, depth + 1)))
    elif field.message_type is not None:
        if depth >= DEPTH_MAX:
            return
        if field.is_repeated:
            there.extend(draw(st.lists(filled(field.message_type, depth + 1), max_size=2)))
        else:
            there.CopyFrom(draw(filled(field.message_type, depth + 1)))
            there.SetInParent()
    elif field.is_repeated:
        there.extend(draw(st.lists(scalars(field), max_size=3)))
    else:
        setattr(message, field.name, draw(scalars(field)))
