"""Inputs from the command line: text by default, JSON where asked for, and refusals that help."""

from pathlib import Path

import click
import pytest

from enchain.cli.inputs import gather


def test_an_equals_sign_gives_text_and_a_colon_before_it_json() -> None:
    assert gather(("name=007", "count:=3", 'list:=["a"]'), None) == {"name": "007", "count": 3, "list": ["a"]}


def test_only_the_first_equals_sign_counts() -> None:
    assert gather(("query=a=b:=c",), None) == {"query": "a=b:=c"}


def test_pairs_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text("name: file\nsize: 2\n")

    assert gather(("name=pair",), file) == {"name": "pair", "size": 2}


@pytest.mark.parametrize("pair", ["name", "=x", "count:=three"])
def test_a_malformed_pair_is_refused(pair: str) -> None:
    with pytest.raises(click.UsageError):
        gather((pair,), None)


def test_a_file_without_a_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text("- a\n")

    with pytest.raises(click.UsageError, match="no mapping"):
        gather((), file)
