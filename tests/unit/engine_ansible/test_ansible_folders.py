"""Folders of playbooks: what is run by default, and what is refused."""

from pathlib import Path

import pytest

from enchain.chains.values import SecretRef
from enchain.engines.ansible.playbooks import faults, inputs_schema, read_asked


def folder(tmp_path: Path, *files: str) -> Path:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("[]")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "main", "required"),
    [
        (["site.yml", "other.yml", "destroy.yml"], "site.yml", []),
        (["web.yml", "destroy.yml"], "web.yml", []),
        (["web.yml"], "web.yml", ["destroy"]),
        (["a.yml", "b.yml"], "", ["main", "destroy"]),
        (["roles/x.yml"], "", ["main", "destroy"]),
    ],
)
def test_what_a_folder_leaves_unclear_is_required(
    tmp_path: Path, files: list[str], main: str, required: list[str]
) -> None:
    place = folder(tmp_path, *files)

    assert read_asked({}, place).main == main
    assert inputs_schema(place)["required"] == required


def test_links_inside_are_followed_and_those_that_leave_are_not(tmp_path: Path) -> None:
    place = folder(tmp_path / "f", "real.yml", "destroy.yml")
    (tmp_path / "outside.yml").write_text("[]")
    (place / "site.yml").symlink_to("real.yml")
    (place / "evil.yml").symlink_to("../outside.yml")

    assert faults(read_asked({}, place), place) == []
    assert [found.code for found in faults(read_asked({"main": "evil.yml"}, place), place)] == [
        "PLAYBOOK_MISSING"
    ]


@pytest.mark.parametrize(
    "name", ["ansible_host", "ANSIBLE_host", "enchain_verb", "hostvars", "vars", "inventory_hostname", "_x"]
)
def test_variables_that_steer_ansible_are_refused(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path, "site.yml", "destroy.yml")
    (found,) = faults(read_asked({"with": {name: "x"}}, place), place)

    assert (found.code, found.path) == ("VARIABLE_RESERVED", f"inputs.with.{name}")


@pytest.mark.parametrize("name", ["", "a b", "{{ x }}", "1a", "class", "ä", "a\n"])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path, "site.yml", "destroy.yml")
    (found,) = faults(read_asked({"with": {name: "x"}}, place), place)

    assert found.code == "INVALID_INPUT"


def test_secrets_are_taken_out_of_the_variables(tmp_path: Path) -> None:
    asked = read_asked({"with": {"a": [SecretRef("env:x")]}, "main": "m", "destroy": "none"}, tmp_path)

    assert asked.variables == {"a": [None]}
    assert asked.secrets == {("a", 0): SecretRef("env:x")}
