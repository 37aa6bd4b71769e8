"""What is read from Terraform's output: progress, changes, findings. The lines are from Terraform 1.11."""

import json

import pytest

from enchain.engines.terraform.events import Reading, Told
from enchain.engines.terraform.findings import ended_badly, from_diagnostic, from_text
from enchain.v1 import diagnostic_pb2
from enchain.v1.provisioning_pb2 import PlannedChange


def line(kind: str, message: str, **more: object) -> str:
    return json.dumps({"@level": "info", "@message": message, "type": kind, **more})


def change(address: str, action: str, **more: object) -> str:
    return line(
        "planned_change",
        f"{address}: Plan to {action}",
        change={"resource": {"addr": address}, "action": action, **more},
    )


def hook(kind: str, address: str) -> str:
    return line(kind, f"{address}: {kind}", hook={"resource": {"addr": address}, "action": "create"})


def test_the_fraction_counts_what_is_done_of_what_was_planned() -> None:
    reading = Reading()
    reading.feed(change("a.one", "create"))
    reading.feed(change("a.two", "replace", reason="tainted"))
    reading.feed(change("a.three", "read"))
    began = reading.feed(hook("apply_start", "a.one"))
    ended = reading.feed(hook("apply_complete", "a.one"))

    assert began == Told(progress="a.one: apply_start", fraction=0.0)
    assert ended.fraction == pytest.approx(1 / 3)
    assert reading.changes == [
        PlannedChange(action=PlannedChange.ACTION_CREATE, address="a.one"),
        PlannedChange(action=PlannedChange.ACTION_REPLACE, address="a.two", detail="tainted"),
    ]


def test_what_began_and_did_not_end_is_in_flight() -> None:
    reading = Reading()
    for text in (hook("apply_start", "a.one"), hook("apply_start", "a.two"), hook("apply_errored", "a.one")):
        reading.feed(text)

    assert reading.begun
    assert reading.in_flight == {"a.two"}


def test_a_plan_alone_has_not_begun_anything() -> None:
    reading = Reading()
    reading.feed(change("a.one", "create"))

    assert not reading.begun


@pytest.mark.parametrize(
    "text", ["plain words", "{not json", '{"no": "message"}', '["@message"]', "{" * 100_000]
)
def test_a_line_that_is_no_event_is_passed_on_as_it_is(text: str) -> None:
    reading = Reading()

    assert reading.feed(text) == Told(log=text)
    assert reading.last_lines == [text]


def test_an_unknown_event_is_passed_on_as_its_message() -> None:
    assert Reading().feed(line("new_in_9_0", "Something new")) == Told(log="Something new")


def test_drift_and_output_changes_are_gathered() -> None:
    reading = Reading()
    reading.feed(
        line("resource_drift", "a.one: Drift", change={"resource": {"addr": "a.one"}, "action": "delete"})
    )
    reading.feed(line("outputs", "Outputs: 1", outputs={"url": {"sensitive": False, "action": "update"}}))

    assert reading.drift == [PlannedChange(action=PlannedChange.ACTION_DELETE, address="a.one")]
    assert reading.output_actions == {"url": "update"}


def test_a_diagnostic_becomes_a_finding_with_its_place() -> None:
    told = Reading().feed(
        line(
            "diagnostic",
            "Error: local-exec provisioner error",
            diagnostic={
                "severity": "error",
                "summary": "local-exec provisioner error",
                "detail": "exit status 3",
                "address": "terraform_data.site",
                "range": {"filename": "main.tf", "start": {"line": 7}},
                "snippet": {"code": '  provisioner "local-exec" {', "values": []},
            },
        )
    )

    assert told.finding is not None
    assert told.finding.code == "PROVISIONER_FAILED"
    assert told.finding.summary == "terraform_data.site: local-exec provisioner error"
    assert told.finding.detail == 'exit status 3\n  provisioner "local-exec" {'
    assert (told.finding.file, told.finding.line) == ("main.tf", 7)


def test_a_line_of_source_that_deals_with_a_secret_is_left_out() -> None:
    snippet = {
        "code": "x = var.pw",
        "values": [{"traversal": "var.pw", "statement": "has a sensitive value"}],
    }
    finding = from_diagnostic({"severity": "error", "summary": "No", "detail": "Why", "snippet": snippet})

    assert finding.detail == "Why"


def test_a_refused_variable_names_the_input() -> None:
    finding = from_diagnostic(
        {
            "severity": "error",
            "summary": "Invalid value for variable",
            "detail": "The size must be s or m.",
            "range": {"filename": "../inputs/values.tfvars.json", "start": {"line": 1}},
            "snippet": {"context": None, "code": "", "values": [{"traversal": "var.size", "statement": "x"}]},
        }
    )

    assert (finding.code, finding.path) == ("INVALID_VARIABLE", "inputs.with.size")
    assert finding.audience == diagnostic_pb2.AUDIENCE_REQUESTER
    assert (finding.file, finding.line) == ("", 0)


def test_the_text_of_an_init_is_read_into_findings() -> None:
    text = """
╷
│ Warning: Old thing
│
│ It is old.
╵
╷
│ Error: Unsupported Terraform Core version
│
│   on main.tf line 2, in terraform:
│    2:   required_version = ">= 99"
│
│ This configuration does not support Terraform version 1.11.4.
╵
"""
    warning, error = from_text(text)

    assert (warning.severity, warning.detail) == (diagnostic_pb2.SEVERITY_WARNING, "It is old.")
    assert (error.code, error.file, error.line) == ("TOOL_VERSION_UNSUPPORTED", "main.tf", 2)
    assert "does not support Terraform version" in error.detail


def test_a_tool_that_died_without_a_word_is_told_from_one_that_was_killed() -> None:
    assert ended_badly("apply", 1, "").exit_code == 1
    assert ended_badly("apply", -9, "").code == "TOOL_KILLED"
    assert ended_badly("apply", -9, "").exit_code is None
