"""Variables on their way to Ansible: whatever they are, they arrive as they were, and every text as data."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from enchain.engines.ansible.play import arguments, environment, in_memory, quoted, to_yaml, with_secrets


class Unsafe(str):
    """A text that was marked."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads YAML as Ansible does, so far as it matters here."""


def _marked(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Unsafe:
    return Unsafe(loader.construct_scalar(node))


_Loader.add_constructor("!unsafe", _marked)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def unmarked(value: Any) -> list[str]:
    """List the texts that are not marked; keys do not count."""
    match value:
        case dict():
            return [text for item in value.values() for text in unmarked(item)]
        case list():
            return [text for item in value for text in unmarked(item)]
        case str() if not isinstance(value, Unsafe):
            return [value]
    return []


@given(_VALUES)
def test_every_value_arrives_as_it_was_and_every_text_is_marked(value: Any) -> None:
    arrived = yaml.load(to_yaml(value), _Loader)

    assert arrived == value
    assert type(arrived) is type(value) or isinstance(arrived, Unsafe)
    assert unmarked(arrived) == []


@pytest.mark.parametrize(
    "text", ["{{ 1 }}", '" !unsafe "', "\\", "a: b", "- x", "\u2028\x85\x00\x7f", "k" * 2000]
)
def test_hostile_texts_and_keys_are_nothing_but_themselves(text: str) -> None:
    assert yaml.load(to_yaml({text: {text: [text]}}), _Loader) == {text: {text: [text]}}
    assert quoted(text).isascii()
    assert "\n" not in quoted(text)


def test_secrets_go_to_their_places() -> None:
    value = {"db": {"password": None}, "keys": [1, None]}

    filled = with_secrets(value, {("db", "password"): "a", ("keys", 1): "b"})

    assert filled == {"db": {"password": "a"}, "keys": [1, "b"]}
    assert value["db"] == {"password": None}


def test_variables_are_in_memory_and_on_no_command_line() -> None:
    spec = {"python": "py", "inventory": "/i", "forks": 5, "check": True, "playbook": "/p/site.yml"}
    fd = in_memory("a: secret")
    with os.fdopen(fd) as file:
        argv = arguments(spec, fd)
        target = str(Path(f"/proc/self/fd/{fd}").readlink())
        content = file.read()

    assert content == "a: secret"
    assert target.startswith("/memfd:")
    assert "secret" not in " ".join(argv)
    assert argv[-4:] == ["--check", "--diff", "--", "/p/site.yml"]


def test_nothing_of_the_engines_environment_steers_ansible() -> None:
    inherited = {
        "ANSIBLE_CONFIG": "x",
        "PYTHONPATH": "x",
        "ENCHAIN_ANSIBLE_SECRETS": "x",
        "PATH": "p",
        "HOME": "x",
    }

    assert environment({"environment": {"HOME": "h"}}, inherited) == {"PATH": "p", "HOME": "h"}
