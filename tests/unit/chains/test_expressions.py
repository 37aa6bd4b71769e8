"""Expressions are checked with types when saved, and have a result or a reason when they run."""

import pytest

from enchain.chains import expressions
from enchain.chains.expressions import ExpressionError, StepOutputs, Types
from enchain.chains.schemas import expand
from enchain.chains.values import Json

INPUTS = expand(
    {
        "name": "string",
        "copies": "integer",
        "ratio": "number",
        "tags": {"type": "array", "items": {"type": "string"}},
        "ports": {"type": "object", "additionalProperties": {"type": "integer"}},
        "anything": {},
        "nickname": {"type": ["string", "null"]},
        "disk": {
            "type": "object",
            "properties": {"size_gb": {"type": "integer"}, "sizeGb": {"type": "string"}},
        },
        "rules": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer"}}}},
        "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    }
)
TYPES = Types(
    INPUTS,
    {
        "configure": StepOutputs(
            {"type": "object", "properties": {"files": {"type": "string"}, "password": {"type": "string"}}},
            frozenset({"password"}),
        ),
        "free": StepOutputs({"type": "object"}),
        "odd": StepOutputs(
            {"type": "object", "properties": {"a-b": {"type": "string"}, "a-token": {"type": "string"}}},
            frozenset({"a-token"}),
        ),
    },
)


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("inputs.name", {"string"}),
        ("inputs.copies + 1", {"integer"}),
        ("inputs.ratio * 2.0", {"number"}),
        ("inputs.tags", {"array"}),
        ("inputs.tags[0]", {"string"}),
        ("inputs.ports.http", {"integer"}),
        ("inputs.anything.at.all", None),
        ("inputs.nickname", {"string", "null"}),
        ("inputs.disk.sizeGb", {"string"}),
        ("inputs.rules[0].port", {"integer"}),
        ("inputs.matrix[0][1]", None),
        ("inputs.tags.map(t, t.upperAscii())", {"array"}),
        ("{'a': inputs.copies}", {"object"}),
        ("inputs.copies > 1 ? inputs.name : 'none'", {"string"}),
        ("has(inputs.name)", {"boolean"}),
        ("null", {"null"}),
        ("tenant", {"string"}),
        ("resource.uid", {"string"}),
        ("steps.configure.outputs", {"object"}),
        ("steps.free.outputs.x.y", None),
        ("steps.odd.outputs['a-b']", {"string"}),
        ("steps.configure.outputs.password", {"string"}),
        ("has(steps.configure.outputs.password)", {"boolean"}),
    ],
)
def test_the_type_of_a_result_is_known_when_saved(source: str, kinds: set[str] | None) -> None:
    found = TYPES.check(source).kinds

    assert found == (None if kinds is None else frozenset(kinds))


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        ("inputs.nope", "UNKNOWN_FIELD", "inputs has no field nope; it has name, copies"),
        ("inputs.rules[0].prot", "UNKNOWN_FIELD", "inputs.rules[] has no field prot; it has port"),
        ("steps.configure.output", "UNKNOWN_FIELD", "steps.configure has no field output; it has outputs"),
        ("inputs.copies + inputs.name", "EXPRESSION_INVALID", "(int, string)"),
        ("inputs.ratio * 2", "EXPRESSION_INVALID", "(double, int)"),
        ("port + 1", "UNKNOWN_VARIABLE", "stands alone, as ${port}"),
        ("inputs.name +", "EXPRESSION_INVALID", "Syntax error"),
        ("timestamp(0)", "TYPE_MISMATCH", "no JSON value"),
        ("google.protobuf.Struct{}", "EXPRESSION_INVALID", "write a map"),
        ("steps.configure.outputs.password + 'x'", "SECRET_NOT_WHOLE", "passed on whole"),
        ("string(steps.configure.outputs.password)", "SECRET_NOT_WHOLE", "passed on whole"),
        ("{'all': steps.configure.outputs}", "SECRET_NOT_WHOLE", "passed on whole"),
        ("string(steps.odd.outputs['a-token'])", "SECRET_NOT_WHOLE", "passed on whole"),
        ("(" * 100 + "1" + ")" * 100, "EXPRESSION_INVALID", "recursion"),
        ("'" + "x" * 3000 + "'", "EXPRESSION_INVALID", "longer than"),
    ],
)
def test_what_cannot_work_is_found_when_saved(source: str, reason: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        TYPES.check(source)

    assert caught.value.reason == reason
    assert words in caught.value.message
    assert "enchain.saved" not in caught.value.message


@pytest.mark.parametrize(
    ("source", "variables", "result"),
    [
        ("inputs.n + 1", {"inputs": {"n": 2**62}}, 2**62 + 1),
        ("inputs.list.map(x, x * 2)", {"inputs": {"list": [1, 2]}}, [2, 4]),
        ("{'a': [inputs.n, 1.5, null, true]}", {"inputs": {"n": "x"}}, {"a": ["x", 1.5, None, True]}),
        ("has(inputs.b) ? 'yes' : 'no'", {"inputs": {}}, "no"),
        ("inputs.name.split('-')[0]", {"inputs": {"name": "a-b"}}, "a"),
    ],
)
def test_results_keep_their_type(source: str, variables: Json, result: Json) -> None:
    found = expressions.evaluate(source, variables)

    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("source", "inputs", "words"),
    [
        ("inputs.b + 1", {}, "there is no field b"),
        ("inputs.n + 1", {"n": "x"}, "No matching overloads"),
        ("1 / inputs.n", {"n": 0}, "divide by zero"),
        ("inputs.n + 1", {"n": 2**63 - 1}, "integer overflow"),
        ("{1: 2}", {}, "strings as keys"),
        ("dyn(timestamp(0))", {}, "a timestamp"),
        ("inputs.l.map(a, inputs.l.map(b, 1))", {"l": list(range(1000))}, "budget"),
    ],
)
def test_an_expression_without_a_result_says_why(source: str, inputs: Json, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        expressions.evaluate(source, {"inputs": inputs, "steps": {}})

    assert caught.value.reason == "EXPRESSION_FAILED"
    assert words in caught.value.message
