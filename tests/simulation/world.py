"""A whole system in one loop: routers, instances, the store, clients, and what goes wrong between.

`run_seed` builds one, carries a plan out, waits until everything rests, and answers what was violated.
Routers are whole: `dataplane.router.serve` with a simulated store, server and channels.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from ulid import ULID

from dataplane.dispatch.channels import Channels
from dataplane.router import serve
from dataplane.settings import RouterSettings
from enchain.chains.values import to_value_map
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.settings import ServerSettings
from enchain.sdk.registration import Registration
from enchain.state import keys
from enchain.v1 import engine_pb2 as registry_pb2
from enchain.v1 import operation_pb2, provisioning_pb2
from tests.simulation import documents
from tests.simulation.clients import Ask, SimulatedRouters
from tests.simulation.faults import Faults
from tests.simulation.instances import Instance
from tests.simulation.invariants import StoreRules
from tests.simulation.loop import Life, Process, ProcessClock, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.plans import CALM_AT, ENGINES, INSTANCES, ROUTERS, Plan, Verb, Wish, plan_of
from tests.simulation.quiescence import Quiescence
from tests.simulation.scopes import Scope
from tests.simulation.stores import StoreLink, StoreServer
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather
from tests.simulation.witness import Witness

LEASE_SECONDS = 6
SCAN_SECONDS = 10.0
INSTANCE_LEASE_SECONDS = 8
BOUND_SECONDS = 700.0
"""After the last fault everything rests within this: a compensation may take its five minutes and a half."""


@dataclass(slots=True)
class Incarnation:
    """One life of a router or an instance.

    Attributes:
        slot: Which of the routers or instances it is.
        process: Its process.
        link: Its connection to the store.
        stop: Ends a router in good order.
        lease: Answers the id of a router's lease, once there is one.
    """

    slot: str
    process: Process
    link: StoreLink
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[Any] | None" = None
    service: Any = None


class World:
    """Everything that there is in one run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.dice = Random(f"world {plan.seed}")
        self.trace = Trace(self.loop.time)
        self.weather = Weather(self._dice("weather"), plan.climate, CALM_AT, self.loop.time)
        self.store = StoreServer(self.loop, self.trace)
        self.rules = StoreRules(self.trace)
        self.store.observers.append(self.rules.observe)
        self.network = Network(self.loop, self.weather, self.trace)
        self.witness = Witness(self.trace)
        self.scopes = {name: self._scope(name) for name in ENGINES}
        self.routers: dict[str, Incarnation] = {}
        self.instances: dict[str, Incarnation] = {}
        self.processes: list[Process] = []
        self.asks: list[Ask] = []
        self.lives = 0
        self._told: dict[tuple[str, int], bytes] = {}
        self._ids = self._dice("ids")
        self.trace.on_violation = self.loop.stop

    def _dice(self, purpose: str) -> Random:
        return Random(f"{purpose} {self.plan.seed}")

    def _scope(self, name: str) -> Scope:
        dice = self._dice(f"scope {name}")
        return Scope(name, self.loop, self.witness, self.trace, dice, self.plan.temper, self.weather)

    def process(self, name: str) -> Process:
        """Make a process."""
        process = self.loop.process(name)
        self.processes.append(process)
        return process

    def new_ulid(self) -> str:
        """Make an id, the same for the same seed."""
        moment = int(self.loop.time() * 1000) + 1_772_366_400_000
        return str(ULID(moment.to_bytes(6, "big") + self._ids.randbytes(10)))

    # --- routers and instances

    def start_router(self, slot: str, name: str = "") -> None:
        """Start a router in a slot, under its own name or another one."""
        self.lives += 1
        process = self.process(name or slot)
        link = StoreLink(self.store, process, self.weather)
        life = Incarnation(slot, process, link)
        settings = RouterSettings(
            server=ServerSettings(name=process.name),
            lease_seconds=LEASE_SECONDS,
            drain_seconds=3.0,
            scan_seconds=SCAN_SECONDS,
            plan_key_file=documents.PLAN_KEY_FILE,
        )
        work = serve(
            settings,
            link,
            life.stop,
            clock=ProcessClock(self.loop, process),
            rng=self._dice(f"router {self.lives}"),
            new_ulid=self.new_ulid,
            server=self.network.server(process, address_of(slot)),
            opener=self.network.opener(process),  # type: ignore[arg-type]  # the surface of a channel, not its class
            read=documents.read,
        )
        self.routers[slot] = life
        self.trace.add(process.name, "life", "starts")
        life.task = process.start(f"router {slot}", work)
        life.task.add_done_callback(lambda task: self._ended(life, task))

    def start_instance(self, slot: str) -> None:
        """Start an engine instance in a slot."""
        self.lives += 1
        engine = slot.partition("-")[0]
        process = self.process(f"{slot}.{self.lives}")
        link = StoreLink(self.store, process, self.weather)
        clock = ProcessClock(self.loop, process)
        message = registry_pb2.EngineInstance(
            name=f"engines/{engine}/instances/{process.name}",
            engine=engine,
            version="1",
            address=address_of(slot),
            scope=engine,
            capacity=3,
            state=registry_pb2.EngineInstance.STATE_READY,
            capabilities=[
                registry_pb2.CAPABILITY_OBSERVE,
                registry_pb2.CAPABILITY_CANCEL,
                registry_pb2.CAPABILITY_UPDATE,
            ],
            handle_schemas=[f"{engine}/1"],
        )
        instance = Instance(process, clock, self.scopes[engine], message)  # type: ignore[abstract]  # no Plan
        registration = Registration(
            link, clock=clock, instance_id=process.name, message=message, ttl_seconds=INSTANCE_LEASE_SECONDS
        )
        life = self.instances[slot] = Incarnation(slot, process, link)
        self.trace.add(process.name, "life", "starts")
        life.task = process.start(f"instance {slot}", self._serve(slot, process, instance, registration))
        life.task.add_done_callback(lambda task: self._ended(life, task))

    async def _serve(
        self, slot: str, process: Process, instance: Instance, registration: Registration
    ) -> None:
        server = self.network.server(process, address_of(slot))
        name = engine_pb2.DESCRIPTOR.services_by_name["ProvisioningEngine"].full_name
        server.add(engine_pb2_grpc.add_ProvisioningEngineServicer_to_server, instance, name)
        await server.start()
        await registration.start()
        await registration.maintain()

    def _ended(self, life: Incarnation, task: "asyncio.Task[Any]") -> None:
        if task.cancelled() or self.over:
            return
        error = task.exception()
        self.trace.add(life.process.name, "life", f"ends{f' with {error!r}' if error else ''}")
        if error is not None:
            self.trace.violate(
                "nothing fails by a fault of our own", f"{life.process.name} ended with {error!r}"
            )

    def kill(self, life: Incarnation) -> None:
        """End a process at once."""
        if life.process.life is Life.DEAD:
            return
        self.trace.add(life.process.name, "life", "is killed")
        life.process.kill()
        life.link.leave()
        self.network.broken_off(life.process)

    @property
    def living(self) -> Iterator[Incarnation]:
        """Routers and instances that have not been killed."""
        for life in (*self.routers.values(), *self.instances.values()):
            if life.process.life is not Life.DEAD:
                yield life

    # --- the run

    over = False

    async def main(self) -> None:
        """Carry the plan out and wait until everything rests."""
        self.network.on_send = self._on_send
        self.network.on_tell = self._on_tell
        self.store.do(lambda state: state.commit(documents.tables(self.plan)), "people")
        for slot in INSTANCES:
            self.start_instance(slot)
        for slot in ROUTERS:
            self.start_router(slot)
        faults = Faults(self)
        for fault in self.plan.faults:
            self.loop.outside(fault.at, faults.begin, fault)
        for wish in self.plan.wishes:
            self.loop.outside(wish.at, self._wish, wish)
        self.loop.outside(CALM_AT, faults.end_all)
        await Quiescence(self).reached(CALM_AT + BOUND_SECONDS)

    def _wish(self, wish: Wish) -> None:
        """Let a client ask for something."""
        process = self.process(f"client-{len(self.asks)}")
        ask = Ask(process.name, wish.verb.value, request_of(wish))
        self.asks.append(ask)
        self.trace.add(process.name, "client", f"asks: {wish}")
        routers = SimulatedRouters([address_of(slot) for slot in wish.routers], self.network.opener(process))
        process.start(f"follow {wish.request_id}", ask.follow(routers, self._dice(process.name), self.trace))

    # --- what must hold of what processes send

    def _on_send(self, caller: Process, path: str, request: Any) -> None:
        method = path.rpartition("/")[2]
        if method not in {"Apply", "Destroy", "CancelStep"}:
            return
        call = request.call
        owner = self.store.state.items.get(keys.owner(call.operation.rpartition("/")[2]))
        owns = owner is not None and owner.create_revision == call.token.revision
        if not owns or not self.store.lease_stands(owner.lease if owner else 0):
            self.trace.violate(
                "who may have lost its lease asks engines for nothing",
                f"{caller.name} sends {method} of {call.work_id} for {call.operation}"
                f" with token {call.token.revision}",
            )

    def _on_tell(self, server: Process, path: str, message: Any) -> None:
        if not isinstance(message, operation_pb2.OperationEvent) or not message.sequence:
            return
        operation = message.operation.rpartition("/")[2]
        committed = self.rules.events.get((operation, message.sequence))
        wire = message.SerializeToString(deterministic=True)
        if self._told.get((operation, message.sequence)) == wire:
            return  # it was compared before
        self._told[operation, message.sequence] = wire
        if committed != documents.json_of(message):
            self.trace.violate(
                "durable events are shown after they are committed",
                f"{server.name} shows {message.sequence} of {operation} by {path}:"
                f" {documents.json_of(message)},"
                f" committed is {committed}",
            )


