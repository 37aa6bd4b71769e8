"""Fixtures for tests of the process engine: a scope, and an instance on it. Nothing stays behind."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.process_steps import Instance, kill_all


@pytest.fixture
def scope(tmp_path: Path) -> Iterator[Path]:
    """An empty state scope."""
    root = tmp_path / "scope"
    root.mkdir()
    yield root
    kill_all(root)


@pytest.fixture
async def instance(scope: Path) -> AsyncIterator[Instance]:
    """An engine instance that looks often."""
    instance = await Instance(scope).start()
    yield instance
    await instance.engine.stop()
