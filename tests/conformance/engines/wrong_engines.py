"""Serves the in-memory engine, flawless or with one fault, and lets the suite kill it and have it again."""

from types import TracebackType
from typing import Any, Self

import grpc

from enchain.engine.v1 import engine_pb2_grpc
from enchain.v1 import engine_pb2 as registry_pb2
from tests.conformance.engines.memory_engine import ALL, MemoryEngine
from tests.conformance.engines.memory_scope import Memory

REQUEST_BYTES_MAX = 1024 * 1024


class ServedEngine:
    """A served in-memory engine.

    Args:
        fault: Name of the check that has to find what is wrong with it; empty for an engine without fault.
        capabilities: What it declares.
        kind: The engine, where it is a variant of the one in memory.
    """

    def __init__(
        self,
        fault: str = "",
        capabilities: tuple[registry_pb2.Capability.ValueType, ...] = ALL,
        kind: type[MemoryEngine] = MemoryEngine,
    ) -> None:
        self._kind = kind
        self.address = "127.0.0.1:0"
        self._fault = fault
        self._capabilities = capabilities
        self._memory = Memory()
        self._server: Any = None
        self._engine = MemoryEngine(self._memory)

    async def __aenter__(self) -> Self:
        """Serve."""
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._engine.kill()
        await self._server.stop(None)

    async def restart(self) -> None:
        """Kill the engine and serve another one from the same memory, at the same address."""
        self._engine.kill()
        await self._server.stop(None)
        await self._start()

    async def _start(self) -> None:
        self._engine = self._kind(self._memory, self._fault, self._capabilities)
        limit = -1 if self._fault == "oversize-request-is-refused" else REQUEST_BYTES_MAX
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit)])
        engine_pb2_grpc.add_ProvisioningEngineServicer_to_server(self._engine, self._server)
        port = self._server.add_insecure_port(self.address)
        self.address = self._engine.address = f"127.0.0.1:{port}"
        await self._server.start()
