"""The house of chaos: three etcd members, two control planes, three routers, engines of four kinds.

Every process reaches etcd through proxies of its own, so that each can be cut off alone. `__main__` owns it;
`faulting` breaks and mends it. What was started here is watched: a process that ends by itself is a finding.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.chaos.plan import LEASE_SECONDS
from enchain.chains.errors import NotFoundError
from enchain.cli.documents import load, save
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout, Planned, planned
from enchain.state.etcd import open_store
from enchain.state.server import LocalEtcd, cluster_of, free_ports
from enchain.state.store import Store
from tests.harness.proxy import Proxy

PARTS = Path(__file__).parent / "parts"
ROUTERS = 3
PATIENCE_SECONDS = 120.0


@dataclass(slots=True)
class House:
    """Everything that runs, and where it lies.

    Attributes:
        data: The folder of all.
        cluster: The processes.
        members: The etcd members.
        links: The proxies of each process, one for each member.
        store: A store of our own, past all proxies.
        killed: Process ids that we killed.
    """

    data: Path
    cluster: Cluster
    members: list[LocalEtcd]
    links: dict[str, list[Proxy]]
    store: Store
    killed: set[int] = field(default_factory=set)

    @property
    def world(self) -> Path:
        """Where the tools make their things."""
        return self.data / "world"

    @property
    def parts(self) -> Path:
        """Where the modules, playbooks and scripts lie."""
        return self.data / "parts"

    def client(self, first: int = 0) -> Client:
        """Open a client that prefers one of the routers."""
        routers = self.cluster.routers
        turned = [*routers[first % len(routers) :], *routers[: first % len(routers)]]
        return Client(control=self.cluster.control, routers=turned, patience_seconds=PATIENCE_SECONDS)

    def ended_by_themselves(self) -> list[str]:
        """Name the processes that ended although nobody killed them."""
        ended = [c for c in self.cluster.ended() if c.process.pid not in self.killed]
        return [f"{child.planned.name} ended with {child.process.returncode}" for child in ended]


def layout_of(data: Path, instances: int, capacity: int) -> Layout:
    """Lay out the house. Routers keep their addresses when they are started again."""
    ports = free_ports(ROUTERS + 2, Random())
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return Layout(
        data=data,
        control=addresses[0],
        replicas=addresses[1:2],
        routers=addresses[2:],
        terraform=instances,
        process=instances,
        script=instances,
        ansible=min(instances, 2),
        capacity=capacity,
        lease_seconds=LEASE_SECONDS,
    )


@asynccontextmanager
async def open_house(data: Path, instances: int, capacity: int = 4) -> AsyncIterator[House]:
    """Start everything, and save the workloads."""
    lay_parts(data)
    (data / "etcd").mkdir()
    layout = layout_of(data, instances, capacity)
    async with AsyncExitStack() as stack:
        members = stack.enter_context(cluster_of(3, data / "etcd"))
        links: dict[str, list[Proxy]] = {}
        for process in planned(layout):
            proxies = [Proxy(member.address) for member in members]
            links[process.name] = [await stack.enter_async_context(proxy) for proxy in proxies]

        def etcd_of(process: Planned) -> str:
            return ",".join(proxy.address for proxy in links[process.name])

        cluster = await stack.enter_async_context(Cluster(layout, etcd=members, etcd_of=etcd_of))
        store = await open_store([member.address for member in members])
        stack.push_async_callback(store.close)
        house = House(data, cluster, members, links, store)
        async with house.client() as client:
            for item in load([house.parts / "workloads.yaml", house.parts / "more.yaml"]):
                await save(client, item, dry_run=False)
        await _until_followed(house)
        yield house


def lay_parts(data: Path) -> None:
    """Copy what the workloads need, with the tools' common program in each folder."""
    for folder in ("things", "once", "healed"):
        (data / "world" / folder).mkdir(parents=True)
    shutil.copytree(PARTS, data / "parts", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("script", "terraform", "ansible"):
        shutil.copy(PARTS / "effects.py", data / "parts" / folder / "effects.py")


async def _until_followed(house: House) -> None:
    """Wait until every router knows every workload: until then it answers that there is none."""
    for first in range(ROUTERS):
        async with house.client(first) as client:
            for workload in ("quick", "pair", "held", "terraformed", "site", "served", "played"):
                await _until_routed(client, workload)


async def _until_routed(client: Client, workload: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.explain_route(workload, "any")
            except NotFoundError:
                await asyncio.sleep(0.05)
            else:
                return
