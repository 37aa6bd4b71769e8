"""Inputs from the command line: `name=text`, `name:=JSON`, or a YAML file. Provisioning commands call it."""

import json
from pathlib import Path
from typing import Any

import click
import yaml

inputs_option = click.option(
    "-i",
    "--input",
    "pairs",
    multiple=True,
    metavar="NAME=TEXT|NAME:=JSON",
    help="An input: `name=blog` is text, `count:=3` is JSON. Repeat it for more.",
)
file_option = click.option(
    "--inputs", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Inputs in YAML."
)


def gather(pairs: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    """Put together what was given; pairs win over the file.

    Raises:
        click.UsageError: A pair is malformed, or the file is no mapping.
    """
    inputs = _from_file(file) if file else {}
    for pair in pairs:
        name, value = _pair(pair)
        inputs[name] = value
    return inputs


def _pair(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals or not name:
        raise click.UsageError(f"`{pair}` is no input; write NAME=TEXT or NAME:=JSON.")
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"`{pair}`: `{text}` is no JSON; write NAME=TEXT for text.") from error


def _from_file(file: Path) -> dict[str, Any]:
    try:
        inputs = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise click.UsageError(f"{file} is no YAML: {error}") from error
    if not isinstance(inputs, dict):
        raise click.UsageError(f"{file} holds no mapping.")
    return inputs
