"""Inputs from the command line: text by default, JSON where asked for, and refusals that help."""

from pathlib import Path

import click
import pytest

from enchain.chains.values import SecretRef
from enchain.cli import exits
from enchain.cli.inputs import gather


def test_an_equals_sign_gives_text_and_a_colon_before_it_json() -> None:
    assert gather(("name=007", "count:=3", 'list:=["a"]'), None) == {"name": "007", "count": 3, "list": ["a"]}


def test_only_the_first_equals_sign_counts() -> None:
    assert gather(("query=a=b:=c",), None) == {"query": "a=b:=c"}


def test_pairs_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text("name: file\nsize: 2\n")

    assert gather(("name=pair",), file) == {"name": "pair", "size": 2}


@pytest.mark.parametrize("pair", ["name", "=x", ":=1", "count:=three"])
def test_a_malformed_pair_is_refused(pair: str) -> None:
    with pytest.raises(click.UsageError):
        gather((pair,), None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "inputs.yaml:1: is to be a mapping"),
        ("a: 1\n---\nb: 2\n", "inputs.yaml:3: inputs are one document"),
        ("a: 1\na: 2\n", "inputs.yaml:2: a: stands here for the second time"),
        ("a: [\n", "is no YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text(text)

    with pytest.raises(SystemExit) as left:
        gather((), file)

    assert left.value.code == exits.INVALID
    assert words in capsys.readouterr().err


def test_an_empty_file_gives_no_inputs_and_times_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text("# nothing\n")
    assert gather((), file) == {}

    file.write_text("day: 2026-12-01\n")
    assert gather((), file) == {"day": "2026-12-01"}


def test_a_secret_is_a_reference_in_pairs_and_files_alike(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text('login: {user: bo, password: {$secret: "env:db"}}\n')

    found = gather(('token:={"$secret": "file:token"}', 'text={"$secret": "x"}'), file)

    assert found == {
        "login": {"user": "bo", "password": SecretRef("env:db")},
        "token": SecretRef("file:token"),
        "text": '{"$secret": "x"}',
    }
