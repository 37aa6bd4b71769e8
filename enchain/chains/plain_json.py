"""Messages as plain JSON data, as protobuf's own writer makes it, and several times as fast.

`enchain.chains.digests` calls it for every value of the store: folding and journaling spend most of their
time here. What each field needs is worked out once for each type. Messages of `google.protobuf`, and whatever
else has a form of its own in JSON, are left to protobuf's writer.
"""

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Convert = Callable[[Any], Any]
Fields = Mapping[int, tuple[str, Convert]]

_INT64 = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
_AS_THEY_ARE = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_BOOL}

_known: dict[str, Fields | None] = {}


def as_json(message: Message) -> Any:
    """Answer what `json_format.MessageToDict` answers; messages only share what never changes."""
    fields = _fields_of(message.DESCRIPTOR)
    if fields is None:
        return json_format.MessageToDict(message)
    answer = {}
    for field, value in message.ListFields():
        name, convert = fields[field.number]
        answer[name] = convert(value)
    return answer


def _fields_of(kind: Any) -> Fields | None:
    """What each field of a type needs; None where protobuf's own writer is needed."""
    name = kind.full_name
    if name not in _known:
        own = name.startswith("google.protobuf.") or kind.is_extendable
        floats = any(field.type == FieldDescriptor.TYPE_FLOAT for field in kind.fields)
        table = {field.number: (field.json_name, _convert(field)) for field in kind.fields}
        _known[name] = None if own or floats else table
    return _known[name]


def _convert(field: FieldDescriptor) -> Convert:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _of_map(*field.message_type.fields)
    one = _single(field)
    if not field.is_repeated:
        return one
    if field.cpp_type in _AS_THEY_ARE or (field.type == FieldDescriptor.TYPE_STRING):
        return list
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return _doubles
    return lambda values: [one(value) for value in values]


def _of_map(key: FieldDescriptor, value: FieldDescriptor) -> Convert:
    one = _single(value)
    if key.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda values: {str(at).lower(): one(values[at]) for at in values}
    return lambda values: {str(at): one(values[at]) for at in values}


def _single(field: FieldDescriptor) -> Convert:
    if field.enum_type is not None:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        if field.enum_type.full_name == "google.protobuf.NullValue":
            return lambda _: None
        return lambda number: names.get(number, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if field.cpp_type in _INT64:
        return str
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return _double
    return as_json if field.message_type is not None else _same


def _same(value: Any) -> Any:
    return value


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _doubles(values: Any) -> list[float | str]:
    return [_double(value) for value in values]
