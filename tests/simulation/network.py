"""Calls between simulated processes: channels and servers with the surface of gRPC's, and no wire.

Routers get `Network.opener(process)` in the place of `open_channel`; the generated stubs, servicers and
registrars are the real ones, and errors become statuses and back by the real table. Every message takes time
and may get lost as the weather says; a stream breaks where one of its ends dies.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from enchain.chains.errors import EnchainError, OurError
from enchain.process.statuses import DETAILS_KEY, code_of, to_status
from tests.simulation.loop import Life, Process, VirtualLoop
from tests.simulation.trace import Trace
from tests.simulation.weather import INSTANT_SECONDS, Weather

SILENCE_SECONDS = 20.0
"""After so long a connection to nowhere is given up."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def rpc_error(code: grpc.StatusCode, told: str, details: bytes = b"") -> grpc.aio.AioRpcError:
    """Make the error that a client gets."""
    trailers = grpc.aio.Metadata((DETAILS_KEY, details)) if details else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, told, None)


def copied(message: Message) -> Message:
    """What the other side gets is its own."""
    other = type(message)()
    other.CopyFrom(message)
    return other


@dataclass(slots=True)
class Endpoint:
    """What listens at an address."""

    process: Process
    handlers: dict[str, Any] = field(default_factory=dict)
    calls: "set[StreamCall]" = field(default_factory=set)


class Context:
    """The part of a servicer's context that our servicers use."""

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata

    def auth_context(self) -> dict[str, Any]:
        """Nobody is authenticated."""
        return {}

    def invocation_metadata(self) -> Any:
        """What the caller sent beside the request."""
        return self._metadata


class Network:
    """All endpoints.

    Attributes:
        on_send: Told of every call with caller, path and request, at the moment when it is sent.
        on_tell: Told of every message of a stream with server, path and message, likewise.
    """

    def __init__(self, loop: VirtualLoop, weather: Weather, trace: Trace) -> None:
        self.loop = loop
        self.weather = weather
        self.trace = trace
        self.endpoints: dict[str, Endpoint] = {}
        self.calls: dict[int, StreamCall] = {}
        self.on_send: Callable[[Process, str, Any], None] = lambda _caller, _path, _request: None
        self.on_tell: Callable[[Process, str, Any], None] = lambda _server, _path, _message: None
        self._numbers = 0

    def opener(self, caller: Process) -> Callable[..., "Channel"]:
        """What a process opens channels with."""

        def open_channel(address: str, **_options: Any) -> Channel:
            return Channel(self, caller, address)

        return open_channel

    def server(self, process: Process, address: str) -> "SimulatedServer":
        """What a process serves with."""
        return SimulatedServer(self, process, address)

    def number(self) -> int:
        """Number a call."""
        self._numbers += 1
        return self._numbers

    def endpoint(self, address: str) -> Endpoint | None:
        """What listens there; None where nobody does."""
        found = self.endpoints.get(address)
        return found if found is not None and found.process.life is not Life.DEAD else None

    def broken_off(self, process: Process) -> None:
        """A process died: the streams of which it was an end break."""
        for call in list(self.calls.values()):
            if call.caller is process:
                call.hang_up()
            elif call.served_by is process:
                call.breaks(rpc_error(UNAVAILABLE, "the connection was reset"))

    def status_of(self, error: Exception, path: str) -> grpc.aio.AioRpcError:
        """Turn what a servicer raised into what its caller gets."""
        if not isinstance(error, EnchainError) or isinstance(error, OurError):
            self.trace.violate("nothing fails by a fault of our own", f"{path} raised {error!r}")
            return rpc_error(grpc.StatusCode.INTERNAL, repr(error))
        status = to_status(error)
        return rpc_error(code_of(error), status.message, status.SerializeToString())


