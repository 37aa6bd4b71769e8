"""A workload file written from a module: what becomes of variables and outputs, and that it is valid."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from enchain.chains import workloads
from enchain.chains.values import SecretRef, from_struct, to_python, to_python_map
from enchain.cli import exits
from enchain.cli.kinds import parse
from enchain.cli.main import main
from enchain.cli.module_workloads import Draft, draft, workload_id
from enchain.cli.yamlfile import read
from enchain.terraform_modules.module import read_module
from enchain.v1 import workload_pb2

PLAIN = """
variable "name" {
  type        = string
  description = "Whom: the site greets."
}
variable "size" {
  type    = number
  default = 3
}
variable "nothing" {
  type    = string
  default = null
}
output "url" {
  description = "Where it is."
  value       = "http://${var.name}/"
}
"""


def written(tmp_path: Path, text: str, **files: str) -> Draft:
    (tmp_path / "main.tf").write_text(text)
    for name, content in files.items():
        (tmp_path / name.replace("__", ".")).write_text(content)
    return draft(read_module(tmp_path), name="w", path="./module")


def workload(text: str) -> workload_pb2.Workload:
    """Read it as `enchain apply` does, and check it as the control plane does before it asks engines."""
    message = parse(read(Path("workload.yaml"), text)[0]).message
    assert isinstance(message, workload_pb2.Workload)
    return workloads.check(message)


def given(text: str) -> dict[str, object]:
    values = to_python_map(workload(text).steps[0].implementations[0].inputs)
    found = values.get("with", {})
    assert isinstance(found, dict)
    return found


def test_variables_become_inputs_with_type_description_and_default(tmp_path: Path) -> None:
    found = written(tmp_path, PLAIN)

    inputs = from_struct(workload(found.text).inputs)
    assert inputs["properties"] == {
        "name": {"type": "string", "description": "Whom: the site greets."},
        "size": {"type": "number", "default": 3},
        "nothing": {"type": ["string", "null"], "default": None},
    }
    assert inputs["required"] == ["name"]
    assert given(found.text) == {n: f"${{inputs.{n}}}" for n in ("name", "size", "nothing")}
    assert (found.inputs, found.outputs, found.secrets) == (("name", "size", "nothing"), ("url",), ())


def test_the_module_is_named_and_outputs_are_passed_on_with_what_they_mean(tmp_path: Path) -> None:
    text = written(tmp_path, PLAIN).text

    implementation = workload(text).steps[0].implementations[0]
    assert (implementation.engine, to_python(implementation.inputs["module"])) == ("terraform", "./module")
    assert to_python_map(workload(text).outputs) == {"url": "${steps.create.outputs.url}"}
    assert "# Where it is." in text


def test_sensitive_variables_become_references_in_the_shape_of_the_variable(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        """
        variable "db_password" {
          type      = string
          sensitive = true
        }
        variable "account" {
          sensitive = true
          type = object({
            user  = string
            keys  = list(string)
            ports = tuple([number])
            more  = optional(string)
          })
        }
        variable "any_token" { ephemeral = true }
        output "token" {
          value     = var.db_password
          sensitive = true
        }
        """,
    )

    assert given(found.text) == {
        "db_password": SecretRef("env:db-password"),
        "account": {
            "user": SecretRef("env:account-user"),
            "keys": [SecretRef("env:account-keys")],
            "ports": [SecretRef("env:account-ports-1")],
        },
        "any_token": SecretRef("env:any-token"),
    }
    assert "ENCHAIN_SECRET_DB_PASSWORD" in found.secrets
    assert "ENCHAIN_SECRET_DB_PASSWORD" in found.text
    assert not workload(found.text).outputs
    assert "sensitive: token" in found.text


def test_what_the_module_sets_by_itself_is_left_to_it(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        'variable "region" {}\nvariable "pin" {\n  sensitive = true\n  default = "1"\n}\n'
        'variable "made" { default = "a${1 + 1}" }\n',
        terraform__tfvars='region = "eu"\n',
    )

    assert found.inputs == ()
    assert given(found.text) == {}
    for name, why in (("region", ".tfvars"), ("pin", "sensitive"), ("made", "computed")):
        assert [line for line in found.text.splitlines() if f"module: {name} (" in line and why in line]


def test_names_that_inputs_may_not_have_are_changed_and_never_collide(tmp_path: Path) -> None:
    names = ["Big-Name", "big_name", "in", "on", "_9lives", "type", "properties"]
    found = written(tmp_path, "\n".join(f'variable "{name}" {{}}' for name in names))

    assert given(found.text) == {
        "Big-Name": "${inputs.big_name}",
        "big_name": "${inputs.big_name_2}",
        "in": "${inputs.in_}",
        "on": "${inputs.on}",
        "_9lives": "${inputs.lives}",
        "type": "${inputs.type}",
        "properties": "${inputs.properties}",
    }
    assert sorted(from_struct(workload(found.text).inputs)["properties"]) == sorted(found.inputs)


def test_outputs_that_expressions_cannot_name_are_read_by_index(tmp_path: Path) -> None:
    found = written(tmp_path, 'output "My-Out" { value = 1 }\noutput "in" { value = 2 }\n')

    assert to_python_map(workload(found.text).outputs) == {
        "my_out": "${steps.create.outputs['My-Out']}",
        "in_": "${steps.create.outputs['in']}",
    }


def test_a_module_that_takes_and_gives_nothing_is_a_workload_too(tmp_path: Path) -> None:
    assert workload(written(tmp_path, 'resource "terraform_data" "it" {}\n').text).name == "workloads/w"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("site", "site"),
        ("My Module_1", "my-module-1"),
        ("3-tier", "tier"),
        ("…", "workload"),
        ("a" * 99, "a" * 63),
    ],
)
def test_a_folder_gives_a_valid_name(folder: str, name: str) -> None:
    assert workload_id(folder) == name


# --- the command


def init(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["init", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def module(tmp_path: Path, text: str = PLAIN) -> Path:
    folder = tmp_path / "modules" / "network"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(text)
    return folder


def test_the_command_writes_a_file_from_which_the_module_is_found(tmp_path: Path) -> None:
    folder, file = module(tmp_path), tmp_path / "made" / "network.yaml"
    file.parent.mkdir()

    code, told, _ = init("--from", folder, "--output", file)

    implementation = workload(file.read_text()).steps[0].implementations[0]
    source = str(to_python(implementation.inputs["module"]))
    assert code == exits.OK
    assert (file.parent / source).resolve() == folder.resolve()
    assert f"enchain apply -f {file}" in told
    assert workload(file.read_text()).name == "workloads/network"


def test_a_file_is_never_overwritten_unless_told_to(tmp_path: Path) -> None:
    folder, file = module(tmp_path), tmp_path / "workload.yaml"
    file.write_text("mine")

    code, _, told = init("--from", folder, "--output", file)
    assert (code, file.read_text()) == (exits.CONFLICT, "mine")
    assert "--force" in told

    assert init("--from", folder, "--output", file, "--force")[0] == exits.OK
    assert "kind: Workload" in file.read_text()


def test_a_dash_writes_the_file_alone_to_standard_output(tmp_path: Path) -> None:
    code, told, _ = init("--from", module(tmp_path), "--output", "-", "--name", "other")

    assert code == exits.OK
    assert workload(told).name == "workloads/other"


def test_secrets_that_must_be_set_are_told(tmp_path: Path) -> None:
    folder = module(tmp_path, 'variable "token" {\n  sensitive = true\n}\n')

    assert "ENCHAIN_SECRET_TOKEN" in init("--from", folder, "--output", tmp_path / "w.yaml")[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [('variable "x" {\n  type = \n}\n', ["main.tf:", "terraform validate"]), ("", ["MODULE_EMPTY"])],
)
def test_a_module_that_cannot_be_read_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    folder = module(tmp_path, text)
    if not text:
        (folder / "main.tf").unlink()

    code, _, told = init("--from", folder, "--output", tmp_path / "w.yaml")

    assert code == exits.INVALID
    assert all(word in told for word in words)
    assert not (tmp_path / "w.yaml").exists()


def test_a_bad_name_is_refused(tmp_path: Path) -> None:
    assert init("--from", module(tmp_path), "--output", "-", "--name", "Big Name")[0] == exits.INVALID
