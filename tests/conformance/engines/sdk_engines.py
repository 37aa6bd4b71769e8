"""Serves an engine of the SDK in this process, without a store, and lets it be "killed" and had again.

Killing it here lets go of everything at once, as a process that dies does: tools go on, and the next instance
finds them in the scope.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from enchain.artifacts.store import DirectoryArtifacts
from enchain.process.clock import SystemClock
from enchain.process.servers import Server
from enchain.sdk.conformance.samples import SuiteInputs
from enchain.sdk.port import Engine, Host
from enchain.sdk.registration import instance_message
from enchain.sdk.secrets import default_secrets
from enchain.sdk.server import REQUEST_BYTES_MAX, EngineServicer, add_to
from enchain.sdk.steps import StepRunner
from enchain.v1 import engine_pb2

HEARTBEAT_SECONDS = 0.2
CAPACITY = 4


class ServedSdkEngine:
    """A served engine.

    Args:
        make: Makes the engine; called again for every restart.
        root: A directory for scope and artifacts.
        inputs: What the suite will send; its artifacts are put into the store.
    """

    def __init__(self, make: Callable[[], Engine], root: Path, inputs: SuiteInputs) -> None:
        self.address = "127.0.0.1:0"
        self._make = make
        self._scope = root / "scope"
        self._artifacts = DirectoryArtifacts(root / "artifacts")
        self._inputs = inputs
        secret = inputs.samples["secret"].secret if "secret" in inputs.samples else ""
        environment = {"ENCHAIN_SECRET_CONFORMANCE": secret}
        self._secrets = default_secrets(self._scope / "secrets", environment)
        self._server: Server
        self._runner: StepRunner
        self._engine: Engine

    async def __aenter__(self) -> Self:
        """Serve."""
        for digest, content in self._inputs.packed.items():
            await self._artifacts.put(digest, _once(content))
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        await self._let_go()

    async def restart(self) -> None:
        """Let go of everything, and serve another instance of the scope at the same address."""
        await self._let_go()
        await self._start()

    async def _start(self) -> None:
        clock = SystemClock()
        engine = self._engine = self._make()
        self._runner = StepRunner(
            engine,
            scope=self._scope,
            artifacts=self._artifacts,
            instance="one",
            clock=clock,
            capacity=CAPACITY,
            secrets=self._secrets,
            heartbeat_seconds=HEARTBEAT_SECONDS,
            grace_seconds=2.0,
        )
        message = instance_message(
            engine, instance="one", address="", scope="scope", capacity=CAPACITY, start_time=clock.now()
        )

        async def draining() -> None:
            message.state = engine_pb2.EngineInstance.STATE_DRAINING

        self._server = Server(self.address, max_message_bytes=REQUEST_BYTES_MAX)
        add_to(self._server, EngineServicer(self._runner, instance=lambda: message, draining=draining))
        self.address = message.address = await self._server.start()
        await engine.start(Host("one", self._scope, self.address, self._runner.secrets))
        message.tool = engine.tool

    async def _let_go(self) -> None:
        await self._runner.close()
        await self._server.stop(0)
        await self._engine.stop()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
