"""What is read from a module's files: variables, types, outputs. In scope: text to schema. Out: running."""

from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import Json
from enchain.terraform_modules.constraints import is_primitive
from enchain.terraform_modules.module import read_module, tree_digest
from enchain.terraform_modules.schemas import inputs_schema, outputs_schema, secret_outputs

EVERY_TYPE = r"""
# a comment
variable "text"   { type = string }
variable "count_" { type = number }
variable "flag" {
  type    = bool
  default = false
}
variable "names" { type = list(string) }
variable "unique" { type = set(number) }
variable "labels" { type = map(string) }
variable "pair" { type = tuple([string, number]) }
variable "anything" { type = any }
variable "untyped" {}
variable "old" { type = "list" }
variable "site" {
  description = <<-EOT
    What to
      serve.
  EOT
  type = map(object({
    title   = string            # shown on top
    "port" : optional(number, 8080)
    hosts   = optional(list(string))
    inner   = optional(object({ deep = any }), {})
    offset  = optional(number, -3)
  }))
  default = {
    main = { title = "Hello \"world\" $${x}", port = -1 }
  }
  validation {
    condition     = length(var.site) > 0
    error_message = "There must be one."
  }
}
variable "empty" {
  type    = string
  default = null
}
variable "computed" {
  type    = string
  default = "a${1 + 1}"
}
variable "password" {
  type      = string
  sensitive = true
}
resource "terraform_data" "it" {
  for_each = var.site
  input    = [for s in var.names : upper(s) if s != ""]
  provisioner "local-exec" {
    command = "echo ${each.key} %{ if var.flag }yes%{ endif }"
  }
}
output "url" {
  description = "Where it is."
  value       = "http://${var.text}/"
}
output "token" {
  value     = var.password
  sensitive = true
}
"""


def module_of(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def with_schema(directory: Path, *, opentofu: bool = False) -> dict[str, Json]:
    schema: dict[str, Json] = inputs_schema(read_module(directory, opentofu=opentofu))["properties"]["with"]
    return schema


def test_every_variable_type_becomes_its_json_schema(tmp_path: Path) -> None:
    schema = with_schema(module_of(tmp_path, {"main.tf": EVERY_TYPE}))

    assert schema["properties"] == {
        "text": {"type": "string"},
        "count_": {"type": "number"},
        "flag": {"type": "boolean", "default": False},
        "names": {"type": "array", "items": {"type": "string"}},
        "unique": {"type": "array", "items": {"type": "number"}, "uniqueItems": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "number"}],
            "items": False,
            "minItems": 2,
            "maxItems": 2,
        },
        "anything": {},
        "untyped": {},
        "old": {"type": "array"},
        "site": {
            "description": "What to\n  serve.",
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "port": {"type": "number", "default": 8080},
                    "hosts": {"type": ["array", "null"], "items": {"type": "string"}},
                    "inner": {
                        "type": "object",
                        "properties": {"deep": {}},
                        "required": ["deep"],
                        "additionalProperties": False,
                        "default": {},
                    },
                    "offset": {"type": "number", "default": -3},
                },
                "required": ["title"],
                "additionalProperties": False,
            },
            "default": {"main": {"title": 'Hello "world" ${x}', "port": -1}},
        },
        "empty": {"type": ["string", "null"]},
        "computed": {"type": "string"},
        "password": {"type": "string", "writeOnly": True},
    }


def test_variables_without_a_default_are_required(tmp_path: Path) -> None:
    schema = inputs_schema(read_module(module_of(tmp_path, {"main.tf": EVERY_TYPE})))

    wanted = set(schema["properties"]["with"]["required"])
    assert wanted == {
        "text",
        "count_",
        "names",
        "unique",
        "labels",
        "pair",
        "anything",
        "untyped",
        "old",
        "password",
    }
    assert schema["required"] == ["with"]


def test_a_module_that_needs_nothing_does_not_ask_for_with(tmp_path: Path) -> None:
    schema = inputs_schema(read_module(module_of(tmp_path, {"main.tf": 'output "a" { value = 1 }'})))

    assert "required" not in schema
    assert "required" not in schema["properties"]["with"]


def test_outputs_are_named_and_sensitive_ones_are_secrets(tmp_path: Path) -> None:
    module = read_module(module_of(tmp_path, {"main.tf": EVERY_TYPE}))

    assert outputs_schema(module) == {
        "type": "object",
        "properties": {"url": {"description": "Where it is."}, "token": {}},
        "required": ["token", "url"],
        "additionalProperties": False,
    }
    assert secret_outputs(module) == ["token"]


