"""Type constraints of Terraform variables as JSON Schemas. Pure; `module.py` and `schemas.py` call it."""

from typing import Any

from enchain.terraform_modules.hcl import Call, Expression, Fields, Items, Literal, Name, literal

Schema = dict[str, Any]

_SIMPLE: dict[str, Schema] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "any": {},
    "list": {"type": "array"},
    "set": {"type": "array", "uniqueItems": True},
    "map": {"type": "object"},
}
_PRIMITIVE = frozenset({"string", "number", "bool"})


def is_primitive(constraint: Expression | None) -> bool:
    """Say whether Terraform reads such a variable from the environment as plain text.

    Without a type it does so too; any other type, `any` included, is read as an expression.
    """
    return constraint is None or _word(constraint) in _PRIMITIVE


def schema_of(constraint: Expression | None) -> Schema:
    """Answer the JSON Schema of a type constraint. What cannot be understood may be anything."""
    match constraint:
        case Call("list", (item,)):
            return {"type": "array", "items": schema_of(item)}
        case Call("set", (item,)):
            return {"type": "array", "items": schema_of(item), "uniqueItems": True}
        case Call("map", (item,)):
            return {"type": "object", "additionalProperties": schema_of(item)}
        case Call("tuple", (Items(items),)):
            return _tuple(items)
        case Call("object", (Fields(fields),)):
            return _object(fields)
        case _:
            return dict(_SIMPLE.get(_word(constraint), {}))


def nullable(schema: Schema) -> Schema:
    """Allow null beside what a schema allows."""
    kind = schema.get("type")
    return schema if kind is None else {**schema, "type": [kind, "null"]}


def _word(constraint: Expression | None) -> str:
    match constraint:
        case Name(word) | Literal(str(word)):  # Terraform 0.11 wrote types in quotes
            return word
        case _:
            return ""


def _tuple(items: tuple[Expression, ...]) -> Schema:
    return {
        "type": "array",
        "prefixItems": [schema_of(item) for item in items],
        "items": False,
        "minItems": len(items),
        "maxItems": len(items),
    }


def _object(fields: tuple[tuple[str, Expression], ...]) -> Schema:
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for name, constraint in fields:
        match constraint:
            case Call("optional", (inner, *rest)):
                properties[name] = _optional(schema_of(inner), rest)
            case _:
                properties[name] = schema_of(constraint)
                required.append(name)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _optional(schema: Schema, rest: list[Expression]) -> Schema:
    known, default = literal(rest[0]) if rest else (True, None)
    if known and default is not None:
        return {**schema, "default": default}
    return nullable(schema)
