"""How values travel to Terraform: what is plain, what is secret, and that text stays text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enchain.chains.values import EngineVariable, SecretRef, TemplateText
from enchain.engines.terraform.variables import (
    Variables,
    environment_of,
    faults,
    from_record,
    split,
    to_record,
    with_secrets,
)
from enchain.sdk.references import references
from enchain.terraform_modules.hcl import literal, parse_expression, quoted
from enchain.terraform_modules.module import Module, read_module

MODULE = """
variable "name" { type = string }
variable "password" {
  type      = string
  sensitive = true
}
variable "tokens" {
  type      = map(list(string))
  ephemeral = true
  default   = {}
}
"""

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
data = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def module_of(directory: Path, text: str = MODULE, **files: str) -> Module:
    (directory / "main.tf").write_text(text)
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    return read_module(directory)


@given(data)
def test_a_value_written_as_an_expression_is_read_back_the_same(value: object) -> None:
    assert literal(parse_expression(quoted(value))) == (True, value)


@pytest.mark.parametrize(
    "text", ['${file("/etc/passwd")}', "%{ if true }x%{ endif }", '"; touch pwned', "$${x}"]
)
def test_no_text_becomes_a_template(text: str) -> None:
    written = quoted(text)

    assert "${" not in written
    assert "%{" not in written
    assert literal(parse_expression(written)) == (True, text)


def test_values_of_secret_variables_are_kept_apart(tmp_path: Path) -> None:
    ref = SecretRef("env:db")
    given_values = {"name": "site", "password": ref, "tokens": {"a": ["x", SecretRef("env:t")]}}
    variables = split(given_values, module_of(tmp_path))

    assert variables.plain == {"name": "site"}
    password, tokens = variables.secret
    assert (password.value, password.refs, password.literal) == (None, (((), ref),), True)
    assert tokens.value == {"a": ["x", None]}
    assert tokens.refs == ((("a", 1), SecretRef("env:t")),)
    assert not tokens.literal


def test_what_is_stored_of_a_secret_variable_is_read_back_the_same(tmp_path: Path) -> None:
    given_values = {"password": SecretRef("env:db"), "tokens": {"a": ["x", SecretRef("env:t")]}}
    variables = split(given_values, module_of(tmp_path))

    assert tuple(from_record(to_record(secret)) for secret in variables.secret) == variables.secret


def test_a_plain_object_that_looks_like_a_stored_reference_stays_data(tmp_path: Path) -> None:
    lookalike = {"a": [{"path": [], "ref": "env:DB"}]}
    (secret,) = split({"tokens": lookalike}, module_of(tmp_path)).secret

    assert from_record(to_record(secret)).refs == ()


def test_secrets_travel_as_text_or_as_an_expression(tmp_path: Path) -> None:
    variables = split({"password": SecretRef("env:db"), "tokens": {"a": ["${x}"]}}, module_of(tmp_path))
    environment = environment_of(variables, {"password": 'p"${1}', "tokens": {"a": ["${x}"]}})

    assert environment == {
        "TF_VAR_password": 'p"${1}',
        "TF_VAR_tokens": '{"a" = ["\\U00000024{x}"]}',
    }


def test_a_zero_byte_cannot_travel(tmp_path: Path) -> None:
    variables = split({"password": SecretRef("env:db")}, module_of(tmp_path))

    with pytest.raises(ValueError, match="password"):
        environment_of(variables, {"password": "a\0b"})


def test_a_secret_for_a_variable_that_is_not_sensitive_is_refused(tmp_path: Path) -> None:
    module = module_of(tmp_path)
    (fault,) = faults(split({"name": SecretRef("env:db")}, module), module)

    assert (fault.code, fault.path) == ("SECRET_EXPOSED", "inputs.with.name")


def test_a_secret_that_the_modules_own_file_would_override_is_refused(tmp_path: Path) -> None:
    module = module_of(tmp_path, terraform_tfvars='password = "old"\n')
    (fault,) = faults(split({"password": SecretRef("env:db")}, module), module)

    assert fault.code == "SECRET_SHADOWED"


def test_a_hole_that_nobody_can_fill_is_refused(tmp_path: Path) -> None:
    module = module_of(tmp_path)
    (fault,) = faults(split({"name": TemplateText(("a", EngineVariable("port")))}, module), module)

    assert (fault.code, fault.path) == ("TEMPLATE_UNFILLED", "inputs.with.name")


def test_secrets_are_put_back_in_their_places() -> None:
    value = {"a": [SecretRef("x"), "b"], "c": SecretRef("y")}
    resolved = {path: ref.ref.upper() for path, ref in references(value)}

    assert with_secrets(value, resolved) == {"a": ["X", "b"], "c": "Y"}


def test_nothing_given_is_nothing_passed_on(tmp_path: Path) -> None:
    assert split({}, module_of(tmp_path)) == Variables({}, ())
    assert split({"password": None}, module_of(tmp_path)) == Variables({}, ())
