"""The process of an engine server, from its flags to its end. An author's `main` is three lines:

    def main() -> int:
        return serve.main(MyEngine)

Up: telemetry, health NOT_SERVING, engine started, serving, announced. Down (SIGTERM): announced as draining,
known keys still served, running work finished, the key deleted last. A second SIGTERM does not wait: tools go
on, and another instance of the scope takes their work up.
"""  # noqa: D415 - the first sentence runs into the example

import argparse
import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

from enchain.artifacts.store import DirectoryArtifacts
from enchain.process.clock import Clock, SystemClock
from enchain.process.lifecycle import Tasks, run, write_ready_file
from enchain.process.logs import configure_logs, get_logger
from enchain.process.servers import Server
from enchain.process.settings import ServerSettings, add_server_flags, parse_server_args
from enchain.process.telemetry import configure_telemetry
from enchain.sdk import server as servicers
from enchain.sdk.port import Engine, Host
from enchain.sdk.registration import Registration, instance_message
from enchain.sdk.scope import Scope
from enchain.sdk.steps import StepRunner
from enchain.sdk.sweeping import sweep_for_ever
from enchain.state.etcd import open_store
from enchain.v1 import origin_pb2

STREAMS_END_SECONDS = 10.0
"""How long callers have to read their results once everything has ended."""

_WILDCARDS = frozenset({"", "0.0.0.0", "::", "[::]"})

