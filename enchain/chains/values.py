"""Values between their wire form (`enchain.v1.Value`) and plain Python.

Planes, SDK and client call it. Integers stay integers; a secret stays a reference; a hole stays a hole.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, struct_pb2

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.v1 import value_pb2

Json = Any
"""A JSON-like value: None, bool, int, float, str, list or dict of them, `SecretRef` or `TemplateText`."""

DEPTH_MAX = 24
"""How deep lists and maps may nest. protobuf's parsers give up at 100 messages; a level takes up to three."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret by reference, `STORE:NAME`. Only the engine instance that uses it resolves it."""

    ref: str


@dataclass(frozen=True, slots=True)
class EngineVariable:
    """A hole in a string that only the engine instance can fill, such as `${port}`."""

    name: str


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A string with holes: text and `EngineVariable`s in order."""

    parts: tuple[str | EngineVariable, ...]


def _refuse(field: str, description: str, reason: str = "INVALID_VALUE") -> InvalidArgumentError:
    fault = Violation(field, description, reason)
    return InvalidArgumentError(f"{field}: {description}", reason=reason, violations=[fault])


def to_python(  # noqa: PLR0911 - one return for each kind is the table that it is
    value: value_pb2.Value, *, field: str = "value", depth: int = 0
) -> Json:
    """Turn a wire value into plain Python.

    Raises:
        InvalidArgumentError: Its kind is unset, it nests too deep, or a number is not finite.
    """
    if depth > DEPTH_MAX:
        raise _refuse(field, f"lists and maps nest deeper than {DEPTH_MAX} levels", "TOO_DEEP")
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "bool_value" | "int_value" | "string_value" as kind:
            return getattr(value, kind)
        case "double_value":
            return _finite(value.double_value, field)
        case "list_value":
            items = value.list_value.values
            return [to_python(v, field=f"{field}[{i}]", depth=depth + 1) for i, v in enumerate(items)]
        case "map_value":
            return to_python_map(value.map_value.fields, field=field, depth=depth + 1)
        case "secret_value":
            return SecretRef(value.secret_value.ref)
        case "template_value":
            return TemplateText(tuple(_part(p) for p in value.template_value.parts))
    raise _refuse(field, "the value has no kind; set one, null_value for nothing")


def _part(part: value_pb2.TemplatePart) -> str | EngineVariable:
    return EngineVariable(part.variable) if part.WhichOneof("part") == "variable" else part.text


def _finite(number: float, field: str) -> float:
    if not math.isfinite(number):
        raise _refuse(field, "the number is not finite")
    return number


def to_value(  # noqa: C901, PLR0911 - one case for each kind is the table that it is
    plain: Json, *, field: str = "value", depth: int = 0
) -> value_pb2.Value:
    """Turn plain Python into a wire value.

    Raises:
        InvalidArgumentError: It holds what no `Value` can: other types, other keys than strings, integers
            beyond 64 bits, numbers that are not finite, or too many levels.
    """
    if depth > DEPTH_MAX:
        raise _refuse(field, f"lists and maps nest deeper than {DEPTH_MAX} levels", "TOO_DEEP")
    match plain:
        case None:
            return value_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return value_pb2.Value(bool_value=plain)
        case int():
            return value_pb2.Value(int_value=_int64(plain, field))
        case float():
            return value_pb2.Value(double_value=_finite(plain, field))
        case str():
            return value_pb2.Value(string_value=_text(plain, field))
        case list() | tuple():
            items = [to_value(v, field=f"{field}[{i}]", depth=depth + 1) for i, v in enumerate(plain)]
            return value_pb2.Value(list_value=value_pb2.ListValue(values=items))
        case Mapping():
            fields = to_value_map(plain, field=field, depth=depth + 1)
            return value_pb2.Value(map_value=value_pb2.MapValue(fields=fields))
        case SecretRef():
            return value_pb2.Value(secret_value=value_pb2.SecretRef(ref=plain.ref))
        case TemplateText():
            return value_pb2.Value(template_value=_template(plain, field))
    raise _refuse(field, f"a {type(plain).__name__} is no JSON value")


def _int64(number: int, field: str) -> int:
    if not INT64_MIN <= number <= INT64_MAX:
        raise _refuse(field, "the integer does not fit into 64 bits; send it as a string")
    return number


def _text(text: str, field: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _refuse(field, "the text is no valid Unicode") from error
    return text


def _template(template: TemplateText, field: str) -> value_pb2.Template:
    return value_pb2.Template(
        parts=[
            value_pb2.TemplatePart(text=_text(p, field))
            if isinstance(p, str)
            else value_pb2.TemplatePart(variable=p.name)
            for p in template.parts
        ]
    )


def to_python_map(
    values: Mapping[str, value_pb2.Value], *, field: str = "inputs", depth: int = 0
) -> dict[str, Json]:
    """Turn wire values by name into plain Python."""
    return {k: to_python(values[k], field=f"{field}.{k}", depth=depth) for k in sorted(values)}


def to_value_map(
    plain: Mapping[str, Json], *, field: str = "inputs", depth: int = 0
) -> dict[str, value_pb2.Value]:
    """Turn plain Python by name into wire values."""
    return {_key(k, field): to_value(v, field=f"{field}.{k}", depth=depth) for k, v in plain.items()}


def _key(key: Json, field: str) -> str:
    if not isinstance(key, str):
        raise _refuse(field, f"the key {key!r} is no string; put it in quotes")
    return _text(key, field)


def has_template(value: value_pb2.Value) -> bool:
    """Whether a value holds a hole anywhere. Requests may not."""
    match value.WhichOneof("kind"):
        case "template_value":
            return True
        case "list_value":
            return any(has_template(v) for v in value.list_value.values)
        case "map_value":
            return any(has_template(v) for v in value.map_value.fields.values())
    return False


def has_secret(plain: Json) -> bool:
    """Whether a plain value holds a secret reference anywhere."""
    if isinstance(plain, Mapping):
        return any(has_secret(v) for v in plain.values())
    if isinstance(plain, list | tuple):
        return any(has_secret(v) for v in plain)
    return isinstance(plain, SecretRef)


def json_bytes(values: Mapping[str, value_pb2.Value]) -> int:
    """Bytes that values take as canonical JSON: what budgets are counted in."""
    wire = json_format.MessageToDict(value_pb2.MapValue(fields=values))
    return len(json.dumps(wire, separators=(",", ":"), ensure_ascii=False).encode())


def from_struct(struct: struct_pb2.Struct) -> dict[str, Json]:
    """Turn a Struct (JSON Schemas travel as one) into plain Python, with whole numbers as integers."""
    return {k: _from_struct_value(v) for k, v in sorted(struct.fields.items())}


def _from_struct_value(value: struct_pb2.Value) -> Json:
    match value.WhichOneof("kind"):
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_struct_value(v) for v in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None


def to_struct(plain: Mapping[str, Json]) -> struct_pb2.Struct:
    """Turn plain JSON into a Struct.

    Raises:
        InvalidArgumentError: It holds what JSON cannot.
    """
    struct = struct_pb2.Struct()
    try:
        json_format.ParseDict(dict(plain), struct)
    except (json_format.ParseError, TypeError, ValueError) as error:
        raise _refuse("schema", f"this is no JSON: {error}") from error
    return struct
