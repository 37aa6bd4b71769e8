"""What happens around every call of a server: an async context manager, whatever kind the call is.

`servers` uses it. Streaming handlers are driven here and closed when the call ends, so that a servicer's
`finally` runs at once when its caller goes away and not when the garbage collector comes by.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from inspect import isasyncgenfunction
from typing import Any

import grpc
from opentelemetry import metrics

from enchain.chains.errors import EnchainError, OurError, UnimplementedError
from enchain.process.logs import get_logger
from enchain.process.statuses import abort

Context = grpc.aio.ServicerContext[Any, Any]
Around = Callable[[str, Context], AbstractAsyncContextManager[None]]
"""Called with the method's full name and the call's context; outermost first."""

_log = get_logger(__name__)
_incidents = metrics.get_meter("enchain.process").create_counter(
    "enchain.rpc.server.incidents", "{call}", "Calls that ended by an error of our own."
)

_FOREIGN_PREFIX = "/grpc."
"""gRPC's own services (health, reflection, channelz) are left alone: probes would drown everything else."""


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """Puts context managers around every call of ours."""

    def __init__(self, *arounds: Around) -> None:
        self._arounds = arounds

    async def intercept_service(
        self, continuation: Callable[..., Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Answer the handler, wrapped."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_FOREIGN_PREFIX):
            return handler
        return self._wrapped(handler, method)

    def _wrapped(self, handler: Any, method: str) -> Any:
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, method), **codec)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, method), **codec)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.stream_unary, method), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method), **codec)

    async def _entered(self, stack: AsyncExitStack, method: str, context: Context) -> None:
        for around in self._arounds:
            await stack.enter_async_context(around(method, context))

    def _unary(self, behave: Callable[..., Any], method: str) -> Any:
        async def call(request: Any, context: Context) -> Any:
            async with AsyncExitStack() as stack:
                await self._entered(stack, method, context)
                return await behave(request, context)

        return call

    def _stream(self, behave: Callable[..., Any], method: str) -> Any:
        async def call(request: Any, context: Context) -> None:
            async with AsyncExitStack() as stack:
                await self._entered(stack, method, context)
                if not isasyncgenfunction(behave):
                    await behave(request, context)
                    return
                async with aclosing(behave(request, context)) as responses:
                    async for response in responses:
                        await context.write(response)

        return call


def translated_call(new_incident: Callable[[], str]) -> Around:
    """Turn what a servicer raises into a status.

    Args:
        new_incident: Makes the opaque id under which an error of ours is logged, and that the caller gets.
    """

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        try:
            yield
        except OurError as error:
            await abort(context, _incident(method, error, new_incident()))
        except EnchainError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except NotImplementedError:
            # What a generated servicer raises for a method that nobody wrote.
            await abort(context, UnimplementedError(f"{method.lstrip('/')} is not implemented here"))
        except Exception as error:
            if _is_gone(context):
                _log.debug("call ended after its caller had gone", method=method, error=repr(error))
                raise
            await abort(context, _incident(method, error, new_incident()))

    return around


def _is_gone(context: Context) -> bool:
    return context.cancelled() or context.done()


def _incident(method: str, error: Exception, incident: str) -> OurError:
    """Log an error of ours and answer what may be told about it: nothing but where to look."""
    _incidents.add(1, {"method": method.lstrip("/")})
    _log.error("call failed by an error of our own", method=method, incident=incident, exc_info=error)
    return OurError(
        f"an error inside enchain; its log tells more under incident {incident}",
        reason=error.reason if isinstance(error, OurError) else "INTERNAL",
        remedy="Report the incident to whoever runs this server.",
        metadata={"incident": incident},
    )


class InFlight:
    """Counts the calls that run, so that a server can wait until none does."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def around(self, _method: str, _context: Context) -> AsyncIterator[None]:
        """Count one call while it runs."""
        self.count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.count -= 1
            if self.count == 0:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()
