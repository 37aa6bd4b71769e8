"""What an engine takes and gives, as JSON Schemas, and values checked against them.

The step runner and the default of `Engine.schema` call it. Pure: it reads no file and asks nobody. Values
that only the instance completes (secrets, templates) pass wherever they stand: nobody can check them yet.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema
from google.protobuf import json_format, struct_pb2

from enchain.chains.errors import OurError, Violation
from enchain.chains.values import Json, SecretRef, TemplateText
from enchain.sdk.port import Engine
from enchain.v1 import chain_pb2

VIOLATIONS_MAX = 16
"""Violations told at once; a person mends the first few and asks again."""


class _Opaque(str):
    """Stands for a value that only the instance can complete. No rule is applied to it."""

    __slots__ = ()


_OPAQUE = _Opaque("")


def to_struct(schema: Mapping[str, Json]) -> struct_pb2.Struct:
    """Turn a JSON Schema into its wire form."""
    struct = struct_pb2.Struct()
    json_format.ParseDict(dict(schema), struct)
    return struct


def from_struct(struct: struct_pb2.Struct) -> dict[str, Json]:
    """Turn a JSON Schema's wire form back; whole numbers become integers again."""
    schema: dict[str, Json] = _whole(json_format.MessageToDict(struct))
    return schema


def static_schema(engine: Engine) -> chain_pb2.EngineSchema:
    """Answer the schema that an engine's class attributes state."""
    return chain_pb2.EngineSchema(
        inputs=to_struct(engine.inputs),
        outputs=to_struct(engine.outputs),
        variables=to_struct(engine.variables),
        secret_outputs=engine.secret_outputs,
        handle_schemas=[handle_schema_of(engine)],
    )


def handle_schema_of(engine: Engine) -> str:
    """Answer the shape of the handles that an engine makes."""
    return engine.handle_schema or f"{engine.name}/1"


def check(values: Mapping[str, Json], schema: struct_pb2.Struct, *, field: str) -> tuple[Violation, ...]:
    """Check values against a schema's wire form; `field` begins the path of every violation.

    An empty schema allows everything.

    Raises:
        OurError: The schema itself is no JSON Schema.
    """
    if not struct_fields(schema):
        return ()
    rules = from_struct(schema)
    try:
        jsonschema.Draft202012Validator.check_schema(rules)
    except jsonschema.SchemaError as error:
        raise OurError(f"the schema of {field} is no JSON Schema", reason="MALFORMED_SCHEMA") from error
    errors = jsonschema.Draft202012Validator(rules).iter_errors(_plain(dict(values)))
    told = [_violation(error, field) for error in errors if not _about_opaque(error)]
    return tuple(sorted(told, key=lambda violation: violation.field)[:VIOLATIONS_MAX])


def struct_fields(struct: struct_pb2.Struct) -> bool:
    """Say whether a struct holds anything."""
    return len(struct.fields) > 0


def _violation(error: jsonschema.ValidationError, field: str) -> Violation:
    path = field
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    # The instance is left out of the message: it may be what people typed.
    rule = str(error.validator).upper()
    return Violation(path, _sentence(error), f"SCHEMA_{rule}")


def _sentence(error: jsonschema.ValidationError) -> str:
    rule: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "type":
            return f"must be of type {rule}"
        case "required":
            return f"lacks {', '.join(sorted(set(rule) - set(instance)))}"
        case "additionalProperties":
            known = schema.get("properties", {})
            unknown = ", ".join(sorted(set(instance) - set(known)))
            return f"takes no {unknown}, only {', '.join(sorted(known)) or 'nothing'}"
        case "enum":
            return f"must be one of {', '.join(map(str, rule))}"
        case _:
            return f"must satisfy {error.validator}: {rule}"


def _about_opaque(error: jsonschema.ValidationError) -> bool:
    return isinstance(error.instance, _Opaque)


def _plain(value: Json) -> Any:
    match value:
        case SecretRef() | TemplateText():
            return _OPAQUE
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _whole(inner) for name, inner in value.items()}
        case list():
            return [_whole(inner) for inner in value]
        case _:
            return value
