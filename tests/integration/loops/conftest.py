"""Fixtures: replicas of the control plane as processes of their own, on real etcd."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.replicas import Replicas


@pytest.fixture
async def replicas(etcd: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Starts replicas; what still runs at the end is killed."""
    replicas = Replicas(etcd, tmp_path)
    yield replicas
    await replicas.kill_all()
