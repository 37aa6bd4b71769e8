"""Follow one operation to its end, whatever becomes of the routers.

`Client` calls `follow`. Until the first event has come the request itself is sent again, with the same
request id, so that it is admitted once; after it the operation is watched from the last durable event seen.
Closing the iterator cancels nothing: the operation goes on without a reader.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc

from enchain.chains.errors import EnchainError, UnavailableError
from enchain.client.attachment import Attachment, Reattached, goes_on
from enchain.client.routers import Routers, Stub
from enchain.process.statuses import from_rpc_error
from enchain.v1 import operation_pb2, provisioning_pb2

Happening = operation_pb2.OperationEvent | Reattached
EventStream: TypeAlias = "grpc.aio.UnaryStreamCall[Any, operation_pb2.OperationEvent]"
Call = Callable[[Stub], EventStream]

PATIENCE_SECONDS = 120.0
"""How long no router may be heard of before the client gives up. Longer than a lease and an etcd failover."""


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
    heard = time.monotonic()
    reason = ""
    while not attachment.ended:
        if reason and attachment.operation:
            yield Reattached(routers.address, reason, attachment.sequence)
        call = _open(routers, begin, attachment)
        try:
            async for event in call:
                heard = time.monotonic()
                if event.WhichOneof("kind") == "reattach":
                    reason = event.reattach.reason
                    break
                if attachment.knows(event):
                    continue
                attachment = attachment.seen(event)
                yield event
                if attachment.ended:
                    return
            else:
                if begin is not None and not attachment.operation:
                    return  # validate_only: the stream ends without an event
                reason = "the stream ended"
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            if not goes_on(error) and not (failure.code() in _BROKEN and attachment.operation):
                raise error from failure
            reason = error.message
            _give_up_after(heard, patience_seconds, error, attachment)
        finally:
            call.cancel()
        attachment = attachment.failed()
        routers.next()
        await asyncio.sleep(attachment.backoff_seconds(dice.random()))


_BROKEN = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL})
"""What a stream ends with when its server is killed or stops; the operation itself is safe in the journal."""


def _open(routers: Routers, begin: Call | None, attachment: Attachment) -> EventStream:
    stub = routers.stub()
    if begin is not None and not attachment.operation:
        return begin(stub)
    return stub.WatchOperation(
        provisioning_pb2.WatchOperationRequest(name=attachment.operation, after_sequence=attachment.sequence)
    )


def _give_up_after(
    heard: float, patience_seconds: float, error: EnchainError, attachment: Attachment
) -> None:
    if time.monotonic() - heard < patience_seconds:
        return
    name = attachment.operation
    raise UnavailableError(
        f"no router has answered for {patience_seconds:g} s: {error.message}",
        reason="NO_ROUTER_ANSWERS",
        remedy=f"Try later: enchain operations watch {name}" if name else "Send the same request id again.",
        metadata={"operation": name},
    ) from error
