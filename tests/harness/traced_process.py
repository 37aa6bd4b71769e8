"""A process for tests of telemetry: a client, a server that calls a second server, and a metrics page.

Run as `python -m tests.harness.traced_process '{"otlp": ..., "tls": [...]}'`; prints one JSON line about
what it saw, and ends. A process of its own because OpenTelemetry can be set up only once in each.
"""

import asyncio
import contextlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import grpc

from enchain.chains.errors import NotFoundError
from enchain.process.channels import open_channel
from enchain.process.lifecycle import run
from enchain.process.logs import configure_logs, get_logger
from enchain.process.servers import Server
from enchain.process.telemetry import (
    Telemetry,
    configure_telemetry,
    context_from,
    current_traceparent,
    tracer,
)
from enchain.process.tls import TlsFiles
from tests.harness.echo import SERVICE, Echo, EchoStub, Identity, add_echo

SECRET = "hunter2"


class Relay(Echo):
    """Passes calls on to another server."""

    def __init__(self, onward: EchoStub) -> None:
        super().__init__()
        self._onward = onward

    async def unary(self, request: Identity, _context: Any) -> Identity:
        """Log, then ask the other one."""
        get_logger("enchain.relay").info("relaying")
        reply: Identity = await self._onward.unary(request)
        return reply


class Failing(Echo):
    """Fails streams in the caller's fault."""

    def __init__(self) -> None:
        super().__init__()
        self.fail_streams = NotFoundError("no such thing", reason="NO_SUCH_THING")

    async def stream(self, request: Identity, _context: Any) -> Any:
        """Answer once, then fail."""
        yield request
        raise self.fail_streams


async def _calls(relay_address: str, direct_address: str) -> str:
    async with open_channel(relay_address) as channel, open_channel(direct_address) as direct:
        with tracer("test").start_as_current_span("provision"):
            traceparent = current_traceparent()
            await EchoStub(channel).unary(Identity(subject=SECRET))
            abandoned = EchoStub(direct).stream(Identity(subject=SECRET))
            await abandoned.read()
            with contextlib.suppress(grpc.aio.AioRpcError):
                await abandoned.read()
            assert [reply async for reply in EchoStub(direct).converse(iter([Identity()]))] == [Identity()]
            await EchoStub(direct).collect(iter([Identity()]))
        # As the journal does it: the trace is written down, and taken up by whoever goes on with the work.
        with tracer("test").start_as_current_span("adopted", context=context_from(traceparent)):
            pass
        return traceparent


async def _scrape(telemetry: Telemetry) -> str:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://{telemetry.metrics_address}/metrics") as page:
            return str(page.read().decode())

    return await asyncio.to_thread(fetch)


async def _main(asked: dict[str, Any]) -> None:
    tls = TlsFiles(*map(Path, asked["tls"])) if asked.get("tls") else None
    configure_logs("traced")
    telemetry = configure_telemetry(
        "traced", otlp_endpoint=asked["otlp"], otlp_tls=tls, metrics_listen="127.0.0.1:0", instance="t-1"
    )
    last = Server("127.0.0.1:0")
    last.add(add_echo, Failing(), SERVICE)
    last_address = await last.start()
    async with open_channel(last_address) as onward:
        first = Server("127.0.0.1:0")
        first.add(add_echo, Relay(EchoStub(onward)), SERVICE)
        first_address = await first.start()
        traceparent = await _calls(first_address, last_address)
        await first.stop(0)
    await last.stop(0)
    metrics = await _scrape(telemetry)
    await asyncio.to_thread(telemetry.shutdown)
    print(json.dumps({"traceparent": traceparent, "metrics": metrics}))  # noqa: T201 - its answer


if __name__ == "__main__":
    sys.exit(run(lambda _stop: _main(json.loads(sys.argv[1]))))
