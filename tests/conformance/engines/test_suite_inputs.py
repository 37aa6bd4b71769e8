"""Suite inputs: what a file may say, and how precisely it is told what it may not."""

from pathlib import Path

import pytest
import yaml

from enchain.artifacts.packing import digest_of, pack
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import EngineVariable, SecretRef, TemplateText
from enchain.sdk.conformance import suite
from enchain.sdk.conformance.samples import NAMES, read

DIGEST = "sha256:" + "0" * 64
PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_a_sample_takes_the_shared_artifacts_unless_it_has_its_own() -> None:
    inputs = read(
        {
            "artifacts": {"module": DIGEST},
            "good": {"inputs": {"size": 1}},
            "slow": {"artifacts": {"module": DIGEST.replace("0", "1")}, "seconds": 2},
        }
    )

    assert inputs.samples["good"].artifacts == {"module": DIGEST}
    assert inputs.samples["good"].values()["size"].int_value == 1
    assert inputs.samples["slow"].artifacts == {"module": DIGEST.replace("0", "1")}


def test_a_directory_stands_for_its_digest(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "main.tf").write_text("")
    content = pack(tmp_path / "module")

    inputs = read({"good": {"artifacts": {"module": "module"}}}, directory=tmp_path)

    assert inputs.samples["good"].artifacts == {"module": digest_of(content)}
    assert inputs.packed == {digest_of(content): content}


def test_references_and_templates_are_values_of_their_own() -> None:
    port = {"$template": ["--port=", {"$variable": "port"}]}

    inputs = read({"good": {"inputs": {"token": {"$secret": "env:token"}, "run": [port]}}})

    assert inputs.samples["good"].inputs == {
        "token": SecretRef("env:token"),
        "run": [TemplateText(("--port=", EngineVariable("port")))],
    }


def test_a_secret_given_on_the_command_line_wins() -> None:
    document = {"secret": {"inputs": {"token": {"$secret": "env:token"}}, "value": "in the file"}}

    assert read(document).samples["secret"].secret == "in the file"
    assert read(document, secret="on the line").samples["secret"].secret == "on the line"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "the document must be a map"),
        ({"goood": {}}, "the document.goood is unknown"),
        ({"good": {"input": {}}}, "good.input is unknown"),
        ({"good": {"inputs": {"when": 2**70}}}, "inputs.when"),
        ({"good": {"inputs": {"run": {"$template": [7]}}}}, "good.inputs.run a part of a template"),
        ({"good": {"artifacts": {"module": "nowhere"}}}, "good.module 'nowhere' is neither"),
        ({"slow": {"inputs": {}}}, "slow.seconds is missing"),
        ({"secret": {"inputs": {}}}, "secret.value is missing"),
        ({"wrong": [{"inputs": {}}]}, "wrong[0].path is missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_precisely(document: object, told: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read(document)

    assert told in caught.value.message


def test_the_page_names_every_check_with_its_rule() -> None:
    rows = [line.split(" | ")[:2] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {name.strip("|` "): rule for name, rule in rows}

    assert {check.name: told.get(check.name) for check in suite.CHECKS} == {
        check.name: check.rule for check in suite.CHECKS
    }


def test_the_sample_file_on_the_page_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    block = PAGE.read_text().partition("```yaml\n")[2].partition("```")[0]

    inputs = read(yaml.safe_load(block), directory=tmp_path)

    assert list(inputs.samples) == list(NAMES)
    assert inputs.wrong[0].path == "inputs.colour"
