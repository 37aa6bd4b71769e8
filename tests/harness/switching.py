"""A site on one of two chains, with routers, engines, and a control plane that carries switches out.

Tests of switches ask for it. All parts are real, in the test's own process: etcd, gRPC between routers,
engines and control plane, and the leader's loops.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.loops.outbox import OutboxLoop
from controlplane.loops.switching import SwitchingLoop
from controlplane.services import assemble
from controlplane.switching.evidence import SwitchEvidenceReader
from controlplane.switching.health import Handshakes
from enchain.artifacts.store import DirectoryArtifacts
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2, chain_pb2_grpc, operation_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.routers import (
    OperationEvent,
    RunningRouter,
    provision_request,
    put_chain,
    running_router,
    shown,
    site_chain,
)
from tests.harness.waiting import eventually

Switch = chain_pb2.ChainSwitch

ROUTE = "workloads/site/route"
ARRIVAL_SECONDS = 0.05
"""Between two requests that arrive."""

Leader = Callable[[Store], AbstractAsyncContextManager[None]]

ENDS = {Switch.STATE_DONE, Switch.STATE_ROLLED_BACK}


@dataclass
class Ended:
    """What came of one provision.

    Attributes:
        resource: Its resource's id.
        chain: The chain that it was admitted on.
        state: How it ended.
    """

    resource: str
    chain: str
    state: str


@dataclass
class Desk:
    """A site on whatever engines, and what tests do with it.

    Attributes:
        store: Where all lies.
        old: The chain that gets requests at first.
        new: The other one.
        routers: The routers.
        chains: A client of the control plane.
    """

    store: Store
    old: str
    new: str
    routers: list[RunningRouter]
    chains: Any

    async def switch(self, chain: str = "", **terms: Any) -> Switch:
        """Switch to a chain, to the new one where none is named."""
        made: Switch = await self.chains.SwitchChain(
            chain_pb2.SwitchChainRequest(name=ROUTE, chain=chain or self.new, **terms)
        )
        return made

    async def read(self, name: str) -> Switch:
        """Read a switch."""
        found: Switch = await self.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=name))
        return found

    async def until(self, name: str, *states: int, within: float = 20.0) -> Switch:
        """Wait until a switch is in one of some states; in none that is given: until it has ended."""

        async def check() -> list[Switch]:
            found = await self.read(name)
            return [found] if found.state in (states or ENDS) else []

        return (await eventually(check, within=within))[0]

    async def routed_to(self) -> str:
        """Answer the chain that the route leads to."""
        item = await self.store.get(keys.route("site"))
        assert item is not None
        return decode(chain_pb2.Route, item.value).shares[0].chain

    async def provision(self, resource: str, router: int = 0) -> Ended:
        """Provision a resource to its end."""
        stub = self.routers[router % len(self.routers)].stub
        events: list[OperationEvent] = await shown(
            stub.Provision(provision_request(f"req-{resource}", resource))
        )
        last = events[-1]
        assert last.WhichOneof("kind") == "ended", last
        state = operation_pb2.Operation.State.Name(last.ended.state).removeprefix("STATE_")
        return Ended(resource, events[0].admitted.chain, state)

    async def arriving(self, stop: asyncio.Event, name: str = "new") -> list[Ended]:
        """Let requests arrive, one every few milliseconds at every router in turn, until told to stop.

        They do not wait for one another. Answers what came of all.
        """
        begun: list[asyncio.Task[Ended]] = []
        while not stop.is_set():
            number = len(begun)
            begun.append(
                asyncio.create_task(self.provision(f"{name}-{number}", number), name=f"{name} {number}")
            )
            await asyncio.sleep(ARRIVAL_SECONDS)
        return list(await asyncio.gather(*begun))

    async def record(self, resource: str) -> operation_pb2.Resource:
        """Read a resource."""
        item = await self.store.get(keys.resource("default", resource))
        assert item is not None
        return decode(operation_pb2.Resource, item.value)

    async def active(self, chain: str) -> int:
        """Count the operations that run on a chain."""
        items = (await self.store.list(keys.ACTIVE)).items
        return sum(decode(operation_pb2.ActiveOperation, item.value).chain == chain for item in items)


@dataclass
class Board(Desk):
    """The site on engines with a gate: `terraform` begins the old chain, `ansible` the new one.

    Attributes:
        before: The scope of what only the old chain uses.
        after: The scope of what only the new chain uses.
    """

    before: EngineScope
    after: EngineScope


@asynccontextmanager
async def board(
    store: Store, folder: Path, routers: int = 2, leader: Leader | None = None
) -> AsyncIterator[Board]:
    """Set it up, and take it down again; `leader` runs the loops of a leader, of switches by default."""
    scopes = {
        engine: EngineScope(engine, f"{engine}-scope") for engine in ("terraform", "ansible", "process")
    }
    async with AsyncExitStack() as stack:
        for scope in scopes.values():
            stack.push_async_callback(scope.close)
            for number in (1, 2):
                instance = GatedInstance(scope, f"{scope.engine}-{number}", capacity=64)
                await instance.start(store)
                stack.push_async_callback(instance.kill, store)
        new = await put_chain(store, site_chain(engine="ansible"), chain_id="other")
        old = await put_chain(store, site_chain())
        running = [
            await stack.enter_async_context(running_router(store, f"r{number}")) for number in range(routers)
        ]
        stub = await stack.enter_async_context(chain_service(store, folder))
        made = Board(store, old, new, running, stub, scopes["terraform"], scopes["ansible"])
        async with (leader or leading)(store):
            yield made


@asynccontextmanager
async def chain_service(store: Store, folder: Path) -> AsyncIterator[Any]:
    """Serve the control plane's API; answer a client of its chains."""
    server = Server("127.0.0.1:0")
    assemble(server, store, ArtifactCatalog(DirectoryArtifacts(folder)), clock=SystemClock())
    channel = open_channel(await server.start())
    try:
        yield chain_pb2_grpc.ChainServiceStub(channel)
    finally:
        await channel.close(None)
        await server.stop(0)


@asynccontextmanager
async def leading(store: Store) -> AsyncIterator[None]:
    """Run the loops that carry switches out, as a leader does."""
    clock, rng = SystemClock(), Random(0)
    folding = OutboxLoop((SwitchEvidenceReader(),), clock=clock, rng=rng, gather_seconds=0.05)
    switching = SwitchingLoop(Handshakes(), clock=clock, rng=rng, look_seconds=0.1)
    async with Tasks() as tasks:
        tasks.start("fold the outbox", folding.run(store))
        tasks.start("carry switches out", switching.run(store))
        yield
