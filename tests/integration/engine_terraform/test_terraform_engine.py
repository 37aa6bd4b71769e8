"""The terraform engine with real Terraform: apply, update, destroy, and what is said when they fail."""

import asyncio
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.sdk.testing import EngineHarness, handle_data, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.terraform_modules import (
    SITE,
    UID,
    Modules,
    both_tools,
    content_of,
    files_of,
    found_below,
    ids_in,
    names_in,
)

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
    result = await harness.apply(
        artifacts={"module": broken}, prior=made.handle, verb=operation_pb2.VERB_UPDATE, generation=2
    )
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


async def test_inputs_off_the_modules_variables_are_refused(harness: EngineHarness, modules: Modules) -> None:
    module = modules("site", main_tf=SITE)
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.apply({"with": {"name": "a", "nmae": "b", "copies": "three"}}, {"module": module})

    assert {violation.field for violation in caught.value.violations} == {"inputs.with", "inputs.with.copies"}


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
