"""The redactor: what is marked as sensitive is gone, what is not is as it was."""

from enchain.engine.v1 import engine_pb2
from enchain.process.redaction import REDACTED, redacted
from enchain.v1 import diagnostic_pb2, operation_pb2, provisioning_pb2, value_pb2

SECRET = "hunter2"


def test_sensitive_inputs_keep_their_names_and_lose_their_values() -> None:
    request = provisioning_pb2.ProvisionRequest(workload="workloads/site", request_id="r-1")
    request.inputs["password"].string_value = SECRET
    request.inputs["size"].int_value = 4

    seen = redacted(request)

    assert (seen.workload, seen.request_id) == ("workloads/site", "r-1")
    assert {key: value.string_value for key, value in seen.inputs.items()} == {
        "password": REDACTED,
        "size": REDACTED,
    }


def test_the_message_that_was_given_is_not_changed() -> None:
    request = provisioning_pb2.ProvisionRequest()
    request.inputs["password"].string_value = SECRET
    before = request.SerializeToString(deterministic=True)

    redacted(request)

    assert request.SerializeToString(deterministic=True) == before


def test_sensitive_fields_are_found_however_deep_they_lie() -> None:
    event = engine_pb2.StepEvent(
        result=engine_pb2.StepResult(
            diagnostics=[diagnostic_pb2.Diagnostic(code="TOOL_FAILED", summary=SECRET, detail=SECRET)],
            handle=diagnostic_pb2.Handle(
                schema="terraform/1", data={"path": value_pb2.Value(string_value=SECRET)}
            ),
        )
    )
    event.result.outputs["url"].string_value = SECRET

    seen = redacted(event)

    assert SECRET not in str(seen)
    assert seen.result.diagnostics[0].code == "TOOL_FAILED"
    assert seen.result.handle.schema == "terraform/1"


def test_nested_lists_and_maps_of_values_are_redacted() -> None:
    value = value_pb2.Value()
    value.list_value.values.add().map_value.fields["token"].string_value = SECRET
    value.list_value.values.add().int_value = 7

    seen = redacted(value)

    assert SECRET not in str(seen)
    assert seen.list_value.values[1].int_value == 7


def test_a_whole_record_leaks_nothing() -> None:
    record = operation_pb2.Operation(name="tenants/default/operations/1")
    record.inputs["password"].string_value = SECRET
    record.outputs["url"].string_value = SECRET

    assert SECRET not in str(redacted(record))
    assert redacted(record).name == record.name
