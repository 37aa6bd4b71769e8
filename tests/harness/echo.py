"""A servicer for tests of servers and channels: every kind of call, and every way to fail.

Generic handlers over the contract's own messages, so that unary and streaming calls in both directions exist
without a service that is made for tests.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from enchain.process.identity import identity_of
from enchain.v1 import origin_pb2

SERVICE = "enchain.test.Echo"

Identity = origin_pb2.Identity


class Echo:
    """Answers with the subject that it was sent; `fail` is raised instead where it is set."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.closed = asyncio.Event()
        self.seen: list[Identity] = []

    async def unary(self, request: Identity, context: Any) -> Identity:
        """Answer at once, or fail."""
        self.seen.append(identity_of(context))
        if self.fail:
            raise self.fail
        return request

    async def slow(self, request: Identity, _context: Any) -> Identity:
        """Answer when released."""
        self.entered.set()
        await self.release.wait()
        return request

    async def stream(self, request: Identity, _context: Any) -> AsyncIterator[Identity]:
        """Answer twice, then fail or wait; tell when it is closed."""
        try:
            yield request
            yield request
            if self.fail:
                raise self.fail
            self.entered.set()
            await self.release.wait()
        finally:
            self.closed.set()

    async def writing(self, request: Identity, context: Any) -> None:
        """Answer through the context instead of as a generator."""
        await context.write(request)
        await context.write(request)

    async def collect(self, requests: AsyncIterator[Identity], _context: Any) -> Identity:
        """Answer what came, joined."""
        return Identity(subject=",".join([request.subject async for request in requests]))

    async def converse(self, requests: AsyncIterator[Identity], _context: Any) -> AsyncIterator[Identity]:
        """Answer each as it comes."""
        async for request in requests:
            yield request


def add_echo(echo: Echo, server: grpc.aio.Server) -> None:
    """Register the servicer, as generated code would."""
    codec: dict[str, Any] = {
        "request_deserializer": Identity.FromString,
        "response_serializer": Identity.SerializeToString,
    }
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(echo.unary, **codec),
        "Slow": grpc.unary_unary_rpc_method_handler(echo.slow, **codec),
        "Stream": grpc.unary_stream_rpc_method_handler(echo.stream, **codec),
        "Writing": grpc.unary_stream_rpc_method_handler(echo.writing, **codec),
        "Collect": grpc.stream_unary_rpc_method_handler(echo.collect, **codec),
        "Converse": grpc.stream_stream_rpc_method_handler(echo.converse, **codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class EchoStub:
    """The client's side of it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        codec = (Identity.SerializeToString, Identity.FromString)
        self.unary: Any = channel.unary_unary(f"/{SERVICE}/Unary", *codec)
        self.slow: Any = channel.unary_unary(f"/{SERVICE}/Slow", *codec)
        self.missing: Any = channel.unary_unary(f"/{SERVICE}/Missing", *codec)
        self.stream: Any = channel.unary_stream(f"/{SERVICE}/Stream", *codec)
        self.writing: Any = channel.unary_stream(f"/{SERVICE}/Writing", *codec)
        self.collect: Any = channel.stream_unary(f"/{SERVICE}/Collect", *codec)
        self.converse: Any = channel.stream_stream(f"/{SERVICE}/Converse", *codec)
