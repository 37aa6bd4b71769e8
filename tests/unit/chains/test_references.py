"""What an expression reads is found in its tree, and not by looking for words."""

import pytest

from enchain.chains import expressions


def _reads(source: str) -> list[str]:
    return [f"{r}?" if r.tested else str(r) for r in expressions.parse(source).references]


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("inputs.a.b", ["inputs.a.b"]),
        ("'steps.serve.outputs' + tenant // steps.x", ["tenant"]),
        ("has(steps.a.outputs.b) ? inputs.t[0].q : port", ["steps.a.outputs.b?", "inputs.t", "port"]),
        ("[1].map(x, x + steps.y.z)", ["steps.y.z"]),
        ("inputs.list.exists(steps, steps.ok)", ["inputs.list"]),
        ("{'a': inputs.x, inputs.k: [tenant]}", ["inputs.x", "inputs.k", "tenant"]),
        ("inputs . a\n . b", ["inputs.a.b"]),
        (".inputs.a", ["inputs.a"]),
        ("inputs.a.startsWith(tenant) && !inputs.b", ["inputs.a", "tenant", "inputs.b"]),
        ("1 + 2", []),
    ],
)
def test_references_are_complete_and_nothing_else(source: str, reads: list[str]) -> None:
    assert _reads(source) == reads


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("inputs.a", ("inputs", "a")),
        ("steps.a.outputs['b-c']", ("steps", "a", "outputs", "b-c")),
        ("inputs[tenant]", None),
        (" port ", ("port",)),
        ("inputs.a[0]", None),
        ("has(inputs.a)", None),
        ("'a'", None),
        ("string(inputs.a)", None),
    ],
)
def test_an_expression_that_is_only_a_path_is_known_as_one(source: str, path: tuple[str, ...] | None) -> None:
    assert expressions.parse(source).path == path
