"""A router: its rooms put together, started in order, and stopped in order.

`main` calls `serve` with a store; tests do the same in their own process. Up: store synced before
anything is served. Down: operations handed over before the lease ends. Cancelling `serve` is a sudden
death: nothing is handed over, and the lease is left to expire.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from ulid import ULID

from dataplane.dispatch.adoption import Adopter
from dataplane.dispatch.channels import Channels
from dataplane.dispatch.circuits import Circuits
from dataplane.dispatch.engines import Engines
from dataplane.dispatch.executing import Executor
from dataplane.dispatch.execution import Means
from dataplane.dispatch.fanout import Fanout
from dataplane.dispatch.pool import Pool
from dataplane.journal.chains import Chains
from dataplane.journal.journal import Journal
from dataplane.journal.leasing import RouterLease
from dataplane.journal.pruning import Pruner
from dataplane.rpc.admission import Admission
from dataplane.rpc.deciding import Decider
from dataplane.rpc.looking import Lookups
from dataplane.rpc.planning import Planner
from dataplane.rpc.service import SERVICE, Provisioning, Rooms
from dataplane.rpc.steering import Steering
from dataplane.rpc.watching import Watching
from dataplane.settings import RouterSettings
from dataplane.table import documents
from dataplane.table.documents import Read
from dataplane.table.following import TableFollower
from dataplane.table.instances import InstanceFollower
from dataplane.table.presence import Presence
from enchain.chains.errors import PeerError
from enchain.chains.names import router_name
from enchain.process.channels import OpenChannel, open_channel
from enchain.process.clock import Clock, SystemClock
from enchain.process.lifecycle import Tasks
from enchain.process.logs import get_logger
from enchain.process.servers import Server
from enchain.state.follow import full_jitter
from enchain.state.store import Store
from enchain.v1 import engine_pb2, operation_pb2, provisioning_pb2_grpc

STOPPING = "this router stops; another one goes on"

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """What is known once a router serves.

    Attributes:
        router: Its id.
        address: Where peers and clients reach it.
    """

    router: str
    address: str


class Serving(Protocol):
    """The part of a server that a router needs."""

    def add(self, registrar: Any, servicer: Any, service_name: str) -> None:
        """Serve one service."""

    async def start(self) -> str:
        """Listen; answer the address."""

    async def serving(self, ready: bool) -> None:  # noqa: FBT001 - as the server has it
        """Tell probes whether calls should come here."""

    async def drain(self, deadline_seconds: float) -> int:
        """Wait until no call runs, then stop; answer how many were cut off."""

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening."""


