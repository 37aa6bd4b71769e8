"""A chain is derived from its workload and checked against what its engines take and give."""

import pytest

from enchain.chains import chains, workloads
from enchain.chains.errors import InvalidArgumentError, OurError
from enchain.chains.names import ChainName
from enchain.chains.values import Json, to_struct, to_value, to_value_map
from enchain.v1 import chain_pb2, workload_pb2
from tests.harness.sites import MODULE, PROCESS, SCHEMAS, TERRAFORM, answers, derived, site

SERVE = "steps[1].implementations[0].inputs"


def _faults(workload: workload_pb2.Workload, use: dict[str, str] | None = None) -> set[tuple[str, str]]:
    with pytest.raises(InvalidArgumentError) as caught:
        derived(workload, use)
    return {(v.field, v.reason) for v in caught.value.violations}


def test_the_default_chain_takes_the_first_implementation_of_each_step() -> None:
    chain = derived(site())

    assert [(list(c.steps), c.engine, c.version) for c in chain.steps] == [
        (["configure"], "terraform", "1.0.0"),
        (["serve"], "process", "1.0.0"),
    ]
    assert chain.steps[0].artifacts["module"] == MODULE
    assert chain.steps[0].schema == TERRAFORM
    assert chain.on_failure == workload_pb2.ON_FAILURE_COMPENSATE


def test_an_engine_that_covers_two_steps_is_called_once() -> None:
    chain = derived(site(), {"configure": "process"})

    assert [(list(c.steps), c.engine) for c in chain.steps] == [(["configure", "serve"], "process")]
    assert dict(chain.use) == {"configure": "process"}


def test_a_chain_is_named_by_what_it_does() -> None:
    chain = derived(site())
    name = ChainName.parse(chain.name)

    assert chain.digest.removeprefix("sha256:").startswith(name.revision)
    assert len(name.revision) == 12
    assert derived(site()).name == chain.name
    assert derived(site(), {"configure": "process"}).name != chain.name


def test_what_is_only_for_people_changes_no_revision() -> None:
    checked = workloads.check(site())
    checked.etag = "7"
    found = answers(chains.needs(checked, {}))

    assert chains.derive(checked, "default", {}, found, description="x").name == derived(site()).name


def test_needs_name_each_schema_once_with_its_artifacts() -> None:
    first, second = chains.needs(workloads.check(site()), {})

    assert (first.engine, first.version, first.steps) == ("terraform", "", ("configure",))
    assert first.artifact_refs()["module"].digest == MODULE.digest
    assert (second.engine, second.steps, second.where) == (
        "process", ("serve",), "steps[1].implementations[0]",
    )  # fmt: skip


def test_a_schema_that_was_not_asked_for_is_our_fault() -> None:
    with pytest.raises(OurError):
        chains.derive(workloads.check(site()), "default", {}, {})


@pytest.mark.parametrize(
    ("use", "field", "reason"),
    [
        ({"configure": "ansible"}, "use.configure", "UNKNOWN_ENGINE"),
        ({"build": "terraform"}, "use.build", "UNKNOWN_STEP"),
        ({"configure": "process", "serve": "terraform"}, "use.serve", "STEPS_OVERLAP"),
    ],
)
def test_a_use_that_makes_no_chain_is_refused(use: dict[str, str], field: str, reason: str) -> None:
    assert _faults(site(), use) == {(field, reason)}


def test_a_step_that_nobody_does_in_this_chain_is_missing() -> None:
    workload = site()
    del workload.steps[1].implementations[:]

    assert _faults(workload) == {("steps[1].implementations", "MISSING_STEP")}
    assert len(derived(workload, {"configure": "process"}).steps) == 1


@pytest.mark.parametrize(
    ("serve", "field", "reason"),
    [
        ({"files": "${steps.configure.outputs.count}"}, "files", "TYPE_MISMATCH"),
        ({"files": "${steps.configure.outputs.tags}"}, "files", "TYPE_MISMATCH"),
        ({"files": "all ${steps.configure.outputs.tags}"}, "files", "TYPE_MISMATCH"),
        ({"count": "${steps.configure.outputs.ratio}"}, "count", "TYPE_MISMATCH"),
        ({"count": "3"}, "count", "TYPE_MISMATCH"),
        ({"count": "${port}-${port}"}, "count", "TYPE_MISMATCH"),
        ({"files": "${steps.configure.outputs.file}"}, "files", "UNKNOWN_FIELD"),
        ({"files": "x-${steps.configure.outputs.password}"}, "files", "SECRET_NOT_WHOLE"),
        ({"files": "${steps.configure.outputs.password + 'x'}"}, "files", "SECRET_NOT_WHOLE"),
        ({"file": "x"}, "file", "UNKNOWN_FIELD"),
        ({"restart": "sometimes"}, "restart", "NOT_ALLOWED"),
        ({"restart": "${steps.configure.outputs.count}"}, "restart", "TYPE_MISMATCH"),
        ({"env": {"COUNT": "${steps.configure.outputs.count}"}}, "env.COUNT", "TYPE_MISMATCH"),
        ({"files": "${host}"}, "files", "UNKNOWN_VARIABLE"),
    ],
)
def test_inputs_must_fit_their_engine(serve: dict[str, Json], field: str, reason: str) -> None:
    assert (f"{SERVE}.{field}", reason) in _faults(site(serve=serve))


