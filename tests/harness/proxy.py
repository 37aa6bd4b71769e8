"""A TCP proxy that tests put between a client and a server, to cut, stall and count.

Integration tests call it. It knows nothing of what goes through.
"""

import asyncio
from types import TracebackType
from typing import Self

CHUNK_BYTES = 4096
"""Small, so that `hold_after` stops in the middle of an answer and not after it."""


class Proxy:
    """Passes connections on to one address, until told otherwise.

    Args:
        target: Where connections go, as `host:port`.

    Attributes:
        connections: How many came, all told.
        passed: Bytes that went to clients, all told.
        sent: Bytes that went to the server, all told.
    """

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_client, self._to_server = asyncio.Event(), asyncio.Event()
        self._forgotten: list[asyncio.Event] = []
        self._to_client.set()
        self._to_server.set()
        self._left: int | None = None
        self.is_refusing = False
        self.connections = 0
        self.passed = 0
        self.sent = 0

    @property
    def address(self) -> str:
        """Where clients connect to."""
        assert self._server is not None, "not started"
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stall(self) -> None:
        """Pass nothing more, and keep connections open: a half-open connection, or a frozen peer."""
        self._to_client.clear()
        self._to_server.clear()

    def black_hole(self) -> None:
        """Pass nothing more on the connections that are open, and leave them open; new ones work.

        So it is where a firewall forgets connections: neither end hears anything, not even that it is over.
        """
        self.stall()
        self._forgotten += [self._to_client, self._to_server]
        self._to_client, self._to_server = asyncio.Event(), asyncio.Event()
        self.resume()

    def mute(self) -> None:
        """Pass nothing more to clients; what they send still arrives, and its answer is lost."""
        self._to_client.clear()

    def resume(self) -> None:
        """Pass everything on again."""
        self._left = None
        self._to_client.set()
        self._to_server.set()

    def hold_after(self, count: int) -> None:
        """Pass so many more bytes to clients, and then nothing, with connections left open."""
        self._left = count

    @property
    def is_holding(self) -> bool:
        """Nothing goes to clients: it was told so, or came to the end of what `hold_after` allowed."""
        return not self._to_client.is_set()

    def cut(self) -> None:
        """Break all connections with a reset, and take new ones."""
        for writer in list(self._writers):
            writer.transport.abort()
        # What waits in a black hole would never see that its connection is gone.
        for passing in self._forgotten:
            passing.set()
        self._forgotten.clear()

    def refuse(self) -> None:
        """Break all connections and take no new ones until `accept`."""
        self.is_refusing = True
        self.cut()

    def accept(self) -> None:
        """Take connections again."""
        self.is_refusing = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "not started"
        self._server.close()
        self.refuse()
        self.resume()
        if self._links:
            await asyncio.wait(list(self._links))

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        self.connections += 1
        if self.is_refusing:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        there = asyncio.create_task(self._pump(reader, far_writer, to_client=False), name="proxy to server")
        back = asyncio.create_task(self._pump(far_reader, writer, to_client=True), name="proxy to client")
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (there, back):
                each.cancel()
            await asyncio.wait([there, back])
            for end in (writer, far_writer):
                end.transport.abort()
                self._writers.discard(end)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool
    ) -> None:
        may_pass = self._to_client if to_client else self._to_server
        try:
            while data := await reader.read(CHUNK_BYTES):
                await may_pass.wait()
                writer.write(data)
                await writer.drain()
                if to_client:
                    self._count(len(data))
                else:
                    self.sent += len(data)
        except OSError:
            return  # the link is cut; whoever waits for both directions closes the rest

    def _count(self, size: int) -> None:
        self.passed += size
        if self._left is not None:
            self._left -= size
            if self._left <= 0:
                self._left = None
                self._to_client.clear()
