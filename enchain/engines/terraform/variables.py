"""Splits what was given for a module's variables by how each value may travel. Pure; `engine.py` calls it.

Plain values go into a JSON file, secrets into the environment of the run; both are data, never code. What is
stored about secrets are references.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from enchain.chains.values import Json, SecretRef, TemplateText
from enchain.sdk.port import Finding
from enchain.sdk.references import Place, references, without_references
from enchain.terraform_modules.constraints import is_primitive
from enchain.terraform_modules.hcl import quoted
from enchain.terraform_modules.module import Module
from enchain.v1 import diagnostic_pb2

_NUL = "\0"


@dataclass(frozen=True, slots=True)
class SecretVariable:
    """A secret variable's value, with references where secrets stand.

    Attributes:
        value: JSON-like; None stands where a reference was.
        refs: The references, by the place in the value.
        literal: Terraform takes it from the environment as plain text, not as an expression.
    """

    name: str
    value: Json
    refs: tuple[tuple[Place, SecretRef], ...] = ()
    literal: bool = True


@dataclass(frozen=True, slots=True)
class Variables:
    """All that was given.

    Attributes:
        plain: Values that are no secrets, by name.
        secret: Variables whose value is secret.
    """

    plain: Mapping[str, Json] = field(default_factory=dict)
    secret: tuple[SecretVariable, ...] = ()


def split(given: Mapping[str, Json], module: Module) -> Variables:
    """Split the values by what the module says about its variables."""
    plain: dict[str, Json] = {}
    secret: list[SecretVariable] = []
    for name, value in given.items():
        variable = module.variables.get(name)
        if variable is None or not variable.secret:
            plain[name] = value
        elif value is not None:
            refs = tuple(references(value))
            secret.append(
                SecretVariable(name, without_references(value), refs, is_primitive(variable.constraint))
            )
    return Variables(plain, tuple(secret))


def faults(variables: Variables, module: Module) -> list[Finding]:
    """Find what must not go on: secrets that would be shown, and values that could not be passed on."""
    found = [
        _fault(
            name,
            "SECRET_EXPOSED",
            f"a secret is given to the variable {name}, which is not sensitive",
            f"Write `sensitive = true` into the variable {name}, so that Terraform hides its value.",
        )
        for name, value in variables.plain.items()
        if any(references(value))
    ]
    found.extend(
        _fault(
            variable.name,
            "SECRET_SHADOWED",
            f"the module's own .tfvars files set the secret variable {variable.name} and would win",
            f"Remove {variable.name} from the module's .tfvars files.",
        )
        for variable in variables.secret
        if variable.name in module.preset
    )
    found.extend(
        _fault(name, "TEMPLATE_UNFILLED", f"the value of {name} has a hole", "Use only variables that exist.")
        for name, value in (*variables.plain.items(), *((item.name, item.value) for item in variables.secret))
        if _has_holes(value)
    )
    return found


def environment_of(variables: Variables, resolved: Mapping[str, Json]) -> dict[str, str]:
    """Answer the environment that carries the secret variables, given their resolved values by name.

    Raises:
        ValueError: A value cannot stand in an environment; the message is the variable's name.
    """
    environment: dict[str, str] = {}
    for variable in variables.secret:
        value = resolved[variable.name]
        text = _literal_text(value) if variable.literal else quoted(value)
        if _NUL in text:
            raise ValueError(variable.name)
        environment[f"TF_VAR_{variable.name}"] = text
    return environment


def with_secrets(value: Json, secrets: Mapping[Place, str], path: Place = ()) -> Json:
    """Answer the value with the secrets put in at their places."""
    if path in secrets:
        return secrets[path]
    match value:
        case dict():
            return {key: with_secrets(item, secrets, (*path, key)) for key, item in value.items()}
        case list() | tuple():
            return [with_secrets(item, secrets, (*path, index)) for index, item in enumerate(value)]
        case _:
            return value


def texts(value: Json, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Answer the non-empty texts in a value, each with its place."""
    match value:
        case str() if value:
            yield path, value
        case dict():
            for key, item in value.items():
                yield from texts(item, (*path, key))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from texts(item, (*path, index))


def to_record(variable: SecretVariable) -> dict[str, Any]:
    """Answer what is stored of a secret variable."""
    return {
        "name": variable.name,
        "value": variable.value,
        "literal": variable.literal,
        "refs": [{"path": list(path), "ref": ref.ref} for path, ref in variable.refs],
    }


def from_record(record: Mapping[str, Any]) -> SecretVariable:
    """Read back what was stored of a secret variable."""
    refs = tuple((tuple(item["path"]), SecretRef(item["ref"])) for item in record["refs"])
    return SecretVariable(record["name"], record["value"], refs, record["literal"])


def _literal_text(value: Json) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case _:
            return str(value)


def _has_holes(value: Json) -> bool:
    match value:
        case TemplateText():
            return True
        case dict():
            return any(_has_holes(item) for item in value.values())
        case list() | tuple():
            return any(_has_holes(item) for item in value)
        case _:
            return False


def _fault(name: str, code: str, summary: str, remedy: str) -> Finding:
    return Finding(
        summary,
        code=code,
        path=f"inputs.with.{name}",
        remedy=remedy,
        audience=diagnostic_pb2.AUDIENCE_PLATFORM,
    )