_log = get_logger("enchain.sdk.serve")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine server is told beside what every server is told.

    Attributes:
        scope: Root of the state scope, a local directory that instances of one engine share.
        artifacts: Directory of the artifact store, shared with control planes.
        capacity: Pieces of work at once.
        instance: The instance's id.
        advertise: `host:port` under which routers reach it; empty for the address that it listens on.
        locality: Where it runs.
        lease_seconds: After so long without a sign of life, it counts as gone.
        grace_seconds: What a tool is given between SIGTERM and SIGKILL.
        heartbeat_seconds: How often running work says at least that it runs.
    """

    scope: Path
    artifacts: Path
    capacity: int = 4
    instance: str = ""
    advertise: str = ""
    locality: origin_pb2.Locality | None = None
    lease_seconds: int = 10
    grace_seconds: float = 10.0
    heartbeat_seconds: float = 5.0


def main(
    engine: Engine | Callable[[], Engine],
    argv: Sequence[str] | None = None,
    *,
    parents: Sequence[argparse.ArgumentParser] = (),
) -> int:
    """Serve an engine until told to stop; the whole of an engine's console script. Answers the exit code.

    Args:
        engine: The engine, or what makes it.
        argv: The command line; by default the process's own.
        parents: Flags of the engine's own, which its `main` has read already (`parse_known_args`).
    """
    made = engine if isinstance(engine, Engine) else engine()
    parser = argparse.ArgumentParser(
        prog=f"enchain-engine-{made.name}",
        description=f"Serves the engine {made.name} {made.version}.",
        parents=parents,
    )
    add_server_flags(parser)
    _add_engine_flags(parser, made)
    args, settings = parse_server_args(parser, argv)
    engine_settings = EngineSettings(
        scope=Path(args.scope).absolute(),
        artifacts=Path(args.artifacts).absolute(),
        capacity=args.capacity,
        instance=args.instance or settings.name or str(ULID()).lower(),
        advertise=args.advertise,
        locality=origin_pb2.Locality(region=args.region, zone=args.zone),
        lease_seconds=args.lease_seconds,
        grace_seconds=args.grace_seconds,
    )
    return run(lambda stop: serve(made, settings, engine_settings, stop))


def _add_engine_flags(parser: argparse.ArgumentParser, engine: Engine) -> None:
    env = os.environ

    def flag(name: str, default: str | float, text: str) -> None:
        variable = f"ENCHAIN_{name.upper().replace('-', '_')}"
        parser.add_argument(
            f"--{name}",
            default=type(default)(env.get(variable, default)),
            type=type(default),
            help=f"{text} [{variable}]",
        )

    flag("scope", f".enchain/{engine.name}", "state scope: a local directory, shared by the instances")
    flag("artifacts", ".enchain/artifacts", "artifact store: a directory, shared with the control plane")
    flag("capacity", 4, "pieces of work at once")
    flag("instance", "", "id of this instance; made up where it is empty")
    flag("advertise", "", "host:port under which routers reach it")
    flag("region", "", "where it runs")
    flag("zone", "", "where it runs, more precisely")
    flag("lease-seconds", 10, "without a sign of life for so long, it counts as gone")
    flag("grace-seconds", 10.0, "what a tool is given to stop by itself")


async def serve(
    engine: Engine,
    settings: ServerSettings,
    engine_settings: EngineSettings,
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
) -> None:
    """Serve an engine until `stop` is set and running work has ended."""
    clock = clock or SystemClock()
    service = f"enchain-engine-{engine.name}"
    configure_logs(service, level=settings.log_level, json=settings.log_json)
    telemetry = configure_telemetry(
        service,
        otlp_endpoint=settings.otlp or None,
        otlp_tls=settings.otlp_tls,
        otlp_metrics_endpoint=settings.otlp_metrics or None,
        otlp_metrics_tls=settings.otlp_metrics_tls,
        metrics_listen=settings.metrics_listen or None,
        metrics_tls=settings.tls,
        allow_insecure=settings.allow_insecure,
        instance=engine_settings.instance,
    )
    try:
        process = _Process(engine, settings, engine_settings, clock, metrics=telemetry.metrics_address)
        await process.live(stop)
    finally:
        await asyncio.to_thread(telemetry.shutdown)


class _Process:
    """One life of an engine server."""

    def __init__(
        self,
        engine: Engine,
        settings: ServerSettings,
        engine_settings: EngineSettings,
        clock: Clock,
        *,
        metrics: str,
    ) -> None:
        self._metrics = metrics
        self._engine = engine
        self._settings = settings
        self._own = engine_settings
        self._clock = clock
        self._scope = Scope(engine_settings.scope)
        self._scope_id = self._scope.identify(f"{engine.name}-{str(ULID()).lower()}")
        self._runner = StepRunner(
            engine,
            scope=engine_settings.scope,
            artifacts=DirectoryArtifacts(engine_settings.artifacts),
            instance=engine_settings.instance,
            clock=clock,
            capacity=engine_settings.capacity,
            grace_seconds=engine_settings.grace_seconds,
            heartbeat_seconds=engine_settings.heartbeat_seconds,
        )
        self._server = Server(
            settings.listen,
            tls=settings.tls,
            allow_insecure=settings.allow_insecure,
            max_message_bytes=servicers.REQUEST_BYTES_MAX,
        )

    async def live(self, stop: asyncio.Event) -> None:
        etcd = self._settings.etcd
        store = await open_store(etcd.endpoints, tls=etcd.tls, user=etcd.user, password=etcd.password())
        try:
            message = instance_message(
                self._engine,
                instance=self._own.instance,
                address="",
                scope=self._scope_id,
                capacity=self._own.capacity,
                start_time=self._clock.now(),
                locality=self._own.locality,
            )
            registration = Registration(
                store,
                clock=self._clock,
                instance_id=self._own.instance,
                message=message,
                ttl_seconds=self._own.lease_seconds,
            )
            await self._serve(registration, stop)
        finally:
            await store.close()

    async def _serve(self, registration: Registration, stop: asyncio.Event) -> None:
        servicer = servicers.EngineServicer(
            self._runner, instance=lambda: registration.message, draining=registration.drain
        )
        servicers.add_to(self._server, servicer)
        bound = await self._server.start()
        registration.message.address = self._own.advertise or _reachable(bound)
        address = registration.message.address
        await self._engine.start(Host(self._own.instance, self._own.scope, address, self._runner.secrets))
        registration.message.tool = self._engine.tool  # an engine finds its tool when it starts
        try:
            async with Tasks() as tasks:
                tasks.start("sweeping of spent ledgers", sweep_for_ever(self._scope, self._clock))
                tasks.start("reaping of runners", self._runner.reap_for_ever())
                await self._server.serving(True)
                if await _unless(stop, tasks.once("first registration", registration.start())):
                    tasks.start("registration", registration.maintain())
                    self._tell_ready(bound)
                    _log.info("engine serves", address=bound, scope=self._scope_id)
                    await stop.wait()
                await self._drain(registration)
        finally:
            await self._runner.close()
            await self._server.drain(STREAMS_END_SECONDS)
            await registration.stop()
            await self._engine.stop()

    def _tell_ready(self, bound: str) -> None:
        write_ready_file(
            self._settings.ready_file, address=bound, identifier=self._own.instance, metrics=self._metrics
        )

    async def _drain(self, registration: Registration) -> None:
        running = self._runner.drain()
        _log.info("engine drains", running=running)
        await registration.drain()
        await self._runner.finish()


async def _unless(stop: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Await a task, unless `stop` is set before it has ended; say whether it has."""
    stopping = asyncio.create_task(stop.wait(), name="waiting for the signal to stop")
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return task.done()


def _reachable(bound: str) -> str:
    """Answer an address that others can use: a wildcard says where to listen, not where to call."""
    host, _, port = bound.rpartition(":")
    return f"{socket.gethostname()}:{port}" if host in _WILDCARDS else bound
