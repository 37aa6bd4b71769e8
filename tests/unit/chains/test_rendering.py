"""What a router sends to an engine: a step's inputs, rendered from their templates."""

import pytest

from enchain.chains import runtime
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import (
    EngineVariable,
    Json,
    SecretRef,
    TemplateText,
    to_python,
    to_python_map,
    to_value,
    to_value_map,
)
from enchain.v1 import chain_pb2
from tests.harness.sites import derived, site

OUTPUTS = {
    "files": "/srv",
    "count": 2**60 + 1,
    "ratio": 2,
    "tags": ["a", "b"],
    "password": SecretRef("file:pw"),
}
PORT = EngineVariable("port")


def _chain() -> chain_pb2.Chain:
    return derived(site())


def _scope(inputs: dict[str, Json] | None = None) -> runtime.Scope:
    return runtime.scope_of(
        _chain(),
        inputs=to_value_map(inputs or {"name": "shop", "size": "small"}),
        outputs={"configure": to_value_map(OUTPUTS)},
        resource_id="my-site",
        resource_uid="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        tenant="default",
    )


def _rendered(template: Json, inputs: dict[str, Json] | None = None) -> Json:
    step = chain_pb2.ChainStep()
    step.CopyFrom(_chain().steps[1])
    step.inputs["files"].CopyFrom(to_value(template))
    return to_python(runtime.render_inputs(step, _scope(inputs))["files"])


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$${inputs.name}", "${inputs.name}"),
        ("${inputs.name}", "shop"),
        ("${steps.configure.outputs.count}", 2**60 + 1),
        ("${steps.configure.outputs.count + 1}", 2**60 + 2),
        ("${steps.configure.outputs.ratio}", 2),
        ("${steps.configure.outputs.ratio * 1.5}", 3.0),
        ("${steps.configure.outputs.tags}", ["a", "b"]),
        ("${steps.configure.outputs.tags[1]}", "b"),
        ("${steps.configure.outputs.password}", SecretRef("file:pw")),
        ("${has(steps.configure.outputs.password)}", True),
        ("${inputs.name}-${steps.configure.outputs.count}-${true}", f"shop-{2**60 + 1}-true"),
        ("${resource.id}/${resource.uid}", "my-site/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("${tenant}", "default"),
        ("${port}", TemplateText((PORT,))),
        ("--port=${port}", TemplateText(("--port=", PORT))),
        ("${inputs.name}:${port}${port}!", TemplateText(("shop:", PORT, PORT, "!"))),
        (["${inputs.name}", {"a": ["${tenant}"]}, 1, None], ["shop", {"a": ["default"]}, 1, None]),
    ],
)
def test_a_template_gives_its_value_with_its_type(template: Json, result: Json) -> None:
    found = _rendered(template)

    assert found == result
    assert type(found) is type(result)


def test_what_people_pass_in_is_data_and_never_evaluated() -> None:
    hostile = "${steps.configure.outputs.files}${port}"

    assert _rendered("${inputs.name}", {"name": hostile}) == hostile
    assert _rendered("a ${inputs.name}", {"name": hostile}) == f"a {hostile}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("${inputs.name}", "EXPRESSION_FAILED"),
        ("${steps.serve.outputs.url}", "EXPRESSION_FAILED"),
        ("${1 / 0}", "EXPRESSION_FAILED"),
        ("tags: ${steps.configure.outputs.tags}", "EXPRESSION_FAILED"),
        ("x${steps.configure.outputs.password}", "SECRET_NOT_WHOLE"),
        ("${'x' + steps.configure.outputs.password}", "SECRET_NOT_WHOLE"),
        ("${inputs.secret.size()}", "SECRET_NOT_WHOLE"),
        ("${string(size(inputs))}", "SECRET_NOT_WHOLE"),
    ],
)
def test_an_expression_without_a_result_names_the_input(template: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        _rendered([template], {"secret": SecretRef("env:S")})

    assert [(v.field, v.reason) for v in caught.value.violations] == [("steps.serve.inputs.files[0]", reason)]


def test_outputs_are_rendered_when_all_is_done() -> None:
    chain = _chain()
    done = {"serve": to_value_map({"url": "http://127.0.0.1:1"})}
    scope = runtime.scope_of(chain, inputs={}, outputs=done)

    assert to_python_map(runtime.render_outputs(chain, scope)) == {"url": "http://127.0.0.1:1"}


def test_an_output_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        runtime.render_outputs(_chain(), runtime.scope_of(_chain(), inputs={}))

    assert caught.value.violations[0].field == "outputs.url"


def test_the_outputs_of_a_covering_call_belong_to_each_step() -> None:
    step = derived(site(), {"configure": "process"}).steps[0]
    outputs = to_value_map({"url": "x"})

    assert runtime.outputs_by_step(step, outputs) == {"configure": outputs, "serve": outputs}


def test_a_plan_knows_which_outputs_are_still_unknown() -> None:
    chain = _chain()
    missing = ("steps.configure.outputs.files",)

    assert runtime.unknowns(chain.steps[0], []) == ()
    assert runtime.unknowns(chain.steps[1], []) == missing
    assert runtime.unknowns(chain.steps[1], ["configure"]) == ()
    assert runtime.unknowns(chain.steps[1], {"configure": None}) == ()
    assert runtime.unknowns(chain.steps[1], {"configure": ["count"]}) == missing
    assert runtime.unknowns(chain.steps[1], {"configure": ["files"]}) == ()


def test_all_outputs_at_once_are_known_only_when_all_are() -> None:
    step = derived(site(serve={"files": "${string(size(steps.configure.outputs.tags))}"})).steps[1]
    step.inputs["files"].CopyFrom(to_value("${steps.configure.outputs}"))

    assert runtime.unknowns(step, {"configure": ["files"]}) == ("steps.configure.outputs",)