def address_of(slot: str) -> str:
    """Where a slot listens."""
    return f"{slot}:1"


def request_of(wish: Wish) -> Any:
    """The request of a wish."""
    inputs = to_value_map({"value": wish.value})
    if wish.verb is Verb.PROVISION:
        return provisioning_pb2.ProvisionRequest(
            parent="tenants/default",
            workload="workloads/site",
            resource_id=wish.resource,
            request_id=wish.request_id,
            inputs=inputs,
        )
    name = f"tenants/default/resources/{wish.resource}"
    if wish.verb is Verb.UPDATE:
        return provisioning_pb2.UpdateRequest(name=name, request_id=wish.request_id, inputs=inputs)
    return provisioning_pb2.DeprovisionRequest(name=name, request_id=wish.request_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed.

    Attributes:
        plan: What it held.
        violations: What must never have happened.
        trace: What happened.
        seconds: Virtual seconds until everything rested.
        turns: Turns of the loop.
        counts: How often what happened.
    """

    plan: Plan
    violations: tuple[str, ...]
    trace: Trace
    seconds: float
    turns: int
    counts: dict[str, int]

    def report(self, last: int = 0) -> str:
        """Everything that one needs to understand a failure."""
        return "\n".join([str(self.plan), "", *self.trace.text(last), "", *self.violations])


class _Errors(logging.Handler):
    """Takes errors that processes log of themselves for violations."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.ERROR)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one."""
        if record.exc_info and record.exc_info[1] is not None:
            told = f"{record.getMessage()}: {record.exc_info[1]!r}"
            self._trace.violate("nothing fails by a fault of our own", told)


def run_seed(seed: int) -> Outcome:
    """Run a seed to its end."""
    logging.disable(logging.WARNING)
    world = World(plan_of(seed))
    errors = _Errors(world.trace)
    logging.getLogger().addHandler(errors)
    asyncio.set_event_loop(world.loop)
    try:
        world.loop.run_until_complete(world.main())
    except RuntimeError:
        if not world.trace.violations:
            raise
    finally:
        logging.getLogger().removeHandler(errors)
        logging.disable(logging.NOTSET)
        seconds = world.loop.time()
        _clear_up(world)
        asyncio.set_event_loop(None)
    told = (*world.trace.violations, *world.loop.troubles)
    return Outcome(world.plan, told, world.trace, seconds, world.loop.turns, _counts(world))


def _clear_up(world: World) -> None:
    """Let all tasks unwind while nothing that they do has an effect."""
    world.over = True
    world.trace.on_violation = lambda: None
    kept = len(world.trace.violations), len(world.trace.lines)
    for process in world.processes:
        process.bury()
    tasks = [task for process in world.processes for task in process.tasks if not task.done()]
    world.loop.call_soon(
        world.loop.stop
    )  # where the run was stopped, what stops it at its end is still ready
    world.loop.run_forever()
    if tasks:
        world.loop.run_until_complete(asyncio.wait(tasks))
    world.loop.run_until_complete(world.loop.shutdown_asyncgens())
    world.loop.close()
    del world.trace.violations[kept[0] :], world.trace.lines[kept[1] :]
    world.loop.troubles.clear()


def _counts(world: World) -> dict[str, int]:
    counts = dict(world.weather.counts)
    for fault in world.plan.faults:
        counts[fault.kind.value] = counts.get(fault.kind.value, 0) + 1
    for ask in world.asks:
        if ask.outcome is not None:
            state = operation_pb2.Operation.State.Name(ask.outcome)  # type: ignore[arg-type]  # it is one
            counts[state] = counts.get(state, 0) + 1
    counts["adoptions"] = sum("adopted" in event for event in world.rules.events.values())
    counts["effects"] = len(world.witness.effects)
    counts["operations"] = len(world.rules.under(keys.RECORDS))
    return counts


_ = (Channels, timedelta)
