"""A workload file, written from what a Terraform module takes and gives. Pure; `enchain init` calls it.

What it writes is valid for `enchain apply` as it is, and explains itself. A variable becomes an input, a
sensitive one a reference to a secret; what the module sets by itself is left to it and said in a comment.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import yaml

from enchain.terraform_modules.hcl import literal
from enchain.terraform_modules.module import Module, Variable
from enchain.terraform_modules.schemas import variable_schema

STEP = "create"
LINE_CHARS_MAX = 100

_UNREADABLE = frozenset({"true", "false", "null", "in"})
"""Words that expressions cannot read after a dot; inputs may not be called so."""
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = "        # "
_SAYS_WHAT, _SAYS_MORE = ("type", "description", "default"), ("writeOnly",)


@dataclass(frozen=True, slots=True)
class Draft:
    """A workload file in the making.

    Attributes:
        text: What the file is to hold.
        inputs: Names of the workload's inputs.
        outputs: Names of its outputs.
        secrets: Variables of the environment from which engine instances read its secrets.
    """

    text: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    secrets: tuple[str, ...]


def draft(module: Module, *, name: str, path: str) -> Draft:
    """Write the workload of a module.

    Args:
        module: What the module takes and gives.
        name: The workload's id.
        path: The module's folder, relative to the file that is written.
    """
    given = [v for v in module.variables.values() if not v.secret and not _left_out(v, module)]
    secret = [v for v in module.variables.values() if v.secret and not _left_out(v, module)]
    inputs = _input_names([v.name for v in given])
    refs: list[str] = []
    lines = [
        f"# The workload {name}: what the Terraform module below makes. `enchain init` wrote this file,",
        "# and it is yours now. `enchain apply -f` and the name of this file saves it.",
        "kind: Workload",
        f"name: {name}",
        "",
        "# What people give. An input without a default is required.",
        *_inputs({inputs[v.name]: _schema(v) for v in given}),
        "",
        "# One step, done by Terraform. More steps, and other engines that can do a step, go below.",
        "steps:",
        f"- name: {STEP}",
        "  by:",
        "    terraform:",
        f"      module: {_flow(path)}",
        *_with(given, secret, inputs, refs),
        *_unset(module),
    ]
    outputs = [o.name for o in module.outputs.values() if not o.sensitive]
    lines += _outputs(outputs, module)
    variables = tuple(dict.fromkeys(_environment_name(ref) for ref in refs))
    return Draft("\n".join(lines) + "\n", tuple(inputs.values()), tuple(_input_names(outputs)), variables)


def workload_id(folder: str) -> str:
    """Make a workload's id of the name of a folder."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    return re.sub(r"^[^a-z]+", "", words)[:63].rstrip("-") or "workload"


def _left_out(variable: Variable, module: Module) -> str:
    """Say why a variable is left to the module; empty where it is not."""
    if variable.name in module.preset:
        return "its .tfvars files set it"
    if not variable.has_default:
        return ""
    if variable.secret:
        return "sensitive, and it has a default"
    return "" if literal(variable.default)[0] else "its default is computed"


def _input_names(variables: list[str]) -> dict[str, str]:
    """Answer names that inputs may have, by the names that Terraform allows."""
    names: dict[str, str] = {}
    for variable in variables:
        plain = re.sub(r"[^a-z0-9_]", "_", variable.lower()).lstrip("_0123456789")[:60] or "value"
        wanted = f"{plain}_" if plain in _UNREADABLE else plain
        number = 1
        while wanted in names.values():
            number += 1
            wanted = f"{plain}_{number}"
        names[variable] = wanted
    return names


def _schema(variable: Variable) -> dict[str, Any]:
    schema = variable_schema(variable)
    if variable.has_default:
        schema.setdefault("default", None)  # else the input would be required
    first = [key for key in _SAYS_WHAT if key in schema]
    rest = [key for key in schema if key not in _SAYS_WHAT and key not in _SAYS_MORE]
    return {key: schema[key] for key in (*first, *rest)}