@pytest.mark.parametrize(
    "serve",
    [
        {"files": "${string(steps.configure.outputs.count)}"},
        {"count": "${steps.configure.outputs.count + 1}"},
        {"count": "${port}"},
        {"files": "${port}"},
        {"files": "${steps.configure.outputs.password}"},
        {"restart": "${steps.configure.outputs.files}"},
        {"env": {"TAG": "${steps.configure.outputs.tags[0]}-${steps.configure.outputs.count}"}},
        {"files": "$${not an expression}"},
    ],
)
def test_inputs_that_fit_pass(serve: dict[str, Json]) -> None:
    assert len(derived(site(serve=serve)).steps[1].inputs) == 2


def test_an_engine_variable_amid_an_expression_is_refused_with_a_remedy() -> None:
    checked = workloads.check(site())
    checked.steps[1].implementations[0].inputs["count"].CopyFrom(to_value("${port + 1}"))

    with pytest.raises(InvalidArgumentError) as caught:
        chains.derive(checked, "default", {}, answers(chains.needs(checked, {})))
    fault = caught.value.violations[0]
    assert (fault.field, fault.reason) == (f"{SERVE}.count", "ENGINE_VARIABLE_NOT_ALONE")
    assert "write ${port} by itself" in fault.description


def test_a_required_input_that_is_missing_is_named() -> None:
    workload = site(serve={})
    del workload.steps[1].implementations[0].inputs["run"]

    assert _faults(workload) == {(f"{SERVE}.run", "REQUIRED")}


def test_a_covering_call_gives_its_outputs_to_each_of_its_steps() -> None:
    outputs = {"a": "${steps.configure.outputs.url}", "b": "${steps.serve.outputs.url}"}

    assert set(derived(site(outputs=outputs), {"configure": "process"}).outputs) == {"a", "b"}
    assert ("outputs.a", "UNKNOWN_FIELD") in _faults(site(outputs=outputs))


def test_a_schema_that_an_engine_got_wrong_is_told() -> None:
    checked = workloads.check(site())
    broken = chain_pb2.EngineSchema(inputs=to_struct({"type": "object", "properties": {"run": 3}}))
    found = {n: chains.SchemaAnswer("1", broken) for n in chains.needs(checked, {})}

    with pytest.raises(InvalidArgumentError) as caught:
        chains.derive(checked, "default", {}, found)
    assert caught.value.violations[0].field == "steps[0].implementations[0].schema.inputs.run"


# --- fallbacks


def _with_fallback() -> workload_pb2.Workload:
    workload = site()
    workload.steps[0].implementations[0].fallback = "script"
    return workload


def test_a_fallback_is_derived_too() -> None:
    fallback = derived(_with_fallback()).steps[0].fallback

    assert (fallback.engine, list(fallback.steps)) == ("script", ["configure"])
    assert fallback.inputs["body"] == to_value("true")
    assert [n.engine for n in chains.needs(workloads.check(_with_fallback()), {})] == [
        "terraform", "script", "process",
    ]  # fmt: skip


def test_later_steps_must_fit_the_outputs_of_a_fallback_too() -> None:
    checked = workloads.check(_with_fallback())
    other = chain_pb2.EngineSchema(
        outputs=to_struct({"type": "object", "properties": {"directory": {"type": "string"}}})
    )
    schemas = {**SCHEMAS, "script": other}
    found = {n: chains.SchemaAnswer("1", schemas[n.engine]) for n in chains.needs(checked, {})}

    with pytest.raises(InvalidArgumentError) as caught:
        chains.derive(checked, "default", {}, found)
    assert {(v.field, v.reason) for v in caught.value.violations} == {(f"{SERVE}.files", "UNKNOWN_FIELD")}


def test_a_process_schema_takes_the_documented_example() -> None:
    run = ["python3", "-m", "http.server", "${port}"]
    chain = derived(site(run=run))

    assert chain.steps[1].inputs["run"] == to_value_map({"run": run})["run"]
    assert chain.steps[1].schema == PROCESS