class Channel:
    """A channel from one process to an address."""

    def __init__(self, network: Network, caller: Process, address: str) -> None:
        self._network = network
        self._caller = caller
        self._address = address

    def unary_unary(self, path: str, *_codec: Any, **_options: Any) -> Callable[..., Any]:
        """Answer what makes calls of one method."""

        def begin(request: Message, *, timeout: float | None = None, metadata: Any = None) -> Any:
            del metadata
            return self._ask(path, request, timeout)

        return begin

    def unary_stream(self, path: str, *_codec: Any, **_options: Any) -> Callable[..., Any]:
        """Answer what makes streams of one method."""

        def begin(request: Message, *, timeout: float | None = None, metadata: Any = None) -> "StreamCall":
            del timeout
            return StreamCall(self._network, self._caller, self._address, path, request, metadata)

        return begin

    def _nothing(self, *_arguments: Any, **_options: Any) -> None:
        """Nobody streams requests here."""

    stream_unary = stream_stream = _nothing

    async def close(self, grace: float | None = None) -> None:
        """Nothing is kept."""

    async def _ask(self, path: str, request: Message, timeout: float | None) -> Any:  # noqa: ASYNC109 - gRPC's word
        network = self._network
        network.on_send(self._caller, path, request)
        answer: asyncio.Future[Any] = network.loop.create_future()
        late = rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        if timeout is None:
            late = rpc_error(UNAVAILABLE, "the connection was silent")
        self._caller.later(timeout or SILENCE_SECONDS, _fail, answer, late)
        network.loop.outside(network.weather.delay(), self._delivered, path, copied(request), answer)
        return await answer

    def _delivered(self, path: str, request: Message, answer: "asyncio.Future[Any]") -> None:
        network = self._network
        endpoint = network.endpoint(self._address)
        handler = endpoint.handlers.get(path) if endpoint is not None else None
        if endpoint is None or handler is None:
            refused = rpc_error(UNAVAILABLE, f"nobody listens at {self._address}")
            self._caller.later(network.weather.delay(), _fail, answer, refused)
            return
        endpoint.process.start(f"serve {path}", self._served(handler, path, request, answer))

    async def _served(self, handler: Any, path: str, request: Message, answer: "asyncio.Future[Any]") -> None:
        network = self._network
        try:
            response = await handler.unary_unary(request, Context(()))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            tell: tuple[Any, Any] = (_fail, network.status_of(error, path))
        else:
            tell = (_answer, copied(response))
        if network.weather.call_unanswered():
            lost = rpc_error(UNAVAILABLE, "the connection was reset")
            self._caller.later(network.weather.given_up_after(), _fail, answer, lost)
            return
        self._caller.later(network.weather.delay(), tell[0], answer, tell[1])


