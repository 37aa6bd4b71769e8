"""Fixtures: a control plane on real etcd, with and without engines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.loops.switching import SwitchingLoop
from controlplane.services import assemble
from controlplane.switching.health import Handshakes
from enchain.artifacts.store import DirectoryArtifacts
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.process.servers import Server
from enchain.state.store import Store
from tests.harness.controlplane import FILES, SERVING, Plane
from tests.harness.experiments import Experiments
from tests.harness.site import create_chain, save_site


@pytest.fixture
async def plane(store: Store, tmp_path: Path) -> AsyncIterator[Plane]:
    """A control plane with no engine yet."""
    async with AsyncExitStack() as stack:
        server = Server("127.0.0.1:0")
        artifacts = tmp_path / "artifacts"
        assemble(server, store, ArtifactCatalog(DirectoryArtifacts(artifacts)), clock=SystemClock())
        address = await server.start()
        stack.push_async_callback(server.stop, 0)
        channel = open_channel(address)
        stack.push_async_callback(channel.close, None)
        yield Plane(store, channel, address, artifacts, stack)


@pytest.fixture
async def site(plane: Plane) -> Plane:
    """A control plane with two engines on which `site` can be saved."""
    await plane.start_engine("files", FILES)
    await plane.start_engine("serving", SERVING)
    return plane


@pytest.fixture
async def saved(site: Plane) -> Plane:
    """The workload `site` with the chains `default` and `via-files`, routed to `default`; nobody leads."""
    await save_site(site)
    await create_chain(site, "via-files", {"serve": "files"})
    return site


@pytest.fixture
async def led(saved: Plane) -> AsyncIterator[Plane]:
    """The same, where somebody leads and carries switches out."""
    loop = SwitchingLoop(Handshakes(), clock=SystemClock(), rng=Random(0), look_seconds=0.1)
    async with Tasks() as tasks:
        tasks.start("carry switches out", loop.run(saved.store))
        yield saved


@pytest.fixture
async def stopping(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Plane, asyncio.Event]]:
    """A control plane that can be told to stop."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        server = Server("127.0.0.1:0")
        artifacts = tmp_path / "artifacts"
        catalog = ArtifactCatalog(DirectoryArtifacts(artifacts))
        assemble(server, store, catalog, clock=SystemClock(), stop=stop)
        address = await server.start()
        stack.push_async_callback(server.stop, 0)
        channel = open_channel(address)
        stack.push_async_callback(channel.close, None)
        yield Plane(store, channel, address, artifacts, stack), stop


@pytest.fixture
def ab(saved: Plane) -> Experiments:
    """Experiments on the saved workload `site`."""
    return Experiments(saved)
