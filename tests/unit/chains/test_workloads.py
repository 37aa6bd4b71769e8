"""A workload is checked by itself and made whole."""

from datetime import timedelta

import pytest

from enchain.chains import workloads
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import Json, from_struct, to_value
from enchain.v1 import workload_pb2
from tests.harness.sites import edited, site


def _faults(workload: workload_pb2.Workload) -> set[tuple[str, str]]:
    with pytest.raises(InvalidArgumentError) as caught:
        workloads.check(workload)
    return {(v.field, v.reason) for v in caught.value.violations}


def test_defaults_are_filled_in() -> None:
    checked = workloads.check(site())

    assert checked.timeout.ToTimedelta() == timedelta(hours=1)
    assert checked.on_failure == workload_pb2.ON_FAILURE_COMPENSATE
    assert from_struct(checked.inputs)["required"] == ["name"]
    retry = checked.steps[0].implementations[0].retry
    assert (retry.max_attempts, retry.initial_backoff.seconds, retry.max_backoff.seconds) == (3, 1, 30)


def test_checking_again_changes_nothing() -> None:
    checked = workloads.check(site())

    assert workloads.check(checked) == checked


def test_the_one_that_was_sent_is_not_touched() -> None:
    sent = site()
    workloads.check(sent)

    assert sent == site()


def test_covering_only_itself_is_the_same_as_covering_nothing() -> None:
    sent = site()
    sent.steps[1].implementations[0].covers.append("serve")

    assert list(workloads.check(sent).steps[1].implementations[0].covers) == []


FIRST = "steps[0].implementations[0]"
SERVE = "steps[1].implementations[0]"
MISSING = None
RETRY = f"{SERVE}.retry"
BAD: dict[str, tuple[str, Json, str, str]] = {
    # What is edited, to what, and the field and the reason that are told.
    "no name": ("name", MISSING, "name", "REQUIRED"),
    "no steps": ("steps", [], "steps", "OUT_OF_RANGE"),
    "step named twice": ("steps[1].name", "configure", "steps[1].name", "DOUBLED"),
    "step with a dash": ("steps[0].name", "a-b", "steps[0].name", "INVALID_ID"),
    "step that CEL cannot read": ("steps[0].name", "in", "steps[0].name", "RESERVED_NAME"),
    "no engine": ("steps[0].implementations", [], "steps[0].implementations", "MISSING_IMPLEMENTATION"),
    "engine without id": (f"{SERVE}.engine", MISSING, f"{SERVE}.engine", "REQUIRED"),
    "engine twice": (
        "steps[0].implementations[2].engine", "terraform", "steps[0].implementations[2].engine", "DOUBLED",
    ),
    "covers a step twice": (f"{FIRST}.covers", ["configure"] * 2, f"{FIRST}.covers", "NOT_CONSECUTIVE"),
    "covers another step only": (f"{FIRST}.covers", ["serve"], f"{FIRST}.covers", "NOT_CONSECUTIVE"),
    "version range": (f"{SERVE}.version", ">=1", f"{SERVE}.version", "INVALID_VERSION"),
    "artifact without digest": (
        f"{FIRST}.artifacts.module.digest", MISSING, f"{FIRST}.artifacts.module.digest", "INVALID_DIGEST",
    ),
    "artifact and input at once": (f"{FIRST}.artifacts.with", {}, f"{FIRST}.inputs.with", "DOUBLED"),
    "fallback to nobody": (f"{FIRST}.fallback", "ansible", f"{FIRST}.fallback", "UNKNOWN_ENGINE"),
    "fallback to itself": (f"{FIRST}.fallback", "terraform", f"{FIRST}.fallback", "UNKNOWN_ENGINE"),
    "fallback that covers more": (f"{FIRST}.fallback", "process", f"{FIRST}.fallback", "COVERS_DIFFER"),
    "timeout of nothing": ("timeout", "0s", "timeout", "OUT_OF_RANGE"),
    "timeout of a year": ("timeout", "31536000s", "timeout", "OUT_OF_RANGE"),
    "timeout before the start": (f"{SERVE}.timeout", "-5s", f"{SERVE}.timeout", "OUT_OF_RANGE"),
    "eleven attempts": (RETRY, {"max_attempts": 11}, f"{RETRY}.max_attempts", "OUT_OF_RANGE"),
    "backoff below zero": (RETRY, {"initial_backoff": "-1s"}, f"{RETRY}.initial_backoff", "OUT_OF_RANGE"),
    "backoff that shrinks": (RETRY, {"max_backoff": "0.001s"}, f"{RETRY}.max_backoff", "OUT_OF_RANGE"),
    "success above one": ("slo", {"success": 99.5}, "slo.success", "OUT_OF_RANGE"),
    "p95 of nothing": ("slo", {"p95": "0s"}, "slo.p95", "OUT_OF_RANGE"),
    "negative unit": ("demand", {"unit": {"cpu": -1.0}}, "demand.unit.cpu", "OUT_OF_RANGE"),
    "signal with a blank": ("demand", {"unit": {"a b": 1.0}}, "demand.unit.a b", "INVALID_ID"),
    "empty PromQL": ("demand", {"prometheus": {"cpu": " "}}, "demand.prometheus.cpu", "OUT_OF_RANGE"),
    "country in words": ("demand", {"holidays": "Germany"}, "demand.holidays", "INVALID_ID"),
    "cron of four": ("demand", {"peaks": [{"cron": "0 9 * *"}]}, "demand.peaks[0].cron", "INVALID_CRON"),
    "peak of no time": ("demand", {"peaks": [{}]}, "demand.peaks[0].duration", "OUT_OF_RANGE"),
    "price below zero": ("cost", {"miss_price": -1.0}, "cost.miss_price", "OUT_OF_RANGE"),
    "currency in words": ("cost", {"currency_code": "Euro"}, "cost.currency_code", "INVALID_CURRENCY"),
    "input type unknown": ("inputs", {"name": "int"}, "inputs.name", "INVALID_SCHEMA"),
    "output with a capital": ("outputs.Url", {"string_value": "x"}, "outputs.Url", "INVALID_ID"),
    "description of a novel": ("description", "x" * 2001, "description", "OUT_OF_RANGE"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused_at_its_field(name: str) -> None:
    path, value, field, reason = BAD[name]

    assert (field, reason) in _faults(edited(site(), path, value))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("${steps.serve.outputs.url}", "OWN_STEP"),
        ("${steps.nowhere.outputs.url}", "UNKNOWN_STEP"),
        ("${inputs.colour}", "UNKNOWN_FIELD"),
        ("${inputs.name + 1}", "EXPRESSION_INVALID"),
        ("${port + 1}", "UNKNOWN_VARIABLE"),
        ("${inputs.name", "TEMPLATE_INVALID"),
        ("${}", "TEMPLATE_INVALID"),
    ],
)
def test_an_expression_that_cannot_work_is_refused_before_any_engine_is_asked(
    template: str, reason: str
) -> None:
    assert (f"{SERVE}.inputs.run[1]", reason) in _faults(site(run=["a", template]))


