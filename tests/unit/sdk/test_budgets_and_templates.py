"""Small pure parts of the SDK: budgets, the flood gate, templates, schemas, calls, and what secrets leave."""

import pytest

from enchain.chains.errors import ExhaustedError, InvalidArgumentError
from enchain.chains.values import EngineVariable, SecretRef, TemplateText, to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.sdk import budgets, schemas, templates
from enchain.sdk.calls import INPUT_BYTES_MAX, check_sizes, fingerprint, parse_call
from enchain.sdk.flood import LINES_AT_ONCE, LINES_PER_SECOND, FloodGate
from enchain.sdk.port import Finding, StepFailedError
from enchain.sdk.secrets import EnvironmentSecrets, SeenSecrets
from enchain.v1 import operation_pb2, workload_pb2

VERBS = frozenset({operation_pb2.VERB_PROVISION})


def call(**about: object) -> engine_pb2.StepCall:
    fields = {"work_id": "uid/step", "verb": operation_pb2.VERB_PROVISION, "generation": 1, **about}
    return engine_pb2.StepCall(**fields)  # type: ignore[arg-type]  # some of them are wrong on purpose


@pytest.mark.parametrize(
    ("about", "field"),
    [
        ({"work_id": "../step"}, "call.work_id"),
        ({"work_id": "uid/../../etc"}, "call.work_id"),
        ({"work_id": "uid"}, "call.work_id"),
        ({"work_id": "uid/.hidden"}, "call.work_id"),
        ({"work_id": "uid/step\0"}, "call.work_id"),
        ({"tenant": "a/b"}, "call.tenant"),
        ({"tenant": ".."}, "call.tenant"),
        ({"generation": 0}, "call.generation"),
        ({"verb": operation_pb2.VERB_DEPROVISION}, "call.verb"),
    ],
)
def test_a_malformed_call_is_refused_with_the_field_at_fault(about: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_call(call(**about), VERBS)

    assert field in [violation.field for violation in caught.value.violations]


def test_oversize_inputs_are_refused() -> None:
    request = engine_pb2.ApplyRequest(inputs=to_value_map({"text": "x" * INPUT_BYTES_MAX}))

    with pytest.raises(ExhaustedError) as caught:
        check_sizes(request)

    assert caught.value.reason == "INPUTS_TOO_LARGE"


def test_an_artifact_is_named_by_a_digest_and_by_nothing_else() -> None:
    request = engine_pb2.ApplyRequest(artifacts={"module": workload_pb2.ArtifactRef(digest="sha256:../../x")})

    with pytest.raises(InvalidArgumentError):
        check_sizes(request)


def test_the_fingerprint_tells_parameters_apart_and_not_callers() -> None:
    one = engine_pb2.ApplyRequest(call=call(), inputs=to_value_map({"a": 1}))
    other_caller = engine_pb2.ApplyRequest(
        call=call(token=engine_pb2.FencingToken(revision=9), traceparent="00-1-2-01"),
        inputs=to_value_map({"a": 1}),
    )
    other_inputs = engine_pb2.ApplyRequest(call=call(), inputs=to_value_map({"a": 2}))

    assert fingerprint(one) == fingerprint(other_caller)
    assert fingerprint(one) != fingerprint(other_inputs)


def test_a_flood_is_let_through_at_a_steady_rate_and_the_rest_is_counted() -> None:
    gate = FloodGate(0.0)
    passed = sum(gate.admit(50, second / 10_000) for second in range(20_000))  # two seconds of lines

    assert passed <= LINES_AT_ONCE + 2 * LINES_PER_SECOND
    assert passed + gate.dropped_total == 20_000


def test_diagnostics_are_cut_to_the_budget_and_marked() -> None:
    told = [
        budgets.diagnostic(Finding("x" * 1000, detail="y" * 9000), step="s", engine="e", tool="t")
        for _ in range(20)
    ]

    kept = budgets.fitting(told)

    assert sum(item.ByteSize() for item in kept) <= budgets.DIAGNOSTIC_BYTES_MAX
    assert all(item.truncated for item in kept)


def test_a_lone_hole_keeps_its_type_and_others_become_text() -> None:
    lone, mixed = TemplateText((EngineVariable("port"),)), TemplateText(("p=", EngineVariable("port")))

    assert templates.fill({"a": lone, "b": [mixed, 1]}, {"port": 80}) == {"a": 80, "b": ["p=80", 1]}


def test_a_hole_that_the_engine_does_not_know_fails_before_anything_is_made() -> None:
    with pytest.raises(StepFailedError) as caught:
        templates.fill(TemplateText((EngineVariable("host"),)), {"port": 80})

    assert not caught.value.left_behind
    assert "port" in caught.value.findings[0].detail


def test_values_off_the_schema_are_told_field_by_field_without_being_repeated() -> None:
    schema = schemas.to_struct(
        {
            "type": "object",
            "properties": {"run": {"type": "array", "items": {"type": "string"}}, "port": {"maximum": 65535}},
            "required": ["name"],
        }
    )

    faults = schemas.check({"run": ["ok", 7], "port": 99999}, schema, field="inputs")

    assert [fault.field for fault in faults] == ["inputs", "inputs.port", "inputs.run[1]"]
    assert not any("99999" in fault.description for fault in faults)


def test_secrets_and_holes_pass_every_schema() -> None:
    schema = schemas.to_struct({"properties": {"port": {"type": "integer"}, "word": {"minLength": 8}}})
    values = {"port": TemplateText((EngineVariable("port"),)), "word": SecretRef("env:x")}

    assert schemas.check(values, schema, field="inputs") == ()


async def test_a_secret_that_was_resolved_is_scrubbed_in_every_form() -> None:
    seen = SeenSecrets(EnvironmentSecrets({"ENCHAIN_SECRET_DB": 'pass"word\nline-two'}))

    await seen.resolve(SecretRef("env:db"), tenant="default")

    assert "word" not in seen.scrub('log: pass"word and "pass\\"word\\nline-two"')
    assert "line-two" not in seen.scrub("only line-two")
    assert seen.tells({"a": ["x line-two"]})


async def test_the_environment_belongs_to_the_default_tenant() -> None:
    store = EnvironmentSecrets({"ENCHAIN_SECRET_DB": "sesame"})

    with pytest.raises(StepFailedError):
        await store.resolve(SecretRef("env:db"), tenant="other")
