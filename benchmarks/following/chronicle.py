"""Reads the full history of a run from etcd, straight and without faults between: the truth.

It watches with the bare stub, not with the code that is under test, and never goes on from where it was
unless nothing is missing: a watch that breaks is begun again from the start of what is asked for.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle

import grpc

from benchmarks.following.arenas import Arena, Backup
from benchmarks.following.lives import Life
from benchmarks.following.writing import Writer, Written, check_history
from enchain.etcd import rpc_pb2, rpc_pb2_grpc
from enchain.process.channels import open_channel
from enchain.state import etcd_wire
from enchain.state.position import by_revision
from enchain.state.store import Batch, Event

READ_SECONDS = 5.0
ATTEMPTS = 40
PAUSE_SECONDS = 0.2


class Chronicle:
    """The lives of the store, as far as they were read.

    Args:
        arena: The servers.
        root: What is followed.
        start: The revision before the run.
        writer: Marks where reading ends.
    """

    def __init__(self, arena: Arena, root: str, start: int, writer: Writer) -> None:
        self._arena = arena
        self._root = root
        self._start = start
        self._read_up_to = start
        self._writer = writer
        self._marks = 0
        self.lives = [Life()]
        self.complaints: list[str] = []

    async def read(self, name: str = "") -> int:
        """Mark the end of the history and read up to it; answer the mark's revision. Nobody may write."""
        self._marks += 1
        revision = await self._writer.mark(name or f"mark-{self._marks}")
        for batch in await self._history(self._read_up_to + 1, revision):
            self.lives[-1].batches.append(batch)
        self._read_up_to = revision
        return revision

    def close(self) -> None:
        """Compare the present life with what the writer was told."""
        written = self._writer.written
        complaint = check_history(self.lives[-1], written, self._root)
        if complaint:
            self.complaints.append(complaint)
        self._writer.written = Written(written.changes, {}, written.unanswered, written.leased)

    def begin_life(self, backup: Backup) -> None:
        """Begin a life on a backup: what is compacted in it was read before, all else is read anew."""
        kept = [batch for batch in self.lives[-1].batches if batch.revision <= backup.compacted]
        self.lives.append(Life(kept))
        self._read_up_to = max(self._start, backup.compacted)

    async def _history(self, start: int, until: int) -> list[Batch]:
        for _, address in zip(range(ATTEMPTS), cycle(self._arena.addresses), strict=False):
            try:
                async with asyncio.timeout(READ_SECONDS):
                    return by_revision([event async for event in _events(address, self._root, start, until)])
            except (grpc.aio.AioRpcError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError(f"no member tells the history from {start} to {until}")


async def _events(address: str, root: str, start: int, until: int) -> AsyncIterator[Event]:
    """Deliver all events from one revision to another, both included."""
    key, range_end = etcd_wire.span(root)
    create = rpc_pb2.WatchCreateRequest(key=key, range_end=range_end, start_revision=start)
    options = (("grpc.max_receive_message_length", 64 * 1024 * 1024),)
    async with open_channel(address, local_pool=True, traced=False, options=options) as channel:
        call = rpc_pb2_grpc.WatchStub(channel).Watch(None)
        await call.write(rpc_pb2.WatchRequest(create_request=create))
        newest = 0
        async for response in call:
            assert not response.compact_revision, "the history is compacted before it was read"
            for event in response.events:
                # A restarted member may send again what it has sent; it is the same event then.
                if start <= event.kv.mod_revision <= until:
                    yield etcd_wire.event(event)
                newest = event.kv.mod_revision
            if newest >= until:
                return
