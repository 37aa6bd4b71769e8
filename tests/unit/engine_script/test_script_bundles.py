"""Manifests and commands of bundles, the hostile ones among them."""

import json
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import SecretRef
from enchain.engines.script.command import faults, read_command, resolve, variable_of
from enchain.engines.script.manifest import Manifest, read_manifest
from enchain.engines.script.schema import inputs_schema
from enchain.sdk.port import Finding

WHOLE = {
    "contract": "enchain-script/1",
    "run": ["./x"],
    "verbs": ["apply", "plan"],
    "inputs": {"type": "object", "required": ["a"]},
    "outputs": {"type": "object"},
    "secret_outputs": ["token"],
    "repeatable": True,
}


def manifest_of(directory: Path, said: object) -> Manifest:
    text = said if isinstance(said, str) else json.dumps(said)
    (directory / "enchain-script.json").write_text(text)
    return read_manifest(directory)


def test_a_bundle_without_a_manifest_knows_apply_and_destroy_and_takes_anything(tmp_path: Path) -> None:
    manifest = read_manifest(tmp_path)

    assert manifest == read_manifest(None)
    assert manifest.verbs == {"apply", "destroy"}
    assert inputs_schema(manifest)["required"] == ["run"]


def test_a_manifest_says_it_all(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, WHOLE)

    assert manifest.run == ("./x",)
    assert manifest.verbs == {"apply", "plan"}
    assert manifest.secret_outputs == ("token",)
    assert manifest.repeatable
    assert inputs_schema(manifest)["required"] == ["with"]


@pytest.mark.parametrize(
    "said",
    [
        "{",
        "[]",
        "[" * 100_000,
        {**WHOLE, "contract": "enchain-script/2"},
        {**WHOLE, "verbs": ["destroy"]},
        {**WHOLE, "verbs": "apply"},
        {**WHOLE, "verbs": ["apply", "explode"]},
        {**WHOLE, "run": [1]},
        {**WHOLE, "run": [""]},
        {**WHOLE, "repeatable": "yes"},
        {**WHOLE, "inputs": {"type": "array"}},
        {**WHOLE, "outputs": {"type": "object", "required": "a"}},
        {**WHOLE, "inputs": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/x"}}}},
        {**WHOLE, "inputs": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}},
        {**WHOLE, "colour": "red"},
        {**WHOLE, "run": ["x" * 70_000]},
    ],
)
def test_a_wrong_manifest_is_refused_with_its_place(tmp_path: Path, said: object) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        manifest_of(tmp_path, said)

    assert caught.value.reason.startswith("MANIFEST_")
    assert all("enchain-script.json" in violation.field for violation in caught.value.violations)


def test_a_manifest_that_is_a_link_out_of_the_bundle_is_not_read(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (tmp_path / "outside.json").write_text(json.dumps(WHOLE))
    (bundle / "enchain-script.json").symlink_to("../outside.json")
    with pytest.raises(InvalidArgumentError) as caught:
        read_manifest(bundle)

    assert caught.value.reason == "MANIFEST_UNREADABLE"


def test_secrets_are_taken_out_of_the_inputs_and_named_by_their_place() -> None:
    command = read_command(
        {"run": ["./x"], "with": {"db": {"pass-word": SecretRef("env:a")}, "keys": [1, SecretRef("env:b")]}},
        Manifest(),
    )

    assert command.inputs == {"db": {"pass-word": None}, "keys": [1, None]}
    assert {variable_of(place): ref.ref for place, ref in command.secrets.items()} == {
        "SECRET_DB_PASS_WORD": "env:a",
        "SECRET_KEYS_1": "env:b",
    }


def test_two_secrets_of_one_variable_are_refused() -> None:
    given = {"a-b": SecretRef("env:a"), "a_b": SecretRef("env:b")}
    (found,) = faults({"run": ["./x"], "with": given}, Manifest())

    assert found.path == "inputs.with.a_b"


@pytest.mark.parametrize(
    "word", ["./../x", "../x", "/bin/true", "./", "./missing", "./out", "./loop", "./a\0b", "sub/../../x"]
)
def test_a_path_that_is_no_file_of_the_bundle_is_refused(tmp_path: Path, word: str) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "sub").mkdir(parents=True)
    (tmp_path / "x").write_text("#!/bin/sh\n")
    (tmp_path / "x").chmod(0o755)
    (bundle / "out").symlink_to("../x")
    (bundle / "loop").symlink_to("loop")

    found = resolve([word], bundle)
    argument = resolve(["sh", word], bundle) if word.startswith("./") else found

    assert isinstance(found, Finding)
    assert found.code == "RUN_NOT_IN_BUNDLE"
    assert isinstance(argument, Finding)


def test_words_are_arguments_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("#!/bin/sh\n")
    (tmp_path / "x").chmod(0o755)
    words = ["./x", "$(touch pwned)", "; rm -rf /", "--", "a/../b", ""]

    assert resolve(words, tmp_path) == [str(tmp_path / "x"), *words[1:]]
