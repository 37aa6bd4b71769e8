"""Clients of a simulated world: they ask, follow through everything, and remember what they were told.

Each is the real client (`enchain.client.following`) over simulated channels. What it was told is checked at
once against what was committed, and at the end against the record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from enchain.chains.errors import EnchainError
from enchain.client.attachment import Attachment, Reattached
from enchain.client.following import follow
from enchain.v1 import operation_pb2, provisioning_pb2_grpc
from tests.simulation.trace import Trace

Operation = operation_pb2.Operation


class SimulatedRouters:
    """The routers that a client knows, in its own order; surface: `enchain.client.routers.Routers`."""

    def __init__(self, addresses: Sequence[str], opener: Callable[..., Any]) -> None:
        self._addresses = tuple(addresses)
        self._open = opener
        self._at = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them."""
        return self._addresses

    @property
    def address(self) -> str:
        """The one that is asked now."""
        return self._addresses[self._at]

    def leave(self, address: str) -> None:
        """Turn to the next one, unless that was done already."""
        if address == self.address:
            self._at = (self._at + 1) % len(self._addresses)

    def stub(self, address: str) -> Any:
        """The stub of one."""
        return provisioning_pb2_grpc.ProvisioningServiceStub(self._open(address))


@dataclass(slots=True)
class Ask:
    """One request and all that its client was told.

    Attributes:
        name: The client's name.
        method: The method of the service.
        request: What is sent.
        operation: The operation that it was told of.
        sequence: The last durable event that it saw.
        outcome: The final or held state that it was told; None before that.
        refusal: The error that ended it.
        refused_at: When it came.
        kinds: The durable events that it saw.
    """

    name: str
    method: str
    request: Any
    operation: str = ""
    sequence: int = 0
    outcome: int | None = None
    refusal: EnchainError | None = None
    refused_at: float = 0.0
    done: bool = False
    kinds: list[str] = field(default_factory=list)

    async def follow(self, routers: SimulatedRouters, dice: Random, trace: Trace) -> None:
        """Send it, and follow the operation to where it rests."""
        happened = follow(
            routers,  # type: ignore[arg-type]  # it has the same surface
            lambda stub: getattr(stub, self.method)(self.request),
            attachment=Attachment(),
            rng=dice,
        )
        try:
            async for happening in happened:
                if isinstance(happening, Reattached):
                    trace.add(self.name, "client", f"attaches to {happening.router}: {happening.reason}")
                elif happening.sequence:
                    self._take(happening, trace)
        except EnchainError as error:
            self.refusal, self.refused_at = error, trace.now()
            trace.add(self.name, "client", f"is refused: {error.reason} {error.message}")
        self.done = True

    def _take(self, event: operation_pb2.OperationEvent, trace: Trace) -> None:
        kind = str(event.WhichOneof("kind"))
        trace.add(self.name, "client", f"sees {event.sequence} {kind} of {event.operation}")
        if self.operation and event.operation != self.operation:
            trace.violate(
                "a request id has one operation",
                f"{self.name} was told of {self.operation} and {event.operation}",
            )
        if event.sequence != self.sequence + 1:
            trace.violate(
                "a client sees every durable event once",
                f"{self.name} saw {event.sequence} after {self.sequence} of {event.operation}",
            )
        self.operation, self.sequence = event.operation, event.sequence
        self.kinds.append(kind)
        if kind == "ended":
            self.outcome = event.ended.state
        elif kind == "state_changed":
            self.outcome = Operation.STATE_HELD if event.state_changed.state == Operation.STATE_HELD else None
