"""Fixtures: replicas of the control plane as processes of their own, and what their launchers start."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from enchain.process.detached import Detached
from tests.harness.replicas import Replicas


@pytest.fixture
async def replicas(etcd: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Starts replicas; what still runs at the end is killed, instances that they launched included."""
    replicas = Replicas(etcd, tmp_path)
    yield replicas
    await replicas.kill_all()
    for pid in launched(tmp_path).values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def launched(folder: Path) -> dict[str, int]:
    """The instances that run of those that replicas have launched: their process ids, by launch."""
    launches = folder / "launches"
    return dict(Detached(launches).running()) if launches.exists() else {}
