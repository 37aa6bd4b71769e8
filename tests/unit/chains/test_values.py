"""Values keep what JSON loses: integers, secrets and holes."""

import pytest

from enchain.chains import values
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText, to_python, to_value
from enchain.v1 import value_pb2


def test_integers_stay_integers_up_to_64_bits() -> None:
    for number in (1, 2**53 + 1, 2**63 - 1, -(2**63)):
        plain = to_python(to_value(number))

        assert plain == number
        assert isinstance(plain, int)


def test_one_is_not_true() -> None:
    assert to_value(True).WhichOneof("kind") == "bool_value"
    assert to_value(1).WhichOneof("kind") == "int_value"
    assert to_value(1.0).WhichOneof("kind") == "double_value"


def test_secrets_and_holes_survive_both_ways() -> None:
    plain = {"password": SecretRef("env:PW"), "run": [TemplateText(("--port=", EngineVariable("port")))]}

    assert to_python(to_value(plain)) == plain


@pytest.mark.parametrize(
    ("plain", "field"),
    [
        (2**63, "inputs.a"),
        (float("nan"), "inputs.a"),
        ([1, {"b": float("inf")}], "inputs.a[1].b"),
        ({3: "x"}, "inputs.a"),
        (b"bytes", "inputs.a"),
        ("\ud800", "inputs.a"),
    ],
)
def test_what_no_value_can_hold_is_refused_where_it_stands(plain: Json, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        values.to_value_map({"a": plain})

    assert [(v.field, v.reason) for v in caught.value.violations] == [(field, "INVALID_VALUE")]


def test_a_value_without_a_kind_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        values.to_python_map({"a": value_pb2.Value()})

    assert caught.value.violations[0].field == "inputs.a"


def test_nesting_has_an_end() -> None:
    deep: Json = 1
    for _ in range(values.DEPTH_MAX):
        deep = [deep]
    assert to_python(to_value(deep)) == deep

    with pytest.raises(InvalidArgumentError) as caught:
        to_value([deep])
    assert caught.value.violations[0].reason == "TOO_DEEP"


def test_the_deepest_value_is_read_back_from_its_json() -> None:
    from enchain.state import codec

    deep: Json = 1
    for _ in range(values.DEPTH_MAX):
        deep = {"a": deep}
    value = to_value(deep)

    assert codec.decode(value_pb2.Value, codec.encode(value)) == value


def test_a_hole_is_found_however_deep_it_lies() -> None:
    hole = TemplateText(("a", EngineVariable("port")))

    assert values.has_template(to_value({"a": [{"b": hole}]}))
    assert not values.has_template(to_value({"a": [{"b": "${port}"}]}))


def test_whole_numbers_of_a_schema_are_integers() -> None:
    schema = {"type": "integer", "default": 3, "minimum": 0.5, "items": [True, None, "x"]}
    plain = values.from_struct(values.to_struct(schema))

    assert plain == schema
    assert isinstance(plain["default"], int)


def test_bytes_are_counted_as_json() -> None:
    assert values.json_bytes(values.to_value_map({})) == 2
    assert values.json_bytes(values.to_value_map({"a": "x" * 1000})) > 1000
