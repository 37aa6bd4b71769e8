"""One watch on etcd, on a connection of its own.

`etcd.py` calls it, `follow` drives it. It delivers whole revisions as they come and never goes on by
itself after
trouble: where to go on is `follow`'s to say, which knows what was delivered.

How a dead connection is found: after `PROGRESS_SECONDS` of silence etcd is asked on the stream for its
progress. No answer to that within the same time is no proof, since a member that is catching a watcher up
may keep quiet; so the connection itself is asked, by a status request. Only where that goes unanswered is
it given up.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

import grpc

from enchain.chains.errors import EnchainError, UnavailableError
from enchain.etcd import rpc_pb2, rpc_pb2_grpc
from enchain.state import etcd_wire
from enchain.state.etcd_connection import Connection, Metadata, answered, ready
from enchain.state.etcd_errors import StaleTokenError, explain
from enchain.state.position import Joiner
from enchain.state.store import Batch, CompactedError, DisplacedError

if TYPE_CHECKING:
    Call = grpc.aio.StreamStreamCall[rpc_pb2.WatchRequest, rpc_pb2.WatchResponse]

PROGRESS_SECONDS = 3.0
"""Silence after which etcd is asked for its progress; as long again until the connection is asked."""

STATUS_SECONDS = 2.0
"""How long the connection may take to answer when it is asked itself."""

QUIET_ROUNDS_MAX = 10
"""How often a live connection may leave the watch itself without an answer until it is begun anew."""

LEADER_REQUIRED: Metadata = (("hasleader", "true"),)
"""Makes a member that lost its leader end the stream, instead of serving what it has for ever."""


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What to watch, from where, and whom to tell of signs of life."""

    prefix: str
    start_revision: int
    cluster_id: int
    heard: Callable[[], None]


async def watch(connection: Connection, request: WatchRequest) -> AsyncGenerator[Batch, None]:
    """Deliver revisions until something goes wrong; `Store.watch` says what is raised then."""
    async with connection.channel_of_its_own() as channel:
        await ready(channel)
        carried = await connection.metadata(channel)
        try:
            async with aclosing(_deliver(connection, channel, carried, request)) as batches:
                async for batch in batches:
                    yield batch
        except EnchainError as error:
            # Some versions say "permission denied" to a watch whose token is merely too old.
            connection.forget_token(carried)
            connection.doubt(channel, error)
            raise


async def _deliver(
    connection: Connection, channel: grpc.aio.Channel, carried: Metadata, request: WatchRequest
) -> AsyncGenerator[Batch, None]:
    call = rpc_pb2_grpc.WatchStub(channel).Watch(None, metadata=(*carried, *LEADER_REQUIRED))
    joiner = Joiner()
    await answered(call.write(_create(request)), mutation=False)
    async with _Reader(call, channel, request.heard) as reader:
        while True:
            response = await reader.next()
            check(response, request)
            if response.created and response.header.revision < request.start_revision - 1:
                await _confirm_revision(connection, request)
            request.heard()
            events = [etcd_wire.event(event) for event in response.events]
            for batch in joiner.take(events, fragment=response.fragment):
                # A restarted member may send again what lies before the start.
                if batch.revision >= request.start_revision:
                    yield replace(batch, newest=response.header.revision)


def _create(request: WatchRequest) -> rpc_pb2.WatchRequest:
    key, range_end = etcd_wire.span(request.prefix)
    create = rpc_pb2.WatchCreateRequest(
        key=key, range_end=range_end, start_revision=request.start_revision, fragment=True
    )
    return rpc_pb2.WatchRequest(create_request=create)


def check(response: rpc_pb2.WatchResponse, request: WatchRequest) -> None:
    """Look whether an answer says that the watch cannot go on.

    Raises:
        CompactedError: What it asks for is compacted.
        DisplacedError: Another cluster answers.
        EnchainError: The watch was cancelled.
    """
    if response.compact_revision:
        raise CompactedError(response.compact_revision)
    if request.cluster_id and response.header.cluster_id != request.cluster_id:
        raise DisplacedError(f"cluster {response.header.cluster_id:x} answers, not {request.cluster_id:x}")
    if response.canceled:
        error = explain(grpc.StatusCode.CANCELLED, response.cancel_reason, mutation=False)
        raise (
            UnavailableError(str(error), reason=error.reason) if isinstance(error, StaleTokenError) else error
        )


async def _confirm_revision(connection: Connection, request: WatchRequest) -> None:
    """Look whether the store has lost revisions, or a member merely lags behind the others.

    Raises:
        DisplacedError: It has lost revisions.
    """
    probe = rpc_pb2.RangeRequest(key=b"\0", limit=1, keys_only=True)

    def send(channel: grpc.aio.Channel, carried: Metadata) -> Awaitable[rpc_pb2.RangeResponse]:
        stub = rpc_pb2_grpc.KVStub(channel)
        return stub.Range(probe, metadata=carried, timeout=connection.call_seconds)

    newest = (await connection.read(send)).header.revision
    if newest < request.start_revision - 1:
        raise DisplacedError(f"the store is at revision {newest}, before {request.start_revision - 1}")


class _Reader:
    """Reads one stream and finds out whether the other side is still there."""

    def __init__(self, call: "Call", channel: grpc.aio.Channel, heard: Callable[[], None]) -> None:
        self._call = call
        self._channel = channel
        self._heard = heard
        # A read that is cancelled ends the whole call, so one that takes long goes on in a task.
        self._reading: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def next(self) -> rpc_pb2.WatchResponse:
        """Wait for the next answer.

        Raises:
            UnavailableError: The connection is lost or dead.
        """
        for _ in range(QUIET_ROUNDS_MAX):
            if await self._arrives():
                return await self._take()
            progress = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
            await answered(self._call.write(progress), mutation=False)
            if await self._arrives():
                return await self._take()
            await self._ask_connection()
        raise UnavailableError("etcd answers, but not on this watch", reason="STORE_SILENT")

    async def _arrives(self) -> bool:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="read an etcd watch")
        done, _ = await asyncio.wait([self._reading], timeout=PROGRESS_SECONDS)
        return bool(done)

    async def _read(self) -> rpc_pb2.WatchResponse | Any:
        return await self._call.read()

    async def _take(self) -> rpc_pb2.WatchResponse:
        reading, self._reading = self._reading, None
        assert reading is not None, "something arrived"
        response = await answered(reading, mutation=False)
        if response is grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in the stubs
            raise explain(await self._call.code(), await self._call.details() or "", mutation=False)
        return cast("rpc_pb2.WatchResponse", response)

    async def _ask_connection(self) -> None:
        status = rpc_pb2_grpc.MaintenanceStub(self._channel).Status
        try:
            await status(rpc_pb2.StatusRequest(), timeout=STATUS_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise UnavailableError("the connection to etcd is dead", reason="STORE_SILENT") from error
        self._heard()
