"""The terraform engine in a harness, over the real Terraform that is found here, or over the wheel."""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk.testing import EngineHarness
from tests.harness.terraform_modules import Modules


@pytest.fixture
def environ(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The server's environment. Tests that ask for the wheel get it; others take what is found."""
    tool = str(getattr(request, "param", ""))
    return {**os.environ, "ENCHAIN_TERRAFORM": tool}


@pytest.fixture
async def harness(tmp_path: Path, environ: Mapping[str, str]) -> AsyncIterator[EngineHarness]:
    """A started engine with a scope of its own."""
    async with EngineHarness(TerraformEngine(environ), scope=tmp_path / "scope") as harness:
        yield harness


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    """Makes a module: its name, and its files by name with `_` for the dot."""

    def make(name: str, **files: str) -> Path:
        directory = tmp_path / "modules" / name
        directory.mkdir(parents=True)
        for file, text in files.items():
            (directory / file.replace("_", ".")).write_text(text)
        return directory

    return make