class Router:
    """The rooms of a router.

    Args:
        settings: What it is told.
        store: The store.
        clock: Time.
        rng: Dice and jitter.
        new_ulid: Makes ids.
        opener: Opens channels to engines and other routers.
        read: Reads and checks documents of the table.
    """

    def __init__(
        self,
        settings: RouterSettings,
        store: Store,
        *,
        clock: Clock,
        rng: Random,
        new_ulid: Callable[[], str],
        opener: OpenChannel = open_channel,
        read: Read = documents.read,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self._rng = rng
        self._opener = opener
        self.id = settings.server.name or f"router-{new_ulid().lower()}"
        self.owner = operation_pb2.OperationOwner(router=router_name(self.id))
        self.tables = TableFollower(store, clock=clock, rng=rng, read=read)
        self.instances = InstanceFollower(store, clock=clock, rng=rng)
        self.lease = RouterLease(store, settings.lease_seconds, clock=clock, rng=rng, name=self.id)
        self.journal = Journal(store, clock=clock, rng=rng, owner=self.owner, lease=lambda: self.lease.id)
        self.channels = Channels(settings.server.tls, opener=opener)
        self.circuits, self.fanout = Circuits(), Fanout()
        self.pool = Pool(self.instances, self.circuits, clock=clock, rng=rng)
        self.engines = Engines(self.channels, self.circuits, clock=clock)
        means = Means(
            self.journal,
            self.pool,
            self.engines,
            self.fanout,
            clock,
            rng,
            remaining=self.lease.remaining,
            stands=self.lease.stands,
        )
        self.executor = Executor(means, running_max=settings.running_max)
        self.chains = Chains(store, lambda: self.tables.table.chains)
        self.adopter = Adopter(
            store,
            self.journal,
            self.executor,
            find_chain=self.chains.find,
            router=self.owner.router,
            clock=clock,
            rng=rng,
            scan_seconds=settings.scan_seconds,
        )
        self.pruner = Pruner(store, settings.retention, clock=clock, rng=rng)
        self.is_open = False
        self.service = Provisioning(self._rooms(settings.plan_key() or self._own_key(), new_ulid))

    def _rooms(self, plan_key: bytes, new_ulid: Callable[[], str]) -> Rooms:
        clock, rng = self.clock, self._rng
        decider = Decider(
            self.tables,
            self.journal,
            find_chain=self.chains.find,
            instances=self._instances_of,
            clock=clock,
            new_ulid=new_ulid,
            plan_key=plan_key,
        )
        watching = Watching(
            self.store,
            self.journal,
            self.executor,
            self.fanout,
            router=self.owner.router,
            tls=self.settings.server.tls,
            clock=clock,
            rng=rng,
            opener=self._opener,
        )
        planner = Planner(
            self.tables,
            decider,
            self.journal,
            self.engines,
            instances=self._instances_of,
            clock=clock,
            rng=rng,
            new_ulid=new_ulid,
            plan_key=plan_key,
        )
        return Rooms(
            Admission(self.tables, decider, self.journal, self.executor, self.fanout),
            watching,
            planner,
            Lookups(self.store, self.journal, self.tables),
            Steering(self.journal, self.executor, self.adopter, clock=clock, rng=rng),
            lambda: self.is_open,
        )

    def _instances_of(self, engine: str) -> Sequence[engine_pb2.EngineInstance]:
        return self.instances.instances.get(engine, ())

    def _own_key(self) -> bytes:
        _log.warning("plan tokens hold on this router only", remedy="Give all routers one --plan-key-file.")
        return secrets.token_bytes(32)

    async def know_epoch(self) -> None:
        """Read the store's epoch, however long that takes."""
        failures = 0
        while True:
            try:
                await self.journal.epoch(fresh=True)
            except PeerError as error:
                failures += 1
                _log.warning("no epoch yet", reason=error.message)
                await self.clock.sleep(full_jitter(failures, self._rng))
            else:
                return

    async def follow_instances(self) -> None:
        """Serve waiting steps and close channels as instances come and go, for ever."""
        while True:
            seen = self.instances.snapshot
            there = [instance for of in seen.by_engine.values() for instance in of]
            names = frozenset(instance.name for instance in there)
            self.pool.serve()
            self.circuits.forget(names)
            self.engines.forget(names)
            await self.channels.keep(frozenset(instance.address for instance in there))
            await self.instances.changed(seen)

    async def on_lease_lost(self) -> None:
        """Everything that this router owned belongs to others now."""
        await self.executor.displace_all("this router lost its lease")


async def serve(
    settings: RouterSettings,
    store: Store,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[Ready], None] = lambda _: None,
    clock: Clock | None = None,
    rng: Random | None = None,
    new_ulid: Callable[[], str] = lambda: str(ULID()),
    server: Serving | None = None,
    opener: OpenChannel = open_channel,
    read: Read = documents.read,
) -> None:
    """Run a router until `stop` is set, then hand everything over.

    Args:
        settings: What it is told.
        store: The store; the caller closes it.
        stop: Ends it.
        on_ready: Told once it serves.
        clock: Time.
        rng: Dice and jitter.
        new_ulid: Makes ids.
        server: Takes the calls; None for a gRPC server as the settings say.
        opener: Opens channels.
        read: Reads and checks documents of the table.
    """
    dice = rng or Random()  # noqa: S311 - spreads load, guards nothing
    router = Router(
        settings,
        store,
        clock=clock or SystemClock(),
        rng=dice,
        new_ulid=new_ulid,
        opener=opener,
        read=read,
    )
    listener = settings.server
    server = server or Server(listener.listen, tls=listener.tls, allow_insecure=listener.allow_insecure)
    server.add(provisioning_pb2_grpc.add_ProvisioningServiceServicer_to_server, router.service, SERVICE)
    address = settings.advertise or await server.start()
    if settings.advertise:
        await server.start()
    router.owner.address = address
    orderly = False
    try:
        async with Tasks() as tasks:
            if await _until(stop, _start(router, tasks)):
                presence = _announce(router, tasks, address)
                await server.serving(True)
                on_ready(Ready(router.id, address))
                _log.info("serving", router=router.id, address=address)
                await stop.wait()
                await _hand_over(router, server, presence)
            orderly = True
    finally:
        await server.stop(0)
        await router.executor.displace_all(STOPPING)
        await router.channels.close()
        await router.lease.stop(revoke=orderly)


async def _until(stop: asyncio.Event, start: "asyncio.Future[None]") -> bool:
    """Wait for the start to be done; False where the router is to stop before."""
    stopped = asyncio.create_task(stop.wait(), name="wait for the stop")
    try:
        waiting: list[asyncio.Future[Any]] = [stopped, start]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    if not start.done():
        start.cancel()
        return False
    start.result()
    return True


def _start(router: Router, tasks: Tasks) -> "asyncio.Future[None]":
    """Get a lease, and know table, instances and epoch."""
    tasks.start("follow the table", router.tables.run())
    tasks.start("follow the engine instances", router.instances.run())

    async def known() -> None:
        await router.lease.start()
        await router.tables.synced.wait()
        await router.instances.synced.wait()
        await router.know_epoch()

    return tasks.once("know the store", known())


def _announce(router: Router, tasks: Tasks, address: str) -> Presence:
    """Take requests, say so, and take up what has no owner."""
    presence = Presence(
        router.store,
        router.lease,
        router.id,
        address,
        router.tables,
        clock=router.clock,
        locality=router.settings.locality,
    )

    async def on_replaced() -> None:
        presence.hold(router.lease)
        await router.adopter.scan_if_possible()

    router.is_open = True
    tasks.start("keep the lease", router.lease.run(on_lost=router.on_lease_lost, on_replaced=on_replaced))
    tasks.start("announce this router", presence.run())
    tasks.start("serve steps that wait", router.follow_instances())
    tasks.start("take up operations", router.adopter.follow_owners())
    tasks.start("look for operations without an owner", router.adopter.scan_regularly())
    tasks.start("hand signals on", router.adopter.follow_signals())
    tasks.start("prune", router.pruner.run())
    return presence


async def _hand_over(router: Router, server: Serving, presence: Presence) -> None:
    """Stop in an order in which nobody loses anything."""
    await server.serving(False)
    router.is_open = False
    presence.drain()
    handed = await router.executor.hand_over()
    router.fanout.close_all(STOPPING)
    left = await server.drain(router.settings.drain_seconds)
    await presence.withdraw()
    _log.info("stopped", router=router.id, handed_over=handed, calls_cut=left)
