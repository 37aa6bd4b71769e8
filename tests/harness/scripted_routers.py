"""Routers that serve one scripted operation over real gRPC, and die when a test says so.

All routers of a test share a `Script`, as real ones share etcd: what it has told, any of them replays.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from enchain.chains.errors import EnchainError
from enchain.process.servers import Server
from enchain.v1 import operation_pb2, provisioning_pb2, provisioning_pb2_grpc

Event = operation_pb2.OperationEvent
States = operation_pb2.Operation
OPERATION = "tenants/default/operations/01J00000000000000000000000"


def admitted() -> Event:
    """The first durable event of an operation."""
    told = operation_pb2.OperationAdmitted(
        workload="workloads/site", resource="tenants/default/resources/one", steps=["configure"]
    )
    return Event(operation=OPERATION, admitted=told)


def started(step: str = "configure") -> Event:
    """A step begins."""
    return Event(operation=OPERATION, step_started=operation_pb2.StepStarted(step=step))


def moved(state: States.State.ValueType) -> Event:
    """The operation's state changes."""
    return Event(operation=OPERATION, state_changed=operation_pb2.OperationStateChanged(state=state))


def ended() -> Event:
    """The last durable event of an operation."""
    told = operation_pb2.OperationEnded(state=States.STATE_SUCCEEDED)
    return Event(operation=OPERATION, ended=told)


@dataclass
class Script:
    """One operation: its durable events so far, and what routers were asked.

    Attributes:
        events: Durable events, numbered in order.
        requests: Ids of the requests that came, each as often as it came.
        watched: Sequences after which watchers asked to go on.
        streams: Streams that are open now.
        refusal: What every request is answered with instead.
        rude: Watchers get everything, whatever they have seen already.
    """

    events: list[Event] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    watched: list[int] = field(default_factory=list)
    streams: int = 0
    refusal: EnchainError | None = None
    rude: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def tell(self, *events: Event) -> None:
        """Commit durable events, and show them on every stream."""
        async with self.changed:
            for event in events:
                self.events.append(event)
                event.sequence = len(self.events)
            self.changed.notify_all()

    @property
    def state(self) -> States.State.ValueType:
        """Where the operation stands."""
        state = States.STATE_RUNNING
        for event in self.events:
            kind = event.WhichOneof("kind")
            if kind == "state_changed":
                state = event.state_changed.state
            elif kind == "ended":
                state = event.ended.state
        return state

    @property
    def rests(self) -> bool:
        """Nothing more happens by itself."""
        return self.state in {States.STATE_HELD, States.STATE_SUCCEEDED}


class ScriptedRouter(provisioning_pb2_grpc.ProvisioningServiceServicer):
    """A router of a script.

    Attributes:
        silent: A request is taken, and not answered.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.server = Server("127.0.0.1:0")
        self.goodbye = ""
        self.address = ""
        self.silent = False

    async def start(self) -> None:
        """Listen."""
        register = provisioning_pb2_grpc.add_ProvisioningServiceServicer_to_server
        self.server.add(register, self, "enchain.v1.ProvisioningService")
        self.address = await self.server.start()
        await self.server.serving(True)

    async def die(self) -> None:
        """Stop hard: every stream is cut off."""
        await self.server.stop(0)

    async def leave(self, reason: str) -> None:
        """End every stream with a hint to re-attach elsewhere, as a router does that is told to stop."""
        async with self.script.changed:
            self.goodbye = reason
            self.script.changed.notify_all()

    async def Provision(self, request, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N802 - gRPC's name
        """Admit once, then show everything."""
        script = self.script
        script.requests.append(request.request_id)
        if script.refusal:
            raise script.refusal
        if request.validate_only:
            return
        if self.silent:
            await context.send_initial_metadata(())
            await asyncio.Event().wait()
        if not script.events:
            await script.tell(admitted())
        async for event in self._show(0):
            yield event

    async def WatchOperation(self, request, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002, N802 - gRPC's name
        """Replay, then go on."""
        self.script.watched.append(request.after_sequence)
        if self.script.refusal:
            raise self.script.refusal
        async for event in self._show(0 if self.script.rude else request.after_sequence):
            yield event

    async def GetOperation(self, request, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002, N802 - gRPC's name
        """Answer what is known."""
        script = self.script
        return States(name=request.name, state=script.state, last_sequence=len(script.events))

    async def ListOperations(self, request, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002, N802 - gRPC's name
        """Answer two pages of one operation each."""
        page = provisioning_pb2.ListOperationsResponse(
            operations=[States(name=f"{OPERATION[:-1]}{1 if request.page_token else 0}")]
        )
        page.next_page_token = "" if request.page_token else "more"
        return page

    async def _show(self, after: int) -> AsyncIterator[Event]:
        script = self.script
        script.streams += 1
        try:
            while True:
                while len(script.events) > after:
                    event = script.events[after]
                    after = event.sequence
                    yield event
                if script.rests:
                    return
                if self.goodbye:
                    yield Event(operation=OPERATION, reattach=operation_pb2.Reattach(reason=self.goodbye))
                    return
                async with script.changed:
                    if len(script.events) == after and not self.goodbye:
                        await script.changed.wait()
        finally:
            script.streams -= 1


@asynccontextmanager
async def routers(script: Script, number: int = 2) -> AsyncIterator[Sequence[ScriptedRouter]]:
    """Serve a script on so many routers."""
    running = [ScriptedRouter(script) for _ in range(number)]  # type: ignore[abstract]  # the rest is not asked
    for router in running:
        await router.start()
    try:
        yield running
    finally:
        for router in running:
            await router.die()
