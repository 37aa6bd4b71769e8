"""Watching an operation from any router: durable events from the record, progress from whoever runs it.

The servicer calls it. On the router that runs the operation everything comes from the fan-out; on any
other one the record's key is followed and progress is relayed from the owner. A relayed stream is never
relayed again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from random import Random

import grpc

from dataplane.dispatch.executing import Executor
from dataplane.dispatch.fanout import Closed, Fanout, Notice, Watcher
from dataplane.journal.journal import Journal
from dataplane.routing import journaling
from dataplane.routing.runs import FINAL, Operation
from enchain.chains.errors import EnchainError
from enchain.chains.names import OperationName
from enchain.process.channels import OpenChannel, open_channel
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.process.tls import TlsFiles
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import follow
from enchain.state.store import EventKind, Store
from enchain.v1 import operation_pb2, provisioning_pb2, provisioning_pb2_grpc

OperationEvent = operation_pb2.OperationEvent

RELAY_METADATA = "enchain-relay"
"""Marks a stream that another router relays: it is answered with progress from
the fan-out, or not at all."""

RELAY_PAUSE_SECONDS = 0.5
RELAY_PAUSE_SECONDS_MAX = 5.0

_log = get_logger(__name__)
_relays = meter(__name__).create_up_down_counter(
    "enchain.relays", "{stream}", "Streams whose progress this router relays from another one."
)


class Watching:
    """Serves watchers.

    Args:
        store: Followed for records of operations that others run.
        journal: Reads records and owners.
        executor: Knows what runs here.
        fanout: Where what runs here is shown.
        router: This router's name.
        tls: Certificates for relays.
        clock: Time.
        rng: Jitter.
        opener: Opens channels to other routers.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        executor: Executor,
        fanout: Fanout,
        *,
        router: str,
        tls: TlsFiles | None,
        clock: Clock,
        rng: Random,
        opener: OpenChannel = open_channel,
    ) -> None:
        self._store = store
        self._journal = journal
        self._executor = executor
        self._fanout = fanout
        self._router = router
        self._tls = tls
        self._clock = clock
        self._rng = rng
        self._open = opener

    async def fresh(self, operation: str, watcher: Watcher) -> AsyncGenerator[OperationEvent, None]:
        """Yield all events of an operation that this router has just admitted."""
        try:
            async with aclosing(self._read(OperationName.parse(operation), watcher, 0)) as happened:
                async for event in happened:
                    yield event
        finally:
            self._fanout.leave(watcher)

    async def events(
        self, name: OperationName, after_sequence: int, *, relayed: bool = False
    ) -> AsyncGenerator[OperationEvent, None]:
        """Yield the durable events after a sequence, then what happens, until the operation rests.

        Raises:
            NotFoundError: There is no such operation.
        """
        watcher = self._fanout.open(str(name))
        try:
            here = self._executor.runs(str(name))
            if relayed and here:
                async with aclosing(self._read_progress(watcher)) as progress:
                    async for event in progress:
                        yield event
            if relayed:
                return
            async with self._feeding(name, watcher, needed=not here):
                watcher.catch_up()
                async with aclosing(self._read(name, watcher, after_sequence)) as happened:
                    async for event in happened:
                        yield event
        finally:
            self._fanout.leave(watcher)

    async def _read(
        self, name: OperationName, watcher: Watcher, after: int
    ) -> AsyncGenerator[OperationEvent, None]:
        """Yield what a watcher gets, in order and each once; read the record where it missed something."""
        while True:
            item = await watcher.next()
            if isinstance(item, Closed):
                yield self._reattach(name, item.reason)
                return
            if isinstance(item, Notice) or item.sequence > after + 1:
                stored = (await self._journal.read(name)).operation
                for event in journaling.after(stored, after):
                    after = event.sequence
                    yield event
                if is_at_rest(stored):
                    return
                continue
            if 0 < item.sequence <= after:
                continue
            yield item
            after = max(after, item.sequence)
            if _ends(item):
                return

    async def _read_progress(self, watcher: Watcher) -> AsyncGenerator[OperationEvent, None]:
        """Yield the progress that a watcher gets, for another router, until nothing more can come."""
        while True:
            item = await watcher.next()
            if isinstance(item, Closed):
                return
            if isinstance(item, OperationEvent) and item.sequence == 0:
                yield item
            if isinstance(item, OperationEvent) and _ends(item):
                return

    def _reattach(self, name: OperationName, reason: str) -> OperationEvent:
        event = OperationEvent(operation=str(name), reattach=operation_pb2.Reattach(reason=reason))
        event.time.FromDatetime(self._clock.now())
        return event

    # --- an operation that another router runs

    @asynccontextmanager
    async def _feeding(self, name: OperationName, watcher: Watcher, *, needed: bool) -> AsyncIterator[None]:
        """Feed a watcher from the record and from the owner while the block runs."""
        if not needed:
            yield
            return
        tasks = [
            asyncio.create_task(self._feed_record(name, watcher), name=f"follow the record of {name}"),
            asyncio.create_task(self._feed_progress(name, watcher), name=f"relay the progress of {name}"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _feed_record(self, name: OperationName, watcher: Watcher) -> None:
        key = keys.record(name.tenant, name.operation)
        shown = 0
        async with aclosing(follow(self._store, key, clock=self._clock, rng=self._rng)) as batches:
            async for batch in batches:
                for event in batch.events:
                    if event.kind is EventKind.DELETE:
                        watcher.close("the operation was pruned")
                        return
                    operation = decode(Operation, event.item.value, key=key)
                    for durable in journaling.after(operation, shown):
                        watcher.offer(durable)
                    shown = operation.last_sequence

    async def _feed_progress(self, name: OperationName, watcher: Watcher) -> None:
        """Relay progress from whoever runs the operation, for as long as anybody watches."""
        pause = RELAY_PAUSE_SECONDS
        while True:
            try:
                owner = await self._journal.owner(name)
                if owner is not None and owner.router != self._router:
                    await self._relay(name, owner.address, watcher)
                    pause = RELAY_PAUSE_SECONDS
            except (grpc.aio.AioRpcError, EnchainError) as error:
                _log.debug("relay broke", operation=str(name), reason=str(error))
            await self._clock.sleep(pause * (0.5 + self._rng.random() / 2))
            pause = min(pause * 2, RELAY_PAUSE_SECONDS_MAX)

    async def _relay(self, name: OperationName, address: str, watcher: Watcher) -> None:
        request = provisioning_pb2.WatchOperationRequest(name=str(name))
        _relays.add(1)
        channel = self._open(address, tls=self._tls)
        try:
            stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
            async for event in stub.WatchOperation(request, metadata=((RELAY_METADATA, "1"),)):
                if event.sequence == 0 and event.WhichOneof("kind") != "reattach":
                    watcher.offer(event)
        finally:
            _relays.add(-1)
            await channel.close(None)


def is_at_rest(operation: Operation) -> bool:
    """Whether nothing more happens to an operation by itself."""
    return operation.state in FINAL or operation.state == Operation.STATE_HELD


def _ends(event: OperationEvent) -> bool:
    """Whether an event is a stream's last."""
    if event.WhichOneof("kind") == "state_changed":
        return event.state_changed.state == Operation.STATE_HELD
    return event.WhichOneof("kind") == "ended"
