"""JSON Schemas: the short form that people write, the long form that is stored, inputs checked against it.

The control plane calls it when a workload is saved, routers at admission. Schemas are JSON Schema 2020-12; a
`$ref` may only lead within its own schema.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
from google.protobuf import struct_pb2

from enchain.chains import agreement
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.names import FIELD, violation_of
from enchain.chains.values import Json, from_struct, has_template, to_python_map, to_value_map
from enchain.v1 import value_pb2

Schema = Mapping[str, Json]

REF_DEPTH_MAX = 16
RESERVED_FIELDS = frozenset({"true", "false", "null", "in"})
"""Words that CEL cannot read after a dot."""

_INTEGER, _NUMBER = frozenset({"integer"}), frozenset({"number"})

_NAMED_PARTS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_PLAIN_PARTS = ("default", "const", "enum", "examples")

_NEAR = {
    "int": "integer",
    "str": "string",
    "text": "string",
    "bool": "boolean",
    "float": "number",
    "double": "number",
    "list": "array",
    "map": "object",
    "dict": "object",
}


def is_long(written: Schema) -> bool:
    """Whether a schema is written in the long form. `{type: string}` is a short form with an input `type`."""
    return (
        "$schema" in written or written.get("type") == "object" or isinstance(written.get("properties"), dict)
    )


def expand(written: Schema) -> dict[str, Json]:
    """Turn the short form, `{name: string, size: {type: string, default: small}}`, into the long one.

    Each input without a default is required, and others are refused. The long form is answered as it is.
    """
    if is_long(written):
        return {"type": "object", **written}
    properties = {name: {"type": of} if isinstance(of, str) else of for name, of in written.items()}
    required = [n for n, of in properties.items() if not (isinstance(of, Mapping) and "default" in of)]
    long: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        long["required"] = sorted(required)
    return long


def schema_of(written: struct_pb2.Struct | Schema) -> dict[str, Json]:
    """The long form of a schema as it travels."""
    return expand(from_struct(written) if isinstance(written, struct_pb2.Struct) else written)


def check_schema(schema: Schema, field: str, *, named: bool = False) -> list[Violation]:
    """Answer what is wrong with a schema in long form; with `named`, its fields must be readable by CEL.

    Its references are followed before anything is validated with it, for they could lead in a circle.
    """
    found = list(dict.fromkeys(_ref_faults(schema, schema, field)))
    found = found or list(dict.fromkeys(_grammar_faults(schema, field)))
    found = found or list(_pattern_faults(schema, field))
    if found:
        return found
    properties = schema.get("properties", {})
    if named:
        for name in properties:
            found += name_faults(name, f"{field}.{name}")
    if schema.get("type") != "object":
        found.append(Violation(field, "the schema must be of type object", "INVALID_SCHEMA"))
    for path, part in _parts(schema, field):
        if isinstance(part, Mapping) and "default" in part:
            target = {**part, "$defs": schema.get("$defs", {})}
            found += agreement.faults(target, part["default"], f"{path}.default")
    return found


def name_faults(name: str, field: str) -> list[Violation]:
    """Answer what is wrong with the name of an input, an output or a step."""
    if name in RESERVED_FIELDS:
        told = f"{name} cannot be used as a name, because expressions could not read it"
        return [Violation(field, told, "RESERVED_NAME")]
    fault = violation_of(FIELD, name, field)
    return [fault] if fault else []


def _grammar_faults(schema: Schema, field: str) -> Iterator[Violation]:
    for error in jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA).iter_errors(
        schema
    ):
        path = [p for p in error.absolute_path if p != "properties"]
        path = path[:-1] if path and path[-1] == "type" else path
        near = _NEAR.get(str(error.instance))
        told = (
            f"write {near}, not {error.instance}"
            if near
            else f"this is no JSON Schema: {error.message[:200]}"
        )
        yield Violation(agreement.join(field, path), told, "INVALID_SCHEMA")


def _pattern_faults(schema: Schema, field: str) -> Iterator[Violation]:
    for path, part in _parts(schema, field):
        if isinstance(part, Mapping):
            named = part.get("patternProperties", {})
            for pattern in (part.get("pattern", ""), *(named if isinstance(named, Mapping) else ())):
                try:
                    re.compile(pattern)
                except re.error as error:
                    yield Violation(path, f"{pattern} is no regular expression: {error}", "INVALID_SCHEMA")


def _parts(node: Json, field: str) -> Iterator[tuple[str, Json]]:
    """Every schema within a schema, with the path of the field it describes."""
    if isinstance(node, Mapping):
        yield field, node
        for key, below in node.items():
            if key in _NAMED_PARTS and isinstance(below, Mapping):
                inner = field if key == "properties" else f"{field}.{key}"
                for name, part in below.items():
                    yield from _parts(part, f"{inner}.{name}")
            elif key not in _PLAIN_PARTS:
                yield from _parts(below, f"{field}.{key}")
    elif isinstance(node, list):
        for index, below in enumerate(node):
            yield from _parts(below, f"{field}[{index}]")


def _ref_faults(node: Json, root: Schema, field: str) -> Iterator[Violation]:
    for path, part in _parts(node, field):
        for word in ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef"):
            if isinstance(part.get(word), str):
                yield Violation(path, f"{word} is not supported; write $ref with a #/ path", "INVALID_SCHEMA")
        ref = part.get("$ref")
        if isinstance(ref, str) and follow(part, root) is None:
            told = (
                f"$ref {ref} leads nowhere in this schema, or in a circle; write a path such as #/$defs/size"
            )
            yield Violation(path, told, "INVALID_SCHEMA")


def follow(schema: Json, root: Schema) -> Json | None:
    """Follow `$ref`s to the schema they lead to; None where they lead out, nowhere or in a circle."""
    for _ in range(REF_DEPTH_MAX):
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            return schema
        ref = schema["$ref"]
        if ref != "#" and not ref.startswith("#/"):
            return None
        schema = _pointed(root, [p for p in ref[1:].split("/") if p])
        if schema is None:
            return None
    return None


def _pointed(node: Json, path: Sequence[str]) -> Json | None:
    for name in path:
        plain = name.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and plain in node:
            node = node[plain]
        else:
            return None
    return node


def kinds_of(schema: Json, root: Schema) -> frozenset[str] | None:
    """JSON types that a schema lets through; None where it does not say."""
    schema = follow(schema, root)
    if not isinstance(schema, Mapping):
        return None
    named = schema.get("type")
    if named is not None:
        return frozenset([named] if isinstance(named, str) else named)
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return frozenset(agreement.kind_of(choice) for choice in choices)
    branches = [kinds_of(s, root) for s in schema.get("anyOf", schema.get("oneOf", ()))]
    if not branches or None in branches:
        return None
    return frozenset().union(*(kinds for kinds in branches if kinds))


def part_at(schema: Schema, path: Sequence[str]) -> Json:
    """The schema of a field within an object's schema; `{}`, which lets all through, where none is said."""
    node: Json = schema
    for name in path:
        node = follow(node, schema)
        node = _field(node, name) if isinstance(node, Mapping) else {}
    return node


