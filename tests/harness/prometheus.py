"""A real Prometheus for tests: Debian's, with a past laid into it, that scrapes an exporter in the test.

`promtool` writes the past as blocks before the server starts. Everything is on loopback, on free ports.
"""

import asyncio
import shutil
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

import httpx
import prometheus_client
import pytest

from tests.harness.waiting import eventually

SCRAPE = "200ms"

Sample = tuple[str, float, float]
"""A series such as `cores{pod="a"}`, seconds since the epoch, a value."""


class Exporter:
    """What a Prometheus scrapes: one gauge and one counter, with a value each."""

    def __init__(self) -> None:
        registry = prometheus_client.CollectorRegistry()
        self.held = prometheus_client.Gauge("exported_memory_bytes", "Memory.", ["pod"], registry=registry)
        self.sent = prometheus_client.Counter("exported_bytes", "Network.", ["pod"], registry=registry)
        self._server, self._thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Prometheus:
    """The server.

    Args:
        folder: Where its data and configuration lie.
        target: `host:port` of what it scrapes.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self._program = shutil.which("prometheus")
        self._promtool = shutil.which("promtool")
        if self._program is None or self._promtool is None:
            pytest.skip("there is no prometheus here; Debian has it as a package of that name")
        self._data = folder / "data"
        self._config = folder / "prometheus.yml"
        self._log = folder / "prometheus.log"
        self._data.mkdir(parents=True)
        self._config.write_text(
            f"global: {{scrape_interval: {SCRAPE}, scrape_timeout: {SCRAPE}}}\n"
            f"scrape_configs: [{{job_name: exporter, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._listen = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self._listen}"
        self._process: asyncio.subprocess.Process | None = None

    async def fill(self, name: str, samples: Iterable[Sample]) -> None:
        """Lay a past into it, before it starts. Samples of a series come together, in order of time."""
        file = self._data.parent / "past.txt"
        lines = [f"{series} {value} {time:.3f}" for series, time, value in samples]
        file.write_text("\n".join([f"# TYPE {name} gauge", *lines, "# EOF", ""]))
        assert self._promtool is not None, "it was looked for"
        told = ("tsdb", "create-blocks-from", "openmetrics", str(file), str(self._data))
        filling = await asyncio.create_subprocess_exec(
            self._promtool, *told, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await filling.communicate()
        assert filling.returncode == 0, out.decode()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._program is not None, "it was looked for"
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self._data}",
                "--storage.tsdb.retention.time=10w",
                f"--web.listen-address={self._listen}",
                stdout=log,
                stderr=log,
            )
        await eventually(self._ready, within=30)

    async def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def has(self, query: str) -> bool:
        """Say whether a query has an answer now."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.url}/api/v1/query", params={"query": query})
        return bool(answer.json()["data"]["result"])

    async def _ready(self) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url}/-/ready")).is_success
        except httpx.HTTPError:
            return False
