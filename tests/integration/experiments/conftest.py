"""Fixtures: replicas of the control plane as processes of their own, which look at experiments often."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.replicas import Replicas


@pytest.fixture
async def replicas(etcd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replicas]:
    """Starts replicas; what still runs at the end is killed."""
    monkeypatch.setenv("ENCHAIN_EXPERIMENTS_SECONDS", "0.2")
    replicas = Replicas(etcd, tmp_path)
    yield replicas
    await replicas.kill_all()