def _field(schema: Schema, name: str) -> Json:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and name in properties:
        return properties[name]
    rest = schema.get("additionalProperties")
    return rest if isinstance(rest, Mapping) else {}


# --- inputs


def check_inputs(
    schema: struct_pb2.Struct | Schema, inputs: Mapping[str, value_pb2.Value], *, field: str = "inputs"
) -> dict[str, value_pb2.Value]:
    """Check what a request passes in, and answer it with the defaults filled in.

    Raises:
        InvalidArgumentError: It does not keep the schema, or holds a hole that only routers may make. Its
            violations name every fault, such as `inputs.size`.
    """
    long = schema_of(schema)
    holes = [name for name in sorted(inputs) if has_template(inputs[name])]
    found = [Violation(f"{field}.{n}", "a request may not hold a template", "NOT_ALLOWED") for n in holes]
    if not found:
        plain = with_defaults(long, to_python_map(inputs, field=field))
        found = agreement.faults(long, plain, field)
    if found:
        first = found[0]
        raise InvalidArgumentError(
            f"{first.field}: {first.description}",
            reason="INVALID_INPUTS",
            remedy="Send inputs that keep the workload's schema.",
            violations=found,
        )
    return to_value_map(conform(long, plain), field=field)


def with_defaults(schema: Schema, plain: Mapping[str, Json]) -> dict[str, Json]:
    """Fill in the defaults of fields that are missing, in objects within objects too."""
    filled: dict[str, Json] = _filled(schema, plain, schema)
    return filled


def _filled(schema: Json, plain: Json, root: Schema) -> Any:
    schema = follow(schema, root)
    if not isinstance(plain, Mapping) or not isinstance(schema, Mapping):
        return plain
    filled = dict(plain)
    for name, of in schema.get("properties", {}).items():
        part = follow(of, root)
        if name in filled:
            filled[name] = _filled(part, filled[name], root)
        elif isinstance(part, Mapping) and "default" in part:
            filled[name] = part["default"]
    return filled


def conform(schema: Schema, plain: Mapping[str, Json], *, widen: bool = False) -> dict[str, Json]:
    """Give numbers the type that the schema says: 1.0 becomes 1 where it says integer.

    With `widen`, 1 becomes 1.0 where it says number. Only arithmetic wants that; values that are passed on
    stay as exact as they came.
    """
    result: dict[str, Json] = _conformed(schema, plain, schema, widen=widen)
    return result


def _conformed(schema: Json, plain: Json, root: Schema, *, widen: bool) -> Any:
    schema = follow(schema, root)
    if not isinstance(schema, Mapping):
        return plain
    if isinstance(plain, Mapping):
        return {n: _conformed(_field(schema, n), below, root, widen=widen) for n, below in plain.items()}
    if isinstance(plain, list):
        return [_conformed(schema.get("items"), below, root, widen=widen) for below in plain]
    kinds = kinds_of(schema, root)
    if isinstance(plain, float) and plain.is_integer() and kinds == _INTEGER:
        return int(plain)
    if widen and isinstance(plain, int) and not isinstance(plain, bool) and kinds == _NUMBER:
        return float(plain)
    return plain