class StreamCall:
    """A call whose answer is a stream, as its caller holds it."""

    def __init__(
        self, network: Network, caller: Process, address: str, path: str, request: Message, metadata: Any
    ) -> None:
        self._network = network
        self.caller = caller
        self.served_by: Process | None = None
        self._address = address
        self._path = path
        self._number = network.number()
        self._arrived: deque[Message] = deque()
        self._end: BaseException | None = None
        self._ended = False
        self._over = False
        self._more = asyncio.Event()
        self._arrival = 0.0
        self._serving: asyncio.Task[None] | None = None
        network.calls[self._number] = self
        network.on_send(caller, path, request)
        network.loop.outside(network.weather.delay(), self._delivered, copied(request), Context(metadata))

    # --- the caller's side

    async def read(self) -> Any:
        """Answer the next message, or EOF."""
        while not self._arrived:
            if self._ended:
                if self._end is not None:
                    raise self._end
                return grpc.aio.EOF  # type: ignore[attr-defined]  # its stub has none
            self._more.clear()
            await self._more.wait()
        return self._arrived.popleft()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the messages."""
        while (message := await self.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # its stub has none
            yield message

    async def wait_for_connection(self) -> None:
        """Wait until the server has the call, or the connection broke."""
        while self.served_by is None and not self._ended:
            self._more.clear()
            await self._more.wait()
        if self._end is not None:
            raise self._end

    def cancel(self) -> bool:
        """Want no more."""
        if self._over:
            return False
        self._ended, self._end = True, asyncio.CancelledError()
        self._more.set()
        self.hang_up()
        return True

    def hang_up(self) -> None:
        """The caller is gone, or wants no more: the server learns it after a while."""
        self._over = True
        self._network.calls.pop(self._number, None)
        serving = self._serving
        if serving is not None and self.served_by is not None and not serving.done():
            self.served_by.later(self._network.weather.delay(), serving.cancel)

    # --- the way

    def _delivered(self, request: Message, context: Context) -> None:
        network = self._network
        if self._over and not network.weather.arrives():
            return
        endpoint = network.endpoint(self._address)
        handler = endpoint.handlers.get(self._path) if endpoint is not None else None
        if endpoint is None or handler is None:
            self.breaks(rpc_error(UNAVAILABLE, f"nobody listens at {self._address}"))
            return
        self.served_by = endpoint.process
        self.caller.later(0, self._more.set)
        self._serving = endpoint.process.start(f"serve {self._path}", self._serve(handler, request, context))

    async def _serve(self, handler: Any, request: Message, context: Context) -> None:
        end: BaseException | None = None
        try:
            messages = handler.unary_stream(request, context)
            try:
                async for message in messages:
                    self._send(message)
                    if self._over:
                        break
            finally:
                await messages.aclose()
        except Exception as error:  # noqa: BLE001 - the caller gets it
            end = self._network.status_of(error, self._path)
        self._arrival = max(
            self._arrival + INSTANT_SECONDS, self._network.loop.time() + self._network.weather.delay()
        )
        self.caller.later(self._arrival - self._network.loop.time(), self._finished, end)

    def _send(self, message: Message) -> None:
        network = self._network
        if self.served_by is not None:
            network.on_tell(self.served_by, self._path, message)
        self._arrival = max(self._arrival + INSTANT_SECONDS, network.loop.time() + network.weather.delay())
        self.caller.later(self._arrival - network.loop.time(), self._arrives, copied(message))
        if network.weather.stream_cut():
            self.breaks(rpc_error(UNAVAILABLE, "the stream was cut"))

    def _arrives(self, message: Message) -> None:
        if not self._ended:
            self._arrived.append(message)
            self._more.set()

    def _finished(self, end: BaseException | None) -> None:
        self._network.calls.pop(self._number, None)
        if not self._ended:
            self._over = self._ended = True
            self._end = end
            self._more.set()

    def breaks(self, error: BaseException) -> None:
        """The connection breaks: either side learns it."""
        self.hang_up()
        self.caller.later(self._network.weather.delay(), self._finished, error)


class SimulatedServer:
    """What a process serves with; it has the surface of `enchain.process.servers.Server`."""

    def __init__(self, network: Network, process: Process, address: str) -> None:
        self._network = network
        self._process = process
        self._address = address
        self._endpoint = Endpoint(process)

    def add(self, registrar: Callable[[Any, Any], None], servicer: Any, service_name: str) -> None:
        """Serve one service."""
        del service_name
        registrar(servicer, self)

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The registered ones are taken."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Take the methods of a service."""
        for name, handler in handlers.items():
            self._endpoint.handlers[f"/{service}/{name}"] = handler

    async def start(self) -> str:
        """Listen; answer the address."""
        self._network.endpoints[self._address] = self._endpoint
        return self._address

    async def serving(self, ready: bool) -> None:
        """Nobody probes."""

    async def drain(self, deadline_seconds: float) -> int:
        """Wait until no stream is served, then stop."""
        deadline = self._network.loop.time() + deadline_seconds
        while (left := self._served_now()) and self._network.loop.time() < deadline:
            gone: asyncio.Future[None] = self._network.loop.create_future()
            self._process.later(0.05, _answer, gone, None)
            await gone
        await self.stop(0)
        return left

    def _served_now(self) -> int:
        return sum(call.served_by is self._process for call in self._network.calls.values())

    async def stop(self, grace_seconds: float) -> None:
        """Listen no longer; streams break."""
        del grace_seconds
        if self._network.endpoints.get(self._address) is self._endpoint:
            del self._network.endpoints[self._address]
        for call in list(self._network.calls.values()):
            if call.served_by is self._process:
                call.breaks(rpc_error(UNAVAILABLE, "the server stops"))


def _answer(future: "asyncio.Future[Any]", result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
