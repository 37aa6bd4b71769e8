"""What people give to Terraform stays data, and secrets stay secret."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from enchain.chains.values import SecretRef
from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2
from tests.harness.terraform_modules import (
    SITE,
    Modules,
    both_tools,
    content_of,
    everything_said,
    found_below,
)

SECRETS = """
variable "password" {
  type      = string
  sensitive = true
}
variable "more" {
  type      = map(string)
  sensitive = true
  default   = {}
}
resource "terraform_data" "it" {
  input = var.password
  provisioner "local-exec" {
    command = "echo 'using ${var.password}'; exit ${length(var.more) > 1 ? 4 : 0}"
  }
}
output "token" {
  value     = "token of ${var.password}"
  sensitive = true
}
output "all" {
  value     = var.more
  sensitive = true
}
output "length" { value = nonsensitive(length(var.password)) }
"""


@pytest.mark.parametrize(
    "hostile",
    [
        '${file("/etc/passwd")}',
        "%{ if true }yes%{ endif }",
        '"; touch pwned; echo "',
        "$(touch pwned)",
        "-var=copies=9",
        "line\nbreak \\ \u2028 🦊",
    ],
)
async def test_hostile_text_stays_text(
    harness: EngineHarness, modules: Modules, hostile: str, tmp_path: Path
) -> None:
    result = await harness.apply(
        {"with": {"name": hostile, "copies": 1}}, {"module": modules("site", main_tf=SITE)}
    )

    assert outputs_of(result)["files"] == {"index.html": f"<h1>{hostile}</h1>"}
    assert content_of(outputs_of(result)["pages"], "page-0.txt") == hostile
    assert not found_below(tmp_path, "pwned")


@both_tools
async def test_secrets_are_used_and_never_told(
    tmp_path: Path, environ: Mapping[str, str], modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'hunter2-${1+1}"x'
    monkeypatch.setenv("ENCHAIN_SECRET_DB", secret)
    scope = tmp_path / "scope"
    async with EngineHarness(TerraformEngine(environ), scope=scope) as harness:
        inputs = {"with": {"password": SecretRef("env:db"), "more": {"a": "${b}plain-text"}}}
        made = await harness.apply(inputs, {"module": modules("secret", main_tf=SECRETS)})
        said = everything_said(harness)
        kept = {path for path in scope.rglob("*") if path.is_file() and _holds(path, secret, "plain-text")}
        modes = {path.stat().st_mode & 0o777 for path in kept}
        gone = await harness.destroy(made.handle)
        said += everything_said(harness)

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    outputs = outputs_of(made)
    assert outputs["length"] == len(secret)
    assert isinstance(outputs["token"], SecretRef)
    assert isinstance(outputs["all"], SecretRef)
    assert "hunter2" not in said
    assert "plain-text" not in said
    # Terraform's own state holds them in plain, and the secret store.
    assert {_kind(path) for path in kept} == {"state", "secrets"}
    assert modes == {0o600}
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


def _holds(path: Path, *texts: str) -> bool:
    content = path.read_bytes()
    return any(text.encode() in content or json.dumps(text)[1:-1].encode() in content for text in texts)


def _kind(path: Path) -> str:
    return "state" if path.parent.name == "state" else "secrets" if "secrets" in path.parts else str(path)


async def test_the_error_of_a_command_does_not_tell_the_secret_in_it(
    tmp_path: Path, environ: Mapping[str, str], modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCHAIN_SECRET_DB", "hunter2-hunter2")
    async with EngineHarness(TerraformEngine(environ), scope=tmp_path / "scope") as harness:
        inputs = {"with": {"password": SecretRef("env:db"), "more": {"a": "aaaaaa", "b": "bbbbbb"}}}
        result = await harness.apply(inputs, {"module": modules("secret", main_tf=SECRETS)})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert "exit status 4" in result.diagnostics[0].detail
    assert "hunter2" not in everything_said(harness)


async def test_a_secret_for_a_variable_that_shows_it_is_refused(
    harness: EngineHarness, modules: Modules
) -> None:
    inputs = {"with": {"name": SecretRef("env:db")}}
    result = await harness.apply(inputs, {"module": modules("site", main_tf=SITE)})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "SECRET_EXPOSED"


async def test_the_schema_names_what_is_secret(harness: EngineHarness, modules: Modules) -> None:
    schema = await harness.schema({"module": modules("secret", main_tf=SECRETS)})

    assert list(schema.secret_outputs) == ["all", "token"]
    assert list(schema.handle_schemas) == ["terraform/1"]