def _inputs(schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not schemas:
        yield "inputs: {}"
        return
    yield "inputs:"
    if "properties" not in schemas:
        yield from _fields(schemas, "  ")
        return
    # An input of this name would make the short form look like the long one.
    required = [name for name, schema in schemas.items() if "default" not in schema]
    yield from ("  type: object", "  additionalProperties: false", f"  required: {_flow(required)}")
    yield "  properties:"
    yield from _fields(schemas, "    ")


def _fields(schemas: Mapping[str, Mapping[str, Any]], indent: str) -> Iterator[str]:
    for name, schema in schemas.items():
        line = f"{indent}{_flow(name)}: {_flow(schema)}"
        if len(line) <= LINE_CHARS_MAX:
            yield line
            continue
        yield f"{indent}{_flow(name)}:"
        block = yaml.safe_dump(dict(schema), sort_keys=False, allow_unicode=True, width=LINE_CHARS_MAX)
        yield from (f"{indent}  {row}" if row else row for row in block.splitlines())


def _with(
    given: list[Variable], secret: list[Variable], inputs: Mapping[str, str], refs: list[str]
) -> Iterator[str]:
    if not given and not secret:
        return
    yield "      with:                            # the module's variables"
    for variable in given:
        yield f'        {_flow(variable.name)}: "${{inputs.{inputs[variable.name]}}}"'
    for variable in secret:
        own: list[str] = []
        value = _secret(variable_schema(variable), variable.name, own)
        read = ", ".join(_environment_name(ref) for ref in own) or "nothing yet: it is empty"
        told = f"Sensitive, so no input. The engine instance reads it where it is used: {read}."
        yield from wrap(told, LINE_CHARS_MAX, initial_indent=_COMMENT, subsequent_indent=_COMMENT)
        yield f"        {_flow(variable.name)}: {_flow(value)}"
        refs += own
    if refs:
        yield "        # `file:NAME` in place of `env:NAME` reads a file of the instance's secrets directory."


def _secret(schema: Mapping[str, Any], name: str, refs: list[str]) -> Any:
    """Answer references in the shape that the variable has, and note them."""
    kind = schema.get("type")
    if kind == "object":
        return {
            key: _secret(schema["properties"][key], f"{name}-{key}", refs)
            for key in schema.get("required", ())
        }
    if kind == "array" and "prefixItems" in schema:
        parts = enumerate(schema["prefixItems"], 1)
        return [_secret(part, f"{name}-{number}", refs) for number, part in parts]
    if kind == "array":
        return [_secret(schema.get("items", {}), name, refs)]
    ref = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "secret"
    refs.append(ref)
    return {"$secret": f"env:{ref}"}


def _environment_name(ref: str) -> str:
    # How the engines' SDK reads `env:` references; the command does not import it.
    return "ENCHAIN_SECRET_" + ref.replace("-", "_").upper()


def _unset(module: Module) -> Iterator[str]:
    for variable in module.variables.values():
        if why := _left_out(variable, module):
            yield f"      # Left to the module: {variable.name} ({why})."


def _outputs(names: list[str], module: Module) -> Iterator[str]:
    if names:
        yield from ("", "# What people get.", "outputs:")
    shown = _input_names(names)
    for name in names:
        description = " ".join(module.outputs[name].description.split())
        if description:
            yield f"  # {description}"
        readable = _IDENTIFIER.fullmatch(name) and name not in _UNREADABLE
        read = f".{name}" if readable else f"[{json.dumps(name)}]".replace('"', "'")
        yield f'  {_flow(shown[name])}: "${{steps.{STEP}.outputs{read}}}"'
    hidden = [output.name for output in module.outputs.values() if output.sensitive]
    if hidden:
        yield f"# Left out, because they are sensitive: {', '.join(hidden)}."


def _flow(value: Any) -> str:
    """Write a value as YAML on one line."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text.strip()[1:-1]
