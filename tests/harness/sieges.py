"""A running enchain that tests may break: short leases, engines of four kinds, and tools that leave traces.

End-to-end tests of faults ask for `siege`. What is provisioned is made by the tools of `benchmarks.chaos`,
which write in a witness outside enchain what they do; nothing here asks enchain what became of a thing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.chaos.house import lay_parts
from benchmarks.chaos.witness import Seen, read_witness
from enchain.chains.errors import NotFoundError
from enchain.cli.documents import save
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import read
from enchain.client import Client, Reattached
from enchain.client.following import Happening
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from enchain.state.server import free_ports
from enchain.v1 import operation_pb2
from tests.harness.waiting import eventually

State = operation_pb2.Operation.State
LEASE_SECONDS = 5


@dataclass(slots=True)
class Followed:
    """One operation, as its client saw it."""

    happenings: list[Happening] = field(default_factory=list)

    @property
    def events(self) -> list[operation_pb2.OperationEvent]:
        """What happened to the operation."""
        return [each for each in self.happenings if not isinstance(each, Reattached)]

    @property
    def operation(self) -> str:
        """Its name."""
        return self.events[0].operation

    @property
    def reattached(self) -> int:
        """How often the client went on at another router."""
        return len(self.happenings) - len(self.events)

    @property
    def state(self) -> str:
        """The state that it was last told to be in."""
        for event in reversed(self.events):
            if event.WhichOneof("kind") == "ended":
                return State.Name(event.ended.state)
            if event.WhichOneof("kind") == "state_changed":
                return State.Name(event.state_changed.state)
        return ""


@dataclass(frozen=True, slots=True)
class Siege:
    """The running enchain, and what tests ask of it."""

    cluster: Cluster

    @property
    def data(self) -> Path:
        """The folder of all."""
        return self.cluster.layout.data

    @property
    def world(self) -> Path:
        """Where tools make their things."""
        return self.data / "world"

    @property
    def seen(self) -> Seen:
        """What the witness has seen so far."""
        return read_witness(self.world / "witness")

    def client(self, first: int = 0) -> Client:
        """Open a client that prefers one of the routers."""
        routers = self.cluster.routers
        return Client(control=self.cluster.control, routers=routers[first:] + routers[:first])

    def inputs(self, mark: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
        """Make the inputs of a workload of ours."""
        return {"world": str(self.world), "round": mark, "seconds": seconds, **more}

    async def save(self, text: str, *, folder: str = "") -> None:
        """Save documents, as if they lay among the parts, or in a folder there."""
        async with self.client() as client:
            for document in read(self.data / "parts" / folder / "documents.yaml", text):
                item = parse(document)
                await save(client, item, dry_run=False)
                if item.kind == "Workload":
                    await self._until_followed(item.name.rpartition("/")[2])

    async def _until_followed(self, workload: str) -> None:
        await eventually(lambda: self._is_followed(workload), within=30)

    async def _is_followed(self, workload: str) -> bool:
        for first in range(len(self.cluster.routers)):
            async with self.client(first) as client:
                try:
                    await client.explain_route(workload, "any")
                except NotFoundError:
                    return False
        return True

    def works(self, resource_uid: str) -> set[str]:
        """Name the steps of a resource whose things stand, by the disk."""
        return {path.name.partition(".")[2] for path in (self.world / "things").glob(f"{resource_uid}.*")}

    def tools(self) -> list[str]:
        """Find the tools that run, by the kernel's list."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    if any("effects.py" in word or "work.py" in word for word in words):
                        found += [entry.name] if str(self.world) in str(words) or "./work.py" in words else []
        return found

    async def until_begun(self, work: str) -> None:
        """Wait until the tool of a piece of work has begun, by the witness."""
        await eventually(
            lambda: any(line.work == work and line.phase == "begin" for line in self.seen.lines), within=60
        )

    async def until_made(self, work: str, mark: str) -> None:
        """Wait until the tool of a piece of work has had its effect, by the witness."""
        await eventually(lambda: self.seen.made[work, mark] > 0, within=60)

    async def until_gone(self, name: str) -> int:
        """Wait until a process that was asked to end has ended; answer its exit code."""
        process = self.cluster.children[name].process
        await eventually(lambda: process.poll() is not None, within=60)
        return int(process.returncode)


async def follow(happenings: Any, into: Followed | None = None) -> Followed:
    """Follow an operation to its end."""
    followed = into or Followed()
    async for happening in happenings:
        followed.happenings.append(happening)
    return followed


@pytest.fixture(scope="session")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """An enchain to break, with the workloads of the chaos run. Whoever breaks it mends it."""
    data = tmp_path_factory.mktemp("siege")
    ports = [f"127.0.0.1:{port}" for port in free_ports(3, Random())]
    cluster = Cluster(
        Layout(
            data=data,
            control=ports[0],
            routers=ports[1:],
            script=2,
            ansible=1,
            lease_seconds=LEASE_SECONDS,
        )
    )
    lay_parts(data)
    with asyncio.Runner() as runner:
        try:
            runner.run(cluster.start())
            house = Siege(cluster)
            parts = data / "parts"
            for name in ("workloads.yaml", "more.yaml"):
                runner.run(house.save((parts / name).read_text()))
            yield house
            runner.run(_leave_nothing(house))
        finally:
            runner.run(cluster.stop())


async def _leave_nothing(siege: Siege) -> None:
    async with siege.client() as client:
        for name in [resource.name async for resource in client.list_resources()]:
            async for _ in client.deprovision(name):
                pass


@pytest.fixture
async def mended(siege: Siege) -> AsyncIterator[None]:
    """Start again what has ended, before and after a test, so that a failure stays its own."""
    await _mend(siege)
    yield
    await _mend(siege)


async def _mend(siege: Siege) -> None:
    for child in siege.cluster.ended():
        await siege.cluster.restart(child.planned.name)
