"""Becomes ansible-playbook, with variables that are data. Run as a script by the engine, over a courier.

    python -I -S play.py SPEC        SPEC: a file with JSON; secrets are in the environment

Standard library only. Ansible evaluates templates in variables, so every text is marked `!unsafe`. Variables
go to Ansible in a file that is only ever in memory, because there are secrets among them; the environment
that carried these ends here, and what runs afterwards does not inherit it. It must never write to a disk.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

SECRETS = "ENCHAIN_ANSIBLE_SECRETS"
"""The variable with the secrets: a JSON list, in the order of their places in the spec."""

_PROGRAM = """
import os, sys
number = int(sys.argv.pop(1))
sys.argv[0] = "ansible-playbook"
from ansible.cli.playbook import main
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars
with os.fdopen(number, encoding="utf-8") as file:
    variables = DataLoader().load(file.read(), show_content=False)
load_extra_vars.extra_vars = variables
if load_extra_vars(DataLoader()) is not variables:
    sys.exit("this version of ansible-core cannot be given variables in memory")
main()
"""
"""Ansible reads files of variables by a path that a file in memory lacks, so it finds them read already."""

_STEERING = ("ANSIBLE_", "PYTHON", "ENCHAIN_")
_PLAIN = frozenset(map(chr, range(0x20, 0x7F))) - {'"', "\\"}


def quoted(text: str) -> str:
    """Write a text as a YAML scalar that no reader can take for anything else."""
    return '"' + "".join(char if char in _PLAIN else _escaped(ord(char)) for char in text) + '"'


def _escaped(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four hex digits


def to_yaml(value: Any) -> str:  # noqa: PLR0911 - one return for each kind is the table that it is
    """Write a value as YAML in which every text is data: no template in it is ever evaluated."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f'!!int "{value}"'
        case float():
            return f'!!float "{value!r}"'
        case dict():
            return "{" + ", ".join(f"? {_key(key)} : {to_yaml(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(to_yaml, value)) + "]"
        case _:
            return f"!unsafe {quoted(str(value))}"


def _key(key: Any) -> str:
    return quoted(str(key))


def with_secrets(value: Any, secrets: Mapping[tuple[Any, ...], str], place: tuple[Any, ...] = ()) -> Any:
    """Answer the value with the secrets put in at their places."""
    if place in secrets:
        return secrets[place]
    match value:
        case dict():
            return {key: with_secrets(item, secrets, (*place, key)) for key, item in value.items()}
        case list():
            return [with_secrets(item, secrets, (*place, index)) for index, item in enumerate(value)]
        case _:
            return value


def in_memory(text: str) -> int:
    """Put a text into a file that has no name, and answer its descriptor, which outlives `exec`."""
    fd = os.memfd_create("variables", 0)
    rest = memoryview(text.encode())
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def arguments(spec: Mapping[str, Any], variables: int) -> list[str]:
    """Answer the command line of ansible-playbook."""
    argv = [spec["python"], "-P", "-c", _PROGRAM, str(variables)]
    argv += ["--inventory", spec["inventory"]]
    argv += ["--forks", str(spec["forks"])]
    argv += ["--check", "--diff"] if spec["check"] else []
    return [*argv, "--", spec["playbook"]]


def environment(spec: Mapping[str, Any], inherited: Mapping[str, str]) -> dict[str, str]:
    """Answer the environment: the inherited one without what steers Ansible or Python, and the spec's."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(_STEERING)}
    return {**kept, **spec["environment"]}


def main(argv: Sequence[str]) -> None:
    """Become ansible-playbook. Never returns."""
    with open(argv[0], encoding="utf-8") as file:  # noqa: PTH123 - starts faster
        spec = json.load(file)
    places = [tuple(place) for place in spec["secrets"]]
    secrets = dict(zip(places, json.loads(os.environ.get(SECRETS, "[]")), strict=True))
    variables = in_memory(to_yaml(with_secrets(spec["variables"], secrets)))
    os.execve(spec["python"], arguments(spec, variables), environment(spec, os.environ))  # noqa: S606 - no shell


if __name__ == "__main__":
    main(sys.argv[1:])
