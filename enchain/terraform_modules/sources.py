"""The files of a Terraform module as blocks, in both syntaxes. `module.py` calls it; nothing is evaluated."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.terraform_modules.hcl import (
    Block,
    Expression,
    Fields,
    HclError,
    Items,
    Literal,
    parse_attributes,
    parse_blocks,
    parse_expression,
    parse_json,
)

_TERRAFORM_ENDINGS = (".tf", ".tf.json")
_OPENTOFU_ENDINGS = (*_TERRAFORM_ENDINGS, ".tofu", ".tofu.json")
_AUTO_ENDINGS = (".auto.tfvars", ".auto.tfvars.json")
_AUTO_NAMES = frozenset({"terraform.tfvars", "terraform.tfvars.json"})
_LABELS = {"variable": 1, "output": 1, "module": 1, "provider": 1, "resource": 2, "data": 2, "ephemeral": 2}
"""Labels by kind of block: in JSON they are levels of nesting. Other kinds are of no interest here."""


def read_blocks(directory: Path, *, opentofu: bool) -> Sequence[Block] | None:
    """Read the blocks of a root module, those of override files last. None where it has no file.

    Raises:
        InvalidArgumentError: A file cannot be read.
    """
    files = _configuration_files(directory, opentofu=opentofu)
    return [block for path in files for block in _blocks(path)] if files else None


def read_preset(directory: Path) -> frozenset[str]:
    """Read which variables the module's own `.tfvars` files set."""
    names = [path for path in sorted(directory.iterdir()) if path.is_file()]
    files = [path for path in names if path.name in _AUTO_NAMES or path.name.endswith(_AUTO_ENDINGS)]
    return frozenset(name for path in files for name in _preset(path))


def _configuration_files(directory: Path, *, opentofu: bool) -> list[Path]:
    endings = _OPENTOFU_ENDINGS if opentofu else _TERRAFORM_ENDINGS
    names = {path.name for path in directory.iterdir() if path.is_file() and path.name.endswith(endings)}
    shadowed = {name.replace(".tofu", ".tf") for name in names if ".tofu" in name}
    kept = sorted(name for name in names - shadowed if not name.startswith("."))
    return [directory / name for name in sorted(kept, key=_is_override)]


def _is_override(name: str) -> bool:
    stem = name.removesuffix(".json").rpartition(".")[0]
    return stem == "override" or stem.endswith("_override")


def _preset(path: Path) -> list[str]:
    with _located(path):
        text = path.read_text(encoding="utf-8")
        return list(parse_json(text) if path.suffix == ".json" else parse_attributes(text))


def _blocks(path: Path) -> Sequence[Block]:
    with _located(path):
        text = path.read_text(encoding="utf-8")
        return list(_json_blocks(parse_json(text))) if path.suffix == ".json" else parse_blocks(text)


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into an error that names it."""
    try:
        yield
    except HclError as error:
        raise _unreadable(path.name, error.message, error.line) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path.name, str(error), 0) from error


def _unreadable(name: str, why: str, line: int) -> InvalidArgumentError:
    place = f"{name}:{line}" if line else name
    return InvalidArgumentError(
        f"the module cannot be read: {place}: {why}",
        reason="MODULE_UNREADABLE",
        remedy="Run `terraform validate` in the module and correct what it says.",
        metadata={"file": name, "line": str(line)},
        violations=[Violation("artifacts.module", f"{place}: {why}", "MODULE_UNREADABLE")],
    )


def _json_blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    for kind, content in document.items():
        if kind in _LABELS:
            for labels, body in _labelled(content, _LABELS[kind]):
                yield Block(kind, labels, _json_attributes(kind, body))


def _labelled(content: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Walk down the labels; at each level JSON allows an object or a list of objects."""
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict):
            raise HclError("a block must be a JSON object")
        if depth == 0:
            yield (), part
            continue
        for label, inner in part.items():
            for labels, body in _labelled(inner, depth - 1):
                yield (label, *labels), body


def _json_attributes(kind: str, body: Mapping[str, Any]) -> dict[str, Expression]:
    return {
        name: parse_expression(given)
        if kind == "variable" and name == "type" and isinstance(given, str)
        else _plain(given)
        for name, given in body.items()
    }


def _plain(given: Any) -> Expression:
    """Take JSON as it stands: in the places that are read here Terraform evaluates no template."""
    match given:
        case dict():
            return Fields(tuple((str(key), _plain(value)) for key, value in given.items()))
        case list():
            return Items(tuple(_plain(value) for value in given))
        case _:
            return Literal(given)
