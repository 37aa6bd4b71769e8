"""What a Terraform module takes and gives, read from its files. The engine and `enchain init` call it.

Terraform has no command that lists variables, hence the reading. Files named `override` are laid over the
others, as Terraform does. Nothing is evaluated and nothing is run.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.terraform_modules.hcl import Block, Expression, Literal, Opaque
from enchain.terraform_modules.sources import read_blocks, read_preset

_BUILT_IN = "terraform_"
"""Resource types of the provider that is part of the tool."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An input variable.

    Attributes:
        constraint: Its type, None where it has none.
        default: Its default as (there is one, it is a literal, value).
        secret: It is `sensitive` or `ephemeral`.
    """

    name: str
    constraint: Expression | None = None
    has_default: bool = False
    default: Expression = field(default_factory=Opaque)
    description: str = ""
    secret: bool = False
    nullable: bool | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """An output value."""

    name: str
    description: str = ""
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """A root module.

    Attributes:
        preset: Variables that the module's own `.tfvars` files set.
        plugins: It needs provider plugins or child modules, which `init` fetches.
    """

    variables: Mapping[str, Variable] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    preset: frozenset[str] = frozenset()
    plugins: bool = False


def read_module(directory: Path, *, opentofu: bool = False) -> Module:
    """Read the root module in a directory.

    Raises:
        InvalidArgumentError: A file cannot be read, or there is none.
    """
    blocks = read_blocks(directory, opentofu=opentofu)
    if blocks is None:
        raise InvalidArgumentError(
            "the module has no .tf or .tf.json file",
            reason="MODULE_EMPTY",
            remedy="Name the directory that holds the module's .tf files.",
            violations=[Violation("artifacts.module", "it has no .tf or .tf.json file", "MODULE_EMPTY")],
        )
    return _module(blocks, read_preset(directory))


def tree_digest(directory: Path) -> str:
    """Digest the names and contents of all files below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(directory).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _module(blocks: Sequence[Block], preset: frozenset[str]) -> Module:
    attributes: dict[tuple[str, tuple[str, ...]], dict[str, Expression]] = {}
    for block in blocks:  # override files come last and win, attribute by attribute
        attributes.setdefault((block.kind, block.labels), {}).update(block.attributes)
    variables = {
        labels[0]: _variable(labels[0], given)
        for (kind, labels), given in attributes.items()
        if kind == "variable" and labels
    }
    outputs = {
        labels[0]: _output(labels[0], given)
        for (kind, labels), given in attributes.items()
        if kind == "output" and labels
    }
    plugins = any(_needs_plugins(kind, labels) for kind, labels in attributes)
    return Module(variables, outputs, preset & variables.keys(), plugins)


def _needs_plugins(kind: str, labels: tuple[str, ...]) -> bool:
    if kind in {"resource", "data", "ephemeral"}:
        return not (labels and labels[0].startswith(_BUILT_IN))
    return kind in {"module", "provider"}


def _variable(name: str, given: Mapping[str, Expression]) -> Variable:
    nullable = given.get("nullable")
    return Variable(
        name=name,
        constraint=given.get("type"),
        has_default="default" in given,
        default=given.get("default", Opaque()),
        description=_text(given.get("description")),
        secret=_is_true(given.get("sensitive")) or _is_true(given.get("ephemeral")),
        nullable=nullable.value
        if isinstance(nullable, Literal) and isinstance(nullable.value, bool)
        else None,
    )


def _output(name: str, given: Mapping[str, Expression]) -> Output:
    sensitive = _is_true(given.get("sensitive")) or _is_true(given.get("ephemeral"))
    return Output(name, _text(given.get("description")), sensitive)


def _text(expression: Expression | None) -> str:
    return (
        expression.value.strip()
        if isinstance(expression, Literal) and isinstance(expression.value, str)
        else ""
    )


def _is_true(expression: Expression | None) -> bool:
    return isinstance(expression, Literal) and expression.value in (True, "true")
