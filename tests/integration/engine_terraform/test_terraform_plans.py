"""Plans of the terraform engine: they say what would happen, change nothing, and are carried out exactly."""

import json
from functools import partial
from pathlib import Path

from enchain.chains.values import to_python_map
from enchain.engine.v1 import engine_pb2
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1.provisioning_pb2 import PlannedChange
from tests.harness.terraform_modules import Modules, files_of

MODULE = """
variable "name" { type = string }
variable "copies" {
  type    = number
  default = 1
}
resource "terraform_data" "copy" {
  count = var.copies
  input = var.name
}
output "name" { value = var.name }
output "id" { value = terraform_data.copy[0].id }
output "secret" {
  value     = "of ${var.name}"
  sensitive = true
}
"""


def resources_in(tmp_path: Path) -> list[str]:
    state = json.loads((files_of(tmp_path / "scope") / "state" / "terraform.tfstate").read_text())
    return [resource["name"] for resource in state["resources"]]


def changes_of(planned: engine_pb2.PlanResult) -> dict[str, str]:
    return {change.address: PlannedChange.Action.Name(change.action) for change in planned.plan.changes}


async def test_a_plan_says_what_would_be_made_and_makes_nothing(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    inputs = {"with": {"name": "alpha", "copies": 2}}
    planned = await harness.plan(inputs, {"module": modules("m", main_tf=MODULE)})

    assert not planned.diagnostics
    assert changes_of(planned) == {
        "terraform_data.copy[0]": "ACTION_CREATE",
        "terraform_data.copy[1]": "ACTION_CREATE",
    }
    # The id is not known yet, and the secret is not told.
    assert to_python_map(planned.plan.outputs, field="outputs") == {"name": "alpha"}
    assert planned.plan.digest.startswith("sha256:")
    assert planned.plan.summary == "Plan: 2 to add, 0 to change, 0 to destroy."
    assert not (files_of(tmp_path / "scope") / "state" / "terraform.tfstate").exists()


async def test_exactly_the_plan_is_applied(harness: EngineHarness, modules: Modules) -> None:
    inputs, artifacts = {"with": {"name": "alpha"}}, {"module": modules("m", main_tf=MODULE)}
    planned = await harness.plan(inputs, artifacts)
    made = await harness.apply(inputs, artifacts, plan_digest=planned.plan.digest)

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert outputs_of(made)["name"] == "alpha"


async def test_an_update_is_planned_beside_what_stands(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    first, more = modules("m", main_tf=MODULE), 'resource "terraform_data" "more" {}\n'
    made = await harness.apply({"with": {"name": "alpha"}}, {"module": first})
    inputs, artifacts = {"with": {"name": "beta"}}, {"module": modules("n", main_tf=MODULE, more_tf=more)}
    planned = await harness.plan(
        inputs, artifacts, prior=made.handle, verb=operation_pb2.VERB_UPDATE, generation=2
    )
    live = sorted(path.name for path in (files_of(tmp_path / "scope") / "module").iterdir())
    updated = await harness.apply(
        inputs,
        artifacts,
        prior=made.handle,
        plan_digest=planned.plan.digest,
        verb=operation_pb2.VERB_UPDATE,
        generation=2,
    )

    assert changes_of(planned) == {
        "terraform_data.copy[0]": "ACTION_UPDATE",
        "terraform_data.more": "ACTION_CREATE",
    }
    assert live == ["main.tf", "zz_enchain_override.tf.json"]
    assert updated.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, updated
    assert outputs_of(updated)["name"] == "beta"
    assert resources_in(tmp_path) == ["copy", "more"]


async def test_a_plan_is_stale_once_something_else_was_applied(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    artifacts = {"module": modules("m", main_tf=MODULE)}
    made = await harness.apply({"with": {"name": "alpha"}}, artifacts)
    update = partial(harness.apply, artifacts=artifacts, prior=made.handle, verb=operation_pb2.VERB_UPDATE)
    planned = await harness.plan(
        {"with": {"name": "beta"}},
        artifacts,
        prior=made.handle,
        verb=operation_pb2.VERB_UPDATE,
        generation=2,
    )
    plan = files_of(tmp_path / "scope") / "plans" / planned.plan.digest.removeprefix("sha256:")
    kept = {path.name: path.read_bytes() for path in plan.iterdir()}
    await update({"with": {"name": "gamma"}}, generation=2)
    gone = await update({"with": {"name": "beta"}}, plan_digest=planned.plan.digest, generation=3)
    # Even where the file is still there, Terraform itself refuses it.
    plan.mkdir(parents=True)
    for name, content in kept.items():
        (plan / name).write_bytes(content)
    refused = await update({"with": {"name": "beta"}}, plan_digest=planned.plan.digest, generation=4)

    for result in (gone, refused):
        assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
        assert result.diagnostics[0].code == "PLAN_STALE"
    seen = await harness.observe(made.handle, generation=5)
    assert to_python_map(seen.outputs, field="outputs")["name"] == "gamma"


async def test_a_plan_for_other_inputs_is_not_applied(harness: EngineHarness, modules: Modules) -> None:
    artifacts = {"module": modules("m", main_tf=MODULE)}
    planned = await harness.plan({"with": {"name": "alpha"}}, artifacts)
    result = await harness.apply({"with": {"name": "beta"}}, artifacts, plan_digest=planned.plan.digest)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "PLAN_STALE"


async def test_a_destroy_can_be_planned_and_carried_out(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    made = await harness.apply({"with": {"name": "alpha"}}, {"module": modules("m", main_tf=MODULE)})
    planned = await harness.plan(prior=made.handle, verb=operation_pb2.VERB_DEPROVISION, generation=2)
    gone = await harness.destroy(made.handle, plan_digest=planned.plan.digest)

    assert changes_of(planned) == {"terraform_data.copy[0]": "ACTION_DELETE"}
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone
    assert not files_of(tmp_path / "scope").exists()


async def test_a_plan_that_fails_says_why_and_leaves_no_draft(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    module = modules("bad", main_tf='output "x" { value = local.missing }')
    planned = await harness.plan(artifacts={"module": module})

    assert planned.diagnostics[0].source.file == "main.tf"
    assert "local" in planned.diagnostics[0].summary
    assert not planned.plan.digest
    assert not list((files_of(tmp_path / "scope") / "plans").iterdir())


async def test_what_stands_as_made_is_observed_without_drift(
    harness: EngineHarness, modules: Modules
) -> None:
    made = await harness.apply({"with": {"name": "alpha"}}, {"module": modules("m", main_tf=MODULE)})
    seen = await harness.observe(made.handle)

    assert seen.presence == engine_pb2.ObserveResponse.PRESENCE_PRESENT
    assert not seen.drift
    assert to_python_map(seen.outputs, field="outputs")["name"] == "alpha"
    assert "secret" not in seen.outputs


async def test_what_differs_from_how_it_was_made_is_drift(
    harness: EngineHarness, modules: Modules, tmp_path: Path
) -> None:
    other = tmp_path / "other.tfstate"
    module = modules(
        "reader",
        main_tf=f"""
        data "terraform_remote_state" "other" {{
          backend = "local"
          config  = {{ path = "{other}" }}
        }}
        resource "terraform_data" "it" {{}}
        output "seen" {{ value = data.terraform_remote_state.other.outputs.colour }}
        """,
    )
    _write_state(other, "red")
    made = await harness.apply(artifacts={"module": module})
    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    _write_state(other, "blue")
    seen = await harness.observe(made.handle)

    assert [(change.address, change.action) for change in seen.drift] == [
        ("output.seen", PlannedChange.ACTION_UPDATE)
    ]


async def test_what_was_never_made_or_is_destroyed_is_observed_as_absent(
    harness: EngineHarness, modules: Modules
) -> None:
    before = await harness.observe()
    made = await harness.apply({"with": {"name": "alpha"}}, {"module": modules("m", main_tf=MODULE)})
    await harness.destroy(made.handle)
    after = await harness.observe(generation=3)

    assert before.presence == engine_pb2.ObserveResponse.PRESENCE_ABSENT
    assert after.presence == engine_pb2.ObserveResponse.PRESENCE_ABSENT


def _write_state(path: Path, colour: str) -> None:
    outputs = {"colour": {"value": colour, "type": "string"}}
    state = {"version": 4, "terraform_version": "1.0.0", "serial": 1, "lineage": "x", "outputs": outputs}
    path.write_text(json.dumps({**state, "resources": []}))
