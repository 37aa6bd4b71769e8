"""Inputs from the command line: `name=text`, `name:=JSON`, or a YAML file. Provisioning commands call it.

`{"$secret": "env:NAME"}`, alone where a value may stand, is a secret by reference in both.
"""

import json
from pathlib import Path
from typing import Any

import click

from enchain.chains.errors import EnchainError
from enchain.chains.values import SecretRef
from enchain.cli.running import fail
from enchain.cli.yamlfile import DocumentError, read

inputs_option = click.option(
    "-i",
    "--input",
    "pairs",
    multiple=True,
    metavar="NAME=TEXT|NAME:=JSON",
    help="An input: `name=blog` is text, `count:=3` is JSON. Repeat it for more.",
)
file_option = click.option(
    "--inputs",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Inputs in YAML.",
)


def gather(pairs: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    """Put together what was given; pairs win over the file.

    Raises:
        click.UsageError: A pair is malformed.
    """
    inputs = _from_file(file) if file else {}
    for pair in pairs:
        name, value = _pair(pair)
        inputs[name] = value
    return {name: _with_references(value) for name, value in inputs.items()}


def _pair(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals or not name.rstrip(":"):
        raise click.UsageError(f"`{pair}` is no input; write NAME=TEXT or NAME:=JSON.")
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"`{pair}`: `{text}` is no JSON; write NAME=TEXT for text.") from error


def _from_file(file: Path) -> dict[str, Any]:
    try:
        documents = read(file, _text(file), beginning="NAME: VALUE")
        if len(documents) > 1:
            raise DocumentError(file, documents[1].line, "", "inputs are one document", "Remove the others.")
    except EnchainError as error:
        fail(error)
    return documents[0].body if documents else {}


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(file, 1, "", f"cannot be read: {error}") from error


def _with_references(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$secret"} and isinstance(value["$secret"], str):
            return SecretRef(value["$secret"])
        return {name: _with_references(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_references(item) for item in value]
    return value
