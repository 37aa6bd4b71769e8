"""From a module to JSON Schemas of its variables and outputs. Pure; the engine and `enchain init` call it."""

from typing import Any

from enchain.terraform_modules.constraints import Schema, nullable, schema_of
from enchain.terraform_modules.hcl import literal
from enchain.terraform_modules.module import Module, Variable

DESCRIPTION_CHARS_MAX = 200
"""Schemas are journaled with every chain, and some modules have a hundred variables."""


def inputs_schema(module: Module) -> Schema:
    """Answer the JSON Schema of the inputs beside the module itself: `with`, the variables."""
    wanted = sorted(
        name
        for name, variable in module.variables.items()
        if not variable.has_default and name not in module.preset
    )
    given: Schema = {
        "type": "object",
        "description": "The module's variables.",
        "properties": {name: variable_schema(variable) for name, variable in module.variables.items()},
        "additionalProperties": False,
    }
    schema: Schema = {"type": "object", "properties": {"with": given}, "additionalProperties": False}
    if wanted:
        given["required"] = wanted
        schema["required"] = ["with"]
    return schema


def outputs_schema(module: Module) -> Schema:
    """Answer the JSON Schema of the outputs. Terraform does not say their types."""
    return {
        "type": "object",
        "properties": {
            name: {"description": _short(output.description)} if output.description else {}
            for name, output in module.outputs.items()
        },
        "required": sorted(module.outputs),
        "additionalProperties": False,
    }


def secret_outputs(module: Module) -> list[str]:
    """Name the outputs that are secrets."""
    return sorted(name for name, output in module.outputs.items() if output.sensitive)


def variable_schema(variable: Variable) -> Schema:
    """Answer the JSON Schema of one variable."""
    schema = schema_of(variable.constraint)
    if variable.secret:
        schema = _or_text(schema)
    known, default = literal(variable.default)
    if variable.has_default and known and default is None and variable.nullable is not False:
        schema = nullable(schema)
    extra: dict[str, Any] = {}
    if variable.description:
        extra["description"] = _short(variable.description)
    if variable.has_default and known and default is not None:
        extra["default"] = default
    if variable.secret:
        extra["writeOnly"] = True
    return {**schema, **extra}


def _or_text(schema: Schema) -> Schema:
    """Allow texts for numbers and truth values: secrets are texts, and Terraform reads either from one."""
    kind = schema.get("type", [])
    kinds = kind if isinstance(kind, list) else [kind]
    if {"number", "boolean"} & set(kinds):
        return {**schema, "type": [*kinds, "string"]}
    wider = dict(schema)
    if "properties" in schema:
        wider["properties"] = {name: _or_text(part) for name, part in schema["properties"].items()}
    if "prefixItems" in schema:
        wider["prefixItems"] = [_or_text(part) for part in schema["prefixItems"]]
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            wider[part] = _or_text(schema[part])
    return wider


def _short(text: str) -> str:
    return text if len(text) <= DESCRIPTION_CHARS_MAX else f"{text[: DESCRIPTION_CHARS_MAX - 1]}…"
