"""`enchain init`: write a workload file from a Terraform module as it is. Asks no server."""

import os
from pathlib import Path

import click

from enchain.chains import names
from enchain.chains.errors import AlreadyExistsError, EnchainError, InvalidArgumentError
from enchain.cli.module_workloads import Draft, draft, workload_id
from enchain.cli.running import fail
from enchain.terraform_modules.module import Module, read_module


@click.command()
@click.option(
    "--from", "source", required=True, metavar="MODULE",
    type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the Terraform module.",
)  # fmt: skip
@click.option("--name", default="", help="The workload's id; made of the folder's name where left out.")
@click.option(
    "--output", default=Path("workload.yaml"), show_default=True, metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Where to write it; - is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that exists.")
def init(source: Path, name: str, output: Path, force: bool) -> None:
    """Write a workload file from the Terraform module in MODULE. The module stays as it is."""
    to_screen = str(output) == "-"
    try:
        name = names.check_id(names.WORKLOAD, name or workload_id(source.resolve().name), "--name")
        folder = _relative(source, Path.cwd() if to_screen else output.resolve().parent)
        written = draft(_read(source), name=name, path=folder)
        if not to_screen:
            _write(output, written.text, force=force)
    except EnchainError as error:
        fail(error)
    if to_screen:
        click.echo(written.text, nl=False)
    else:
        click.echo(f"wrote {output}: {_counted(written)}\nnext: enchain apply -f {output}")
    if written.secrets:
        click.echo(f"set for the terraform engine instances: {', '.join(written.secrets)}", err=True)


def _read(source: Path) -> Module:
    # OpenTofu reads more files than Terraform; whether there are any says which tool the module is for.
    opentofu = any(source.glob("*.tofu")) or any(source.glob("*.tofu.json"))
    try:
        return read_module(source, opentofu=opentofu)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"{source}: {error.message}", reason=error.reason, remedy=error.remedy, metadata=error.metadata
        ) from error


def _relative(source: Path, start: Path) -> str:
    path = Path(os.path.relpath(source.resolve(), start)).as_posix()
    return path if path.startswith(".") else f"./{path}"


def _write(file: Path, text: str, *, force: bool) -> None:
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise AlreadyExistsError(
            f"{file} exists already",
            reason="FILE_EXISTS",
            remedy="Name another with --output, or write over it with --force.",
        ) from error
    except OSError as error:
        raise InvalidArgumentError(
            f"{file} cannot be written: {error.strerror}", reason="FILE_UNWRITABLE"
        ) from error


def _counted(written: Draft) -> str:
    counts = {"input": written.inputs, "secret": written.secrets, "output": written.outputs}
    return ", ".join(f"{len(found)} {word}{'' if len(found) == 1 else 's'}" for word, found in counts.items())
