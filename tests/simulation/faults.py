"""Carrying out what a plan says goes wrong.

The world makes one. A fault begins at its time and ends by itself; when all is to be calm, everything that
is still wrong is put right: frozen processes thaw, dead ones start anew, links are mended.
"""

from typing import TYPE_CHECKING, Any

import grpc

from enchain.chains.errors import EnchainError
from enchain.process.statuses import from_rpc_error
from enchain.state import keys
from enchain.v1 import provisioning_pb2
from tests.simulation import documents
from tests.simulation.clients import SimulatedRouters
from tests.simulation.loop import Life
from tests.simulation.network import UNAVAILABLE, rpc_error
from tests.simulation.plans import OF_INSTANCES, OF_ROUTERS, ROUTERS, Fault, Kind

if TYPE_CHECKING:
    from tests.simulation.world import Incarnation, World

RESTART_SECONDS_MAX = 10.0


class Faults:
    """The faults of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._route = 0

    def begin(self, fault: Fault) -> None:
        """Let something go wrong."""
        world = self._world
        world.trace.add("", "FAULT", str(fault))
        if fault.kind in OF_ROUTERS:
            self._router(fault, world.routers[fault.whom])
        elif fault.kind in OF_INSTANCES:
            self._instance(fault, world.instances[fault.whom])
        elif fault.kind is Kind.LOSE_TOOLS:
            world.scopes[fault.whom].lose_tools()
        elif fault.kind is Kind.SWITCH_ROUTE:
            self._route += 1
            chain = documents.CHAINS[self._route % 2]
            world.store.do(lambda state: state.commit(documents.route_to(chain)), "people")
        else:
            self._person(fault)

    def _router(self, fault: Fault, life: "Incarnation") -> None:
        world = self._world
        if life.process.life is Life.DEAD:
            return
        name = life.process.name if fault.same else f"{life.slot}{world.lives}"
        match fault.kind:
            case Kind.KILL_ROUTER:
                world.kill(life)
                world.loop.outside(
                    min(fault.seconds, RESTART_SECONDS_MAX), world.start_router, life.slot, name
                )
            case Kind.STOP_ROUTER:
                if life.process.life is Life.RUNNING:
                    life.process.later(0, life.stop.set)
                    world.loop.outside(8.0, self._replace, life, name)
            case Kind.CUT_STREAMS:
                self._cut_streams(life)
            case Kind.CUT_WATCHES:
                life.link.cut_watches()
            case _:
                self._process(fault, life)

    def _replace(self, life: "Incarnation", name: str) -> None:
        """Where a router has stopped, another one comes; one that cannot stop is killed."""
        world = self._world
        if world.routers[life.slot] is not life:
            return
        world.kill(life)
        world.start_router(life.slot, name)

    def _cut_streams(self, life: "Incarnation") -> None:
        for call in list(self._world.network.calls.values()):
            if call.caller is life.process or call.served_by is life.process:
                call.breaks(rpc_error(UNAVAILABLE, "the stream was cut"))

    def _instance(self, fault: Fault, life: "Incarnation") -> None:
        world = self._world
        if life.process.life is Life.DEAD:
            return
        if fault.kind is Kind.KILL_INSTANCE:
            world.kill(life)
            world.loop.outside(min(fault.seconds, RESTART_SECONDS_MAX), world.start_instance, life.slot)
            return
        self._process(fault, life)

    def _process(self, fault: Fault, life: "Incarnation") -> None:
        """What goes wrong with a process of either kind."""
        outside = self._world.loop.outside
        match fault.kind:
            case Kind.FREEZE_ROUTER | Kind.FREEZE_INSTANCE:
                life.process.freeze()
                outside(fault.seconds, self._thaw, life)
            case Kind.CUT_ROUTER | Kind.CUT_INSTANCE:
                life.link.cut()
                outside(fault.seconds, life.link.mend)
            case Kind.STEP_ROUTER_CLOCK | Kind.STEP_INSTANCE_CLOCK:
                life.process.offset += fault.seconds
            case _:
                raise AssertionError(fault)

    def _thaw(self, life: "Incarnation") -> None:
        if life.process.life is Life.FROZEN:
            self._world.trace.add(life.process.name, "life", "thaws")
            life.process.thaw()

    def end_all(self) -> None:
        """Put everything right."""
        world = self._world
        world.trace.add("", "FAULT", "all is calm from now on")
        for life in world.living:
            self._thaw(life)
            life.link.mend()
            life.process.offset = 0.0

    # --- people

    def _person(self, fault: Fault) -> None:
        """Somebody cancels or retries an operation, by whatever router answers."""
        world = self._world
        wanted = "STATE_HELD" if fault.kind is Kind.RETRY else "STATE_RUNNING"
        records = world.rules.under(keys.RECORDS)
        names = sorted(record["name"] for record in records.values() if record["state"] == wanted)
        if not names:
            return
        process = world.process("operator")
        addresses = [f"{slot}:1" for slot in world.dice.sample(ROUTERS, len(ROUTERS))]
        routers = SimulatedRouters(addresses, world.network.opener(process))
        process.start("steer", self._steer(fault, world.dice.choice(names), routers))

    async def _steer(self, fault: Fault, name: str, routers: SimulatedRouters) -> None:
        kind, from_step = fault.kind, documents.STEPS[0] if fault.same else ""
        trace = self._world.trace
        for address in routers.addresses:
            stub = routers.stub(address)
            call: Any = (
                stub.CancelOperation(provisioning_pb2.CancelOperationRequest(name=name))
                if kind is Kind.CANCEL
                else stub.RetryOperation(
                    provisioning_pb2.RetryOperationRequest(name=name, from_step=from_step)
                )
            )
            try:
                await call
            except grpc.aio.AioRpcError as failure:
                error: EnchainError = from_rpc_error(failure)
                trace.add("operator", "client", f"{kind.value} {name}: {error.reason}")
            else:
                trace.add("operator", "client", f"{kind.value} {name}: done")
                return
