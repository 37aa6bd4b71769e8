"""etcd is gone for 20 s while pools are kept: instances go on, nothing is started twice, all comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from enchain.state.etcd import open_store
from enchain.state.server import LocalEtcd
from tests.harness.pools import ready, save_engine, states
from tests.harness.replicas import Replicas
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

OUTAGE_SECONDS = 20.0
WITHIN = 60


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalEtcd]:
    """An etcd of its own, which the test may kill."""
    async with LocalEtcd(tmp_path / "etcd") as server:
        yield server


async def _gone_for(seconds: float, server: LocalEtcd) -> None:
    server.kill()
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    await eventually(lambda: loop.time() >= until, within=seconds + 10)
    await server.restart()


async def test_instances_outlive_a_store_that_is_gone_for_20_seconds(
    server: LocalEtcd, tmp_path: Path
) -> None:
    store = await open_store([server.address])
    machine, replicas = Machine(server.address, store, tmp_path), Replicas(server.address, tmp_path)
    try:
        await replicas.start("one")
        await save_engine(store, ["enchain-engine-process"], name="process", least=3)

        async def there() -> bool:
            assert [s for s in await states(store, "process") if s != "ENDED"] == ["READY"] * 3
            return sorted(machine.programs.running()) == sorted(await ready(store, "process"))

        await eventually(there, within=WITHIN)
        before = machine.programs.running()
        victim = min(before)

        outage = asyncio.create_task(_gone_for(OUTAGE_SECONDS, server))
        os.kill(before[victim], signal.SIGKILL)
        await outage

        await eventually(there, within=WITHIN)
        after = machine.programs.running()
        assert {key: pid for key, pid in before.items() if key != victim}.items() <= after.items()
        assert await states(store, "process") == ["ENDED", "READY", "READY", "READY"]
    finally:
        await replicas.kill_all()
        await machine.close()
        await store.close()
