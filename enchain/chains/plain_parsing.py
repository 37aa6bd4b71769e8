"""Ordinary JSON values into messages, several times as fast as protobuf's own parser.

`enchain.state.codec` tries it first. It takes only what our own writer writes: everything else, a fault of
any kind included, makes it give up, and protobuf's parser then decides what the value says and what is wrong
with it. What each field needs is worked out once for each type.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Put = Callable[[Message, Any], None]
_TIMES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}

_LONG = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What parsing needs to know of a type.

    Attributes:
        fields: What puts the value of each field, by its name in JSON.
        alternatives: Names of fields of which only one may be given.
    """

    fields: Mapping[str, Put]
    alternatives: Sequence[frozenset[str]]


_known: dict[str, _Kind] = {}


class NotPlainError(Exception):
    """The value is none of the ordinary ones; nothing is said of whether it is right."""


def parse_plain(value: bytes, message: Message) -> bool:
    """Fill an empty message from JSON; false where that must be left to protobuf's parser.

    Where it is false the message may be filled in part.
    """
    try:
        data = json.loads(value.decode(), object_pairs_hook=_object, parse_constant=_give_up)
        _fill(message, data)
    except (NotPlainError, json_format.Error, ValueError, TypeError, OverflowError, RecursionError):
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotPlainError
    return found


def _give_up(_: object) -> None:
    raise NotPlainError


def _fill(message: Message, data: Any) -> None:
    kind = _kind_of(message.DESCRIPTOR)
    if type(data) is not dict:
        raise NotPlainError
    for name, value in data.items():
        put = kind.fields.get(name)
        if put is None:
            raise NotPlainError
        put(message, value)
    for names in kind.alternatives:
        if len(names & data.keys()) > 1:
            raise NotPlainError


def _kind_of(descriptor: Any) -> _Kind:
    name = descriptor.full_name
    if name not in _known:
        alternatives = (frozenset(f.json_name for f in oneof.fields) for oneof in descriptor.oneofs)
        _known[name] = _Kind(
            {} if descriptor.is_extendable else {f.json_name: _put(f) for f in descriptor.fields},
            [names for names in alternatives if len(names) > 1],
        )
    return _known[name]


def _put(field: FieldDescriptor) -> Put:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _put_map(field)
    if field.message_type is not None:
        return _put_messages(field) if field.is_repeated else _put_message(field)
    name, read = field.name, _reader(field)
    if not field.is_repeated:
        return lambda message, value: setattr(message, name, read(value))

    def put(message: Message, value: Any) -> None:
        if type(value) is not list:
            raise NotPlainError
        getattr(message, name).extend([read(each) for each in value])

    return put


def _put_message(field: FieldDescriptor) -> Put:
    name, fill = field.name, _filler(field.message_type)

    def put(message: Message, value: Any) -> None:
        there = getattr(message, name)
        there.SetInParent()
        fill(there, value)

    return put


def _put_messages(field: FieldDescriptor) -> Put:
    name, fill = field.name, _filler(field.message_type)

    def put(message: Message, value: Any) -> None:
        if type(value) is not list:
            raise NotPlainError
        there = getattr(message, name)
        for each in value:
            fill(there.add(), each)

    return put


def _put_map(field: FieldDescriptor) -> Put:
    assert field.message_type is not None
    key, content = field.message_type.fields
    name = field.name
    if key.type != FieldDescriptor.TYPE_STRING:
        return lambda _, value: _give_up(value)
    fill = None if content.message_type is None else _filler(content.message_type)
    read = _same if fill is not None else _reader(content)

    def put(message: Message, value: Any) -> None:
        if type(value) is not dict:
            raise NotPlainError
        there = getattr(message, name)
        for at, each in value.items():
            if fill is None:
                there[at] = read(each)
            else:
                fill(there[at], each)

    return put


def _filler(kind: Any) -> Callable[[Any, Any], None]:
    """What fills a message of a type; those that have a form of their own are left to protobuf's parser."""
    if kind.full_name in _TIMES:
        return _read_time
    return _read_own if kind.full_name.startswith("google.protobuf.") else _fill


def _read_own(message: Any, value: Any) -> None:
    json_format.ParseDict(value, message)


def _read_time(message: Any, value: Any) -> None:
    _text(value)
    message.FromJsonString(value)


def _reader(field: FieldDescriptor) -> Callable[[Any], Any]:
    """What turns JSON into one value of a field that is no message."""
    if field.enum_type is not None:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return lambda value: _enum(numbers, value)
    return _READERS.get(field.type, _give_up)


def _same(value: Any) -> Any:
    return value


def _enum(numbers: Mapping[str, int], value: Any) -> int:
    found = numbers.get(value)
    if found is None:
        raise NotPlainError
    return found


def _text(value: Any) -> str:
    if type(value) is not str:
        raise NotPlainError
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise NotPlainError
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise NotPlainError
    return value


def _long(value: Any) -> int:
    """64-bit numbers are written as strings."""
    if type(value) is not str or not _LONG.fullmatch(value):
        raise NotPlainError
    return int(value)


def _double(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise NotPlainError
    number = float(value)
    if not math.isfinite(number):
        raise NotPlainError
    return number


_READERS: Mapping[int, Callable[[Any], Any]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_INT32: _integer,
    FieldDescriptor.TYPE_SINT32: _integer,
    FieldDescriptor.TYPE_UINT32: _integer,
    FieldDescriptor.TYPE_INT64: _long,
    FieldDescriptor.TYPE_SINT64: _long,
    FieldDescriptor.TYPE_UINT64: _long,
    FieldDescriptor.TYPE_DOUBLE: _double,
}
"""By the type of the field; of any other type nothing is plain."""