def test_an_expression_may_not_read_a_later_step() -> None:
    found = _faults(site(with_={"name": "${steps.serve.outputs.url}"}))

    assert (f"{FIRST}.inputs.with.name", "LATER_STEP") in found


def test_a_call_that_covers_two_steps_cannot_read_one_of_them() -> None:
    workload = site()
    workload.steps[0].implementations[1].inputs["files"].CopyFrom(
        to_value("${steps.configure.outputs.files}")
    )

    assert ("steps[0].implementations[1].inputs.files", "OWN_STEP") in _faults(workload)


def test_keys_are_no_templates() -> None:
    found = _faults(site(serve={"env": {"${inputs.name}": "x"}}))

    assert (f"{SERVE}.inputs.env.${{inputs.name}}", "EXPRESSION_IN_KEY") in found


def test_all_faults_are_told_at_once() -> None:
    workload = site(run=["${inputs.a}", "${inputs.b}"], outputs={"url": "${inputs.c}"})
    workload.cost.miss_price = -1

    found = _faults(workload)

    assert {field for field, _ in found} == {
        f"{SERVE}.inputs.run[0]",
        f"{SERVE}.inputs.run[1]",
        "outputs.url",
        "cost.miss_price",
    }


def test_a_variable_that_only_the_engine_knows_passes_before_it_is_asked() -> None:
    checked = workloads.check(site(run=["${port}", "--port=${port}"]))

    assert checked.steps[1].implementations[0].inputs["run"] == to_value(["${port}", "--port=${port}"])


def test_outputs_know_no_variables_of_engines() -> None:
    assert ("outputs.url", "UNKNOWN_VARIABLE") in _faults(site(outputs={"url": "${port}"}))
