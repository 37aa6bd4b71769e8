"""A real control plane over what a leader has left: how soon it serves, how fast it answers, what it needs.

The benchmark starts one as `enchain dev` does. Times of calls include the client's own work.
"""

import asyncio
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.forecasting.scale.timing import cpu_seconds, memory_mib
from controlplane.catalog.documents import scan
from controlplane.forecast.grids import FINE
from enchain.chains.names import ForecastName
from enchain.process.channels import open_channel
from enchain.process.parenthood import ending_with_parent
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import forecast_pb2, forecast_pb2_grpc

CALLS = 1000
POLL_SECONDS = 0.005
CALL_EVERY_SECONDS = 0.05
START_SECONDS = 60.0
REFRESH_SECONDS = 900.0
STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Served:
    """What was measured of it.

    Attributes:
        start_seconds: From its start until it serves.
        refreshed_seconds: From its start until every forecast is its own.
        idle_mib: Its memory when it serves, before it forecasts, children left out.
        most_mib: The most memory that it had in all.
        cpu: Its CPU seconds, children left out.
        quiet_ms: Times of calls while it does nothing else, ascending.
        busy_ms: Times of calls while it forecasts for the first time, ascending.
    """

    start_seconds: float
    refreshed_seconds: float
    idle_mib: float
    most_mib: float
    cpu: float
    quiet_ms: Sequence[float]
    busy_ms: Sequence[float]


async def serve(store: Store, etcd: str, folder: Path, names: Sequence[ForecastName]) -> Served:
    """Start a control plane, let it forecast everything once, ask it, and end it."""
    ready = folder / "controlplane.ready.json"
    began, began_at = time.perf_counter(), time.time()
    process = _started(_command(etcd, folder, ready), folder / "controlplane.log")
    try:
        await _until(ready.exists, process, START_SECONDS)
        start_seconds = time.perf_counter() - began
        idle = memory_mib(process.pid)
        address = json.loads(ready.read_text())["address"]
        async with open_channel(address) as channel:
            stub = forecast_pb2_grpc.ForecastServiceStub(channel)
            busy = await _while_busy(stub, store, names, began_at)
            refreshed = time.perf_counter() - began
            quiet = [await _call(stub, name) for name in itertools.islice(itertools.cycle(names), CALLS)]
        return Served(
            start_seconds,
            refreshed,
            idle,
            memory_mib(process.pid, "VmHWM"),
            cpu_seconds(process.pid),
            sorted(quiet),
            sorted(busy),
        )
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, STOP_SECONDS)


def quantile(ordered: Sequence[float], part: float) -> float:
    """Answer a quantile of ascending values; NaN of none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


def _started(command: list[str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _command(etcd: str, folder: Path, ready: Path) -> list[str]:
    line = [sys.executable, "-m", "controlplane.main", "--listen", "127.0.0.1:0", "--etcd", etcd]
    line += ["--artifacts", str(folder / "artifacts"), "--history", str(folder / "history.sqlite")]
    line += ["--learned", str(folder / "learned"), "--name", "controlplane", "--ready-file", str(ready)]
    line += ["--metrics-listen", "127.0.0.1:0", "--lease-seconds", "10", "--log-format", "json"]
    return ending_with_parent(line)


async def _while_busy(stub: Any, store: Store, names: Sequence[ForecastName], since: float) -> list[float]:
    """Call now and then until all forecasts are newer than a time; answer how long each call took."""
    times: list[float] = []
    until, asked = time.monotonic() + REFRESH_SECONDS, itertools.cycle(names)
    while time.monotonic() < until:
        for name in itertools.islice(asked, round(1 / CALL_EVERY_SECONDS)):
            times.append(await _call(stub, name))
            await asyncio.sleep(CALL_EVERY_SECONDS)
        if await _all_newer(store, len(names), since):
            return times
    raise SystemExit("the control plane did not forecast everything in time")


async def _all_newer(store: Store, count: int, since: float) -> bool:
    newer = 0
    async for item in scan(store, keys.FORECASTS):
        if item.key.endswith(f"-{FINE.id}"):
            newer += decode(forecast_pb2.Forecast, item.value).create_time.seconds >= since
    return newer >= count


async def _call(stub: Any, name: ForecastName) -> float:
    began = time.perf_counter()
    await stub.GetForecast(forecast_pb2.GetForecastRequest(name=str(name)))
    return 1000 * (time.perf_counter() - began)


async def _until(condition: Any, process: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("the control plane did not start; see its log")
        await asyncio.sleep(POLL_SECONDS)
