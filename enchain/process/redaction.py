"""The one redactor: blanks the fields that the contract marks as sensitive.

Logs, audit and terminals call it before a message leaves. It is driven by the `(enchain.v1.sensitive)` option
alone, so that a new field is covered by its declaration. It never changes the message it was given.
"""

from functools import lru_cache
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from enchain.v1 import annotations_pb2, value_pb2

REDACTED = "[redacted]"

M = TypeVar("M", bound=Message)


def redacted(message: M) -> M:
    """Answer a copy in which sensitive strings say `[redacted]` and other sensitive fields are gone.

    The keys of sensitive maps stay: they name inputs and outputs, and say which of them were there.
    """
    copy = type(message)()
    copy.CopyFrom(message)
    _redact(copy)
    return copy


def _redact(message: Message) -> None:
    for field, content in message.ListFields():
        if _is_sensitive(field):
            _blank(message, field, content)
        elif _is_map(field):
            _redact_map(field, content)
        elif field.message_type is not None:
            for part in content if field.is_repeated else [content]:
                _redact(part)


def _redact_map(field: FieldDescriptor, content: Any) -> None:
    if _value_field(field).message_type is not None:
        for key in list(content):
            _redact(content[key])


def _blank(message: Message, field: FieldDescriptor, content: Any) -> None:
    if _is_map(field):
        _blank_map(field, content)
    elif field.is_repeated and field.type == FieldDescriptor.TYPE_STRING:
        content[:] = [REDACTED] * len(content)
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field.name, REDACTED)
    else:
        message.ClearField(field.name)


def _blank_map(field: FieldDescriptor, content: Any) -> None:
    value = _value_field(field)
    for key in list(content):
        if value.type == FieldDescriptor.TYPE_STRING:
            content[key] = REDACTED
        elif value.message_type is value_pb2.Value.DESCRIPTOR:
            content[key].CopyFrom(value_pb2.Value(string_value=REDACTED))
        else:
            del content[key]


def _value_field(field: FieldDescriptor) -> FieldDescriptor:
    entry = field.message_type
    assert entry is not None, "a map is a repeated message in disguise"
    return entry.fields_by_name["value"]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@lru_cache(maxsize=4096)  # far more fields than the contract has; options are slow to read
def _is_sensitive(field: FieldDescriptor) -> bool:
    return field.GetOptions().Extensions[annotations_pb2.sensitive]
