"""The short form of a schema, and inputs held against the long one."""

import pytest

from enchain.chains import agreement, schemas
from enchain.chains.agreement import Typed
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText, to_python_map, to_value_map

SHORT = {
    "name": "string",
    "size": {"type": "string", "enum": ["small", "big"], "default": "small"},
    "copies": {"type": "integer", "minimum": 1, "default": 1},
    "tags": {"type": "array", "items": {"type": "string"}, "default": []},
}


def _checked(inputs: dict[str, Json], schema: dict[str, Json] | None = None) -> dict[str, Json]:
    return to_python_map(schemas.check_inputs(schema or SHORT, to_value_map(inputs)))


def test_the_short_form_becomes_a_json_schema() -> None:
    assert schemas.expand({"name": "string", "size": {"type": "string", "default": "small"}}) == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "string", "default": "small"}},
        "required": ["name"],
        "additionalProperties": False,
    }


def test_the_long_form_stays_as_it_is() -> None:
    long = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True}

    assert schemas.expand(long) == long


def test_an_input_may_be_called_type() -> None:
    assert schemas.expand({"type": "string"})["properties"] == {"type": {"type": "string"}}


def test_nothing_at_all_means_no_inputs() -> None:
    with pytest.raises(InvalidArgumentError):
        _checked({"a": 1}, {"type": "object", "additionalProperties": False})
    assert schemas.expand({}) == {"type": "object", "properties": {}, "additionalProperties": False}


def test_defaults_are_filled_in() -> None:
    assert _checked({"name": "a"}) == {"name": "a", "size": "small", "copies": 1, "tags": []}


def test_defaults_of_objects_within_are_filled_in_where_the_object_is_there() -> None:
    schema = {"disk": {"type": "object", "properties": {"gb": {"type": "integer", "default": 10}}}}

    assert _checked({"disk": {}}, schema) == {"disk": {"gb": 10}}


def test_integers_stay_integers_and_1_0_becomes_one() -> None:
    inputs = _checked({"name": "a", "copies": 3.0})

    assert inputs["copies"] == 3
    assert isinstance(inputs["copies"], int)


def test_a_large_integer_is_not_rounded_by_a_schema_that_says_number() -> None:
    assert _checked({"n": 2**60 + 1}, {"n": "number"}) == {"n": 2**60 + 1}


def test_a_secret_stands_for_a_string() -> None:
    assert _checked({"name": SecretRef("env:NAME")})["name"] == SecretRef("env:NAME")
    with pytest.raises(InvalidArgumentError) as caught:
        _checked({"name": "a", "copies": SecretRef("env:N")})
    assert caught.value.violations[0].reason == "TYPE_MISMATCH"


def test_every_fault_is_told_with_its_field() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        _checked({"nme": "a", "size": "huge", "copies": 0, "tags": ["a", 3]})

    assert caught.value.reason == "INVALID_INPUTS"
    assert {(v.field, v.reason) for v in caught.value.violations} == {
        ("inputs.name", "REQUIRED"),
        ("inputs.nme", "UNKNOWN_FIELD"),
        ("inputs.size", "NOT_ALLOWED"),
        ("inputs.copies", "OUT_OF_SCHEMA"),
        ("inputs.tags[1]", "TYPE_MISMATCH"),
    }
    assert any("did you mean name?" in v.description for v in caught.value.violations)


def test_what_was_sent_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        _checked({"name": "a", "copies": "hunter2", "size": "hunter2", "tags": ["hunter2", 1]})

    assert "hunter2" not in str(caught.value)
    assert not any("hunter2" in v.description for v in caught.value.violations)


def test_a_request_may_not_hold_a_template() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        _checked({"name": TemplateText((EngineVariable("port"),))})

    assert [(v.field, v.reason) for v in caught.value.violations] == [("inputs.name", "NOT_ALLOWED")]


def test_formats_are_checked() -> None:
    with pytest.raises(InvalidArgumentError):
        _checked({"ip": "not an address"}, {"ip": {"type": "string", "format": "ipv4"}})
    assert _checked({"ip": "10.0.0.1"}, {"ip": {"type": "string", "format": "ipv4"}})


def test_a_union_is_told_by_all_its_types() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        _checked({"a": []}, {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}})

    fault = caught.value.violations[0]
    assert (fault.field, fault.reason) == ("inputs.a", "TYPE_MISMATCH")
    assert "a string or an integer" in fault.description


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"a": "int"}, "inputs.a"),
        ({"a": 3}, "inputs.a"),
        ({"a": {"type": "string", "default": 3}}, "inputs.a.default"),
        ({"a": {"type": "string", "pattern": "("}}, "inputs.a"),
        ({"a": {"$ref": "https://example.org/schema.json"}}, "inputs.a"),
        ({"a": {"$ref": "#/$defs/missing"}}, "inputs.a"),
        ({"a": {"$id": "https://example.org/x", "type": "string"}}, "inputs.a"),
        ({"type": "object", "$defs": {"x": {"$ref": "#/$defs/x"}}}, "inputs.$defs.x"),
        ({"type": "object", "properties": {"default": {"$ref": "#/nowhere"}}}, "inputs.default"),
        ({"A": "string"}, "inputs.A"),
        ({"in": "string"}, "inputs.in"),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: dict[str, Json], field: str) -> None:
    found = schemas.check_schema(schemas.expand(schema), "inputs", named=True)

    assert [v.field for v in found] == [field]


def test_references_within_a_schema_are_followed() -> None:
    schema = {
        "type": "object",
        "$defs": {"size": {"type": "object", "properties": {"gb": {"type": "integer", "default": 5}}}},
        "properties": {"disk": {"$ref": "#/$defs/size"}},
    }

    assert schemas.check_schema(schema, "inputs") == []
    assert _checked({"disk": {}}, schema) == {"disk": {"gb": 5}}
    with pytest.raises(InvalidArgumentError):
        _checked({"disk": {"gb": "5"}}, schema)


@pytest.mark.parametrize(
    ("kinds", "schema", "agrees"),
    [
        ({"integer"}, {"type": "number"}, True),
        ({"number"}, {"type": "integer"}, False),
        ({"string", "null"}, {"type": "string"}, True),
        ({"boolean"}, {"enum": ["a", "b"]}, False),
        ({"string"}, {"enum": ["a", "b"]}, True),
        ({"string"}, {"type": "string", "pattern": "^a$", "minLength": 3}, True),
        ({"array"}, {"oneOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ({"string"}, {"oneOf": [{"type": "string"}, {"minLength": 1}]}, True),
        (None, {"type": "integer", "minimum": 5}, True),
    ],
)
def test_types_agree_where_they_could(kinds: set[str] | None, schema: Json, *, agrees: bool) -> None:
    typed = Typed(None if kinds is None else frozenset(kinds))
    wrapped = {"type": "object", "properties": {"a": schema}}

    assert (agreement.faults(wrapped, {"a": typed}, "inputs") == []) is agrees
