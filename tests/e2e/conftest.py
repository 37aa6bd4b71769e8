"""One whole enchain on this machine for all end-to-end tests: etcd, control plane, two routers, engines."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from enchain.cli.documents import load, save
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from enchain.state import keys
from enchain.state.etcd import open_store
from tests.harness.sieges import mended, siege
from tests.harness.waiting import eventually

__all__ = ["House", "client", "house", "mended", "siege"]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "enchain" / "cli" / "examples" / "site" / "workload.yaml"


@dataclass(frozen=True, slots=True)
class House:
    """A running enchain, and what tests ask of it."""

    cluster: Cluster

    def client(self) -> Client:
        """Open a client of it."""
        return Client(control=self.cluster.control, routers=self.cluster.routers, patience_seconds=30)

    @property
    def environment(self) -> dict[str, str]:
        """What the command needs in its environment to find it."""
        return {
            "ENCHAIN_CONTROL": self.cluster.control,
            "ENCHAIN_ROUTERS": ",".join(self.cluster.routers),
        }

    async def everything(self) -> dict[str, bytes]:
        """Read every key but the leased ones, for comparisons.

        The control plane's leader folds what ended operations leave, by itself: that is waited for first, so
        that two readings differ only by what was asked for in between.
        """
        return await eventually(self._read_once_folded)

    async def _read_once_folded(self) -> dict[str, bytes]:
        store = await open_store([self.cluster.etcd.address])
        try:
            listing = await store.list(keys.ROOT)
        finally:
            await store.close()
        if any(kv.key.startswith(keys.OUTBOX) for kv in listing.items):
            return {}
        # Leased keys, and forecasts, which the leader refreshes by the clock.
        by_time = (keys.LIVE, keys.FORECASTS, keys.ACCURACY)
        return {kv.key: kv.value for kv in listing.items if not kv.key.startswith(by_time)}


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running enchain with the example workload `site` saved."""
    layout = Layout(
        data=tmp_path_factory.mktemp("house"),
        control="127.0.0.1:0",
        routers=("127.0.0.1:0", "127.0.0.1:0"),
        terraform=1,
        process=1,
    )
    cluster = Cluster(layout)
    with asyncio.Runner() as runner:
        try:
            runner.run(cluster.start())
            runner.run(_save_site(cluster))
            yield House(cluster)
            runner.run(_leave_nothing(cluster))
        finally:
            runner.run(cluster.stop())


async def _save_site(cluster: Cluster) -> None:
    async with Client(control=cluster.control, routers=cluster.routers) as client:
        for item in load([SITE]):
            await save(client, item, dry_run=False)


async def _leave_nothing(cluster: Cluster) -> None:
    """Deprovision what tests made: services outlive their engines, as they should."""
    async with Client(control=cluster.control, routers=cluster.routers) as client:
        for name in [resource.name async for resource in client.list_resources()]:
            async for _ in client.deprovision(name):
                pass


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    """A client of the running enchain."""
    async with house.client() as client:
        yield client
