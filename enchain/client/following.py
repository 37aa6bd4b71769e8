"""Follow one operation to its end, whatever becomes of the routers.

`Client` calls `follow`. Until the first event has come the request itself is sent again, with the same
request id, so that it is admitted once; after it the operation is watched from the last durable event seen.
Closing the iterator cancels nothing: the operation goes on without a reader.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from enchain.chains.errors import EnchainError, ExhaustedError, UnavailableError
from enchain.client.attachment import Attachment, Reattached, goes_on
from enchain.client.routers import Routers, Stub, answered, no_router
from enchain.process.statuses import from_rpc_error
from enchain.v1 import operation_pb2, provisioning_pb2

Happening = operation_pb2.OperationEvent | Reattached
EventStream: TypeAlias = "grpc.aio.UnaryStreamCall[Any, operation_pb2.OperationEvent]"
Call = Callable[[Stub], EventStream]

PATIENCE_SECONDS = 120.0
"""How long no router may be heard of before the client gives up. Longer than a lease and an etcd failover."""

FIRST_PATIENCE_SECONDS = 5.0
"""How long to look for a first router. Nothing runs yet, and most likely an address is wrong."""

_BROKEN = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL})
"""What a stream ends with when its server is killed or stops; the operation itself is safe in the journal."""

_AT_REST = frozenset(
    {
        operation_pb2.Operation.STATE_HELD,
        operation_pb2.Operation.STATE_SUCCEEDED,
        operation_pb2.Operation.STATE_FAILED,
        operation_pb2.Operation.STATE_CANCELLED,
    }
)


async def follow(
    routers: Routers,
    begin: Call | None,
    *,
    attachment: Attachment,
    patience_seconds: float = PATIENCE_SECONDS,
    rng: random.Random | None = None,
) -> AsyncIterator[Happening]:
    """Yield the events of an operation, and a `Reattached` whenever another router goes on.

    Args:
        routers: Whom to ask.
        begin: Sends the request; None where the operation exists and is only watched.
        attachment: Where to begin.
        patience_seconds: Time without any answer after which to give up.
        rng: Source of jitter.

    Raises:
        EnchainError: The request was refused, or no router could be reached for too long.
    """
    dice = rng or random.Random()  # noqa: S311 - jitter, not a secret
    following = _Following(routers, begin, attachment, patience_seconds, time.monotonic())
    while True:
        async with aclosing(following.attempt()) as happened:
            async for happening in happened:
                yield happening
        if following.over:
            return
        await asyncio.sleep(following.turn(dice.random()))


@dataclass(slots=True)
class _Following:
    """One operation being followed, from one router after another.

    Attributes:
        heard: When a router last said anything.
        asked: The router that is asked now, or was last.
        unheard: Those that were asked since, in vain.
        met: Some router has answered.
        broken: Why the stream before ended; None at first.
        over: Nothing more is to come.
    """

    routers: Routers
    begin: Call | None
    attachment: Attachment
    patience_seconds: float
    heard: float
    asked: str = ""
    unheard: set[str] = field(default_factory=set)
    met: bool = False
    broken: EnchainError | None = None
    over: bool = False

    async def attempt(self) -> AsyncGenerator[Happening, None]:
        """Yield what one stream brings; a stream that breaks just ends, unless the caller is at fault."""
        call = self._open()
        try:
            if self.broken is not None and self.attachment.operation:
                await call.wait_for_connection()
                yield Reattached(self.asked, self.broken.message, self.attachment.sequence)
            self.broken = UnavailableError("the stream ended", reason="STREAM_ENDED")
            async for event in call:
                self._hear()
                if event.WhichOneof("kind") == "reattach":
                    self.broken = UnavailableError(event.reattach.reason, reason="ROUTER_STOPS")
                    return
                if not self.attachment.knows(event):
                    self.attachment = self.attachment.seen(event)
                    yield event
                if self.attachment.ended:
                    break
            self.over = self.attachment.ended or await self._is_at_rest()
        except grpc.aio.AioRpcError as failure:
            self._break(failure)
        finally:
            call.cancel()

    def turn(self, jitter: float) -> float:
        """Turn to the next router; answer how many seconds to wait before.

        Raises:
            UnavailableError: No router was heard of for too long.
        """
        limit = self.patience_seconds if self.met else min(self.patience_seconds, FIRST_PATIENCE_SECONDS)
        self.unheard.add(self.asked)
        # A single router that stands still can use up all patience: the others are asked in any case.
        in_vain = self.unheard >= set(self.routers.addresses)
        if in_vain and time.monotonic() - self.heard >= limit:
            raise self._given_up() from self.broken
        self.attachment = self.attachment.failed()
        self.routers.leave(self.asked)
        return self.attachment.backoff_seconds(jitter)

    def _open(self) -> EventStream:
        self.asked = self.routers.address
        stub = self.routers.stub(self.asked)
        if self.begin is not None and not self.attachment.operation:
            return self.begin(stub)
        return stub.WatchOperation(
            provisioning_pb2.WatchOperationRequest(
                name=self.attachment.operation, after_sequence=self.attachment.sequence
            )
        )

    async def _is_at_rest(self) -> bool:
        """Tell whether a stream that ended well is at the operation's end; routers end none before."""
        if self.attachment.held or not self.attachment.operation:  # no operation: it was to be checked only
            return True
        request = provisioning_pb2.GetOperationRequest(name=self.attachment.operation)
        operation = await self.routers.stub(self.asked).GetOperation(request)
        return operation.state in _AT_REST and operation.last_sequence <= self.attachment.sequence

    def _break(self, failure: grpc.aio.AioRpcError) -> None:
        error = from_rpc_error(failure)
        passes = failure.code() in _BROKEN or isinstance(error, ExhaustedError)
        if not goes_on(error) and not (passes and self.attachment.operation):
            raise error from failure
        if answered(failure):
            self._hear()
        self.broken = error

    def _hear(self) -> None:
        self.heard, self.met = time.monotonic(), True
        self.unheard.clear()

    def _given_up(self) -> UnavailableError:
        told = self.broken.message if self.broken else ""
        if not self.met:
            return no_router(self.routers.addresses, told)
        name = self.attachment.operation
        return UnavailableError(
            f"no router has answered for {self.patience_seconds:g} s: {told}",
            reason="NO_ROUTER_ANSWERS",
            remedy=f"Watch {name} later; it goes on." if name else "Send the same request id again.",
            metadata={"operation": name} if name else {},
        )
