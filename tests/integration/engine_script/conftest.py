"""The script engine in a harness, and bundles with real scripts."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from enchain.engines.script.engine import ScriptEngine
from enchain.sdk.testing import EngineHarness

Bundles = Callable[..., Path]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[EngineHarness]:
    """A started engine with a scope of its own."""
    async with EngineHarness(ScriptEngine(), scope=tmp_path / "scope") as harness:
        yield harness


@pytest.fixture
def bundles(tmp_path: Path) -> Bundles:
    """Makes a bundle: its name, and its files by name. What begins with `#!` is executable."""

    def make(name: str, files: dict[str, str]) -> Path:
        directory = tmp_path / "bundles" / name
        for file, text in files.items():
            path = directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        return directory

    return make