def test_the_json_syntax_says_the_same(tmp_path: Path) -> None:
    text = """{
      "variable": [
        {"size": {"type": "string", "default": "${not a template}", "description": "How big"}},
        {"ports": {"type": "list(number)"}}
      ],
      "output": {"size": {"value": "${var.size}", "sensitive": true}},
      "resource": {"aws_instance": {"it": {"count": 1}}}
    }"""
    module = read_module(module_of(tmp_path, {"main.tf.json": text}))

    properties = inputs_schema(module)["properties"]["with"]["properties"]
    assert properties == {
        "size": {"type": "string", "default": "${not a template}", "description": "How big"},
        "ports": {"type": "array", "items": {"type": "number"}},
    }
    assert secret_outputs(module) == ["size"]
    assert module.plugins


def test_an_override_file_wins_attribute_by_attribute(tmp_path: Path) -> None:
    files = {
        "a_override.tf": 'variable "size" { default = "large" }',
        "main.tf": 'variable "size" {\n  type = string\n  description = "How big"\n}',
    }
    schema = with_schema(module_of(tmp_path, files))

    expected = {"type": "string", "description": "How big", "default": "large"}
    assert schema["properties"] == {"size": expected}


def test_a_variable_that_the_modules_own_tfvars_sets_is_not_required(tmp_path: Path) -> None:
    files = {
        "main.tf": 'variable "a" {}\nvariable "b" {}\nvariable "c" {}',
        "terraform.tfvars": 'a = "x"\n',
        "prod.auto.tfvars.json": '{"b": 1}',
        "other.tfvars": 'c = "only used when named"\n',
    }
    schema = with_schema(module_of(tmp_path, files))

    assert schema["required"] == ["c"]


def test_opentofu_prefers_its_own_files(tmp_path: Path) -> None:
    files = {"main.tf": 'variable "a" {}', "main.tofu": 'variable "b" {}'}
    directory = module_of(tmp_path, files)

    assert set(with_schema(directory, opentofu=True)["properties"]) == {"b"}
    assert set(with_schema(directory)["properties"]) == {"a"}


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("main.tf", 'variable "a" {\n  type = = string\n}\n', "main.tf:2"),
        ("main.tf.json", '{"variable":\n [}', "main.tf.json:2"),
        ("main.tf.json", "[]", "main.tf.json:1"),
        ("main.tf.json", '{"variable": "a"}', "main.tf.json"),
        ("main.tf", 'x = "' + "a" * (1 << 20) + '"', "main.tf"),
        ("main.tf.json", "[" * 100_000, "main.tf.json"),
    ],
)
def test_an_unreadable_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, place: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read_module(module_of(tmp_path, {name: text}))

    assert caught.value.reason == "MODULE_UNREADABLE"
    assert caught.value.violations[0].field == "artifacts.module"
    assert caught.value.violations[0].description.startswith(place)


def test_a_directory_without_a_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read_module(module_of(tmp_path, {"README.md": "nothing"}))

    assert caught.value.reason == "MODULE_EMPTY"


def test_only_primitive_types_are_plain_text_in_the_environment(tmp_path: Path) -> None:
    variables = read_module(module_of(tmp_path, {"main.tf": EVERY_TYPE})).variables
    plain = {name for name, variable in variables.items() if is_primitive(variable.constraint)}

    assert plain == {"text", "count_", "flag", "untyped", "empty", "computed", "password"}


def test_built_in_resources_need_no_plugins(tmp_path: Path) -> None:
    assert not read_module(module_of(tmp_path, {"main.tf": EVERY_TYPE})).plugins


def test_the_tree_digest_changes_with_names_and_contents(tmp_path: Path) -> None:
    module_of(tmp_path, {"a.tf": "x", "b.tf": "y"})
    first = tree_digest(tmp_path)
    (tmp_path / "b.tf").rename(tmp_path / "c.tf")
    second = tree_digest(tmp_path)
    (tmp_path / "c.tf").write_text("z")

    assert len({first, second, tree_digest(tmp_path)}) == 3


def test_a_sensitive_number_or_truth_value_may_come_as_text_as_secrets_do(tmp_path: Path) -> None:
    text = """
    variable "pin" {
      sensitive = true
      type      = object({ digits = number, on = optional(bool), tags = map(list(number)), any = any })
    }
    variable "port" { type = number }
    """
    properties = inputs_schema(read_module(module_of(tmp_path, {"main.tf": text})))["properties"]["with"][
        "properties"
    ]

    inner = properties["pin"]["properties"]
    assert inner["digits"]["type"] == ["number", "string"]
    assert inner["on"]["type"] == ["boolean", "null", "string"]
    assert inner["tags"]["additionalProperties"]["items"]["type"] == ["number", "string"]
    assert inner["any"] == {}
    assert properties["port"] == {"type": "number"}
