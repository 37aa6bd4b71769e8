"""Servers: the one way in which our processes listen for calls.

Planes and the engine SDK make a `Server`, add servicers, start it, say when they are ready, and drain it at
the end. Servicers raise `EnchainError`s and never touch a status. Needs the `server` extra.

Order matters at both ends. Up: health answers NOT_SERVING before anything else is ready, so that a probe can
tell "starting" from "gone". Down: gRPC fails calls that arrive while it stops, so `drain` first tells probes,
then waits until nothing runs, and only then stops.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import grpc
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.process.channels import MESSAGE_BYTES_MAX
from enchain.process.interception import CallInterceptor, InFlight, translated_call
from enchain.process.logs import get_logger
from enchain.process.tls import TlsFiles, require_safe, server_credentials
from enchain.process.tracing import traced_call

MAXIMUM_CONCURRENT_RPCS = 10_000
"""Calls beyond it are refused by gRPC with RESOURCE_EXHAUSTED: memory stays bounded, streams included."""

LAST_CALLS_SECONDS = 1.0
"""What calls get that arrive between the last one's end and the end of listening."""

_OPTIONS: dict[str, int] = {
    # Two servers on one port would share its calls by chance, and hide a wrong --listen.
    "grpc.so_reuseport": 0,
    # Clients ping every 10 s while a call is open (`channels`); gRPC's default takes that for abuse.
    "grpc.http2.min_ping_interval_without_data_ms": 5_000,
    "grpc.http2.min_recv_ping_interval_without_data_ms": 5_000,
    "grpc.http2.max_ping_strikes": 2,
    # A client whose machine died is noticed, so that its streams end.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.max_metadata_size": 64 * 1024,
}

_log = get_logger(__name__)

Registrar = Callable[[Any, grpc.aio.Server], None]


class Server:
    """A gRPC server with everything around it.

    Args:
        listen: `host:port`; port 0 takes a free one. Or `unix:/path`.
        tls: Certificates; with an authority, clients must show one of it.
        allow_insecure: Listen without TLS where other machines can reach it.
        max_message_bytes: The largest message taken or sent.
        maximum_concurrent_rpcs: Calls at once, streams included.
        new_incident: Makes the ids under which errors of our own are logged.

    Raises:
        InvalidArgumentError: The address may not be listened on without TLS, or a certificate is unusable.
    """

    def __init__(
        self,
        listen: str,
        *,
        tls: TlsFiles | None = None,
        allow_insecure: bool = False,
        max_message_bytes: int = MESSAGE_BYTES_MAX,
        maximum_concurrent_rpcs: int = MAXIMUM_CONCURRENT_RPCS,
        new_incident: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        require_safe(listen, tls, allow_insecure=allow_insecure)
        self._listen = listen
        self._credentials = server_credentials(tls) if tls else None
        self._in_flight = InFlight()
        options = {
            **_OPTIONS,
            "grpc.max_receive_message_length": max_message_bytes,
            "grpc.max_send_message_length": max_message_bytes,
        }
        self._server = grpc.aio.server(
            # Outermost first: the span sees the status that the translation made.
            interceptors=[
                CallInterceptor(self._in_flight.around, traced_call, translated_call(new_incident))
            ],
            options=list(options.items()),
            maximum_concurrent_rpcs=maximum_concurrent_rpcs,
        )
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # its stub knows no aio
        self._services: list[str] = []
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """Calls that run now, gRPC's own services left out."""
        return self._in_flight.count

    def add(self, registrar: Registrar, servicer: Any, service_name: str) -> None:
        """Serve one service: its generated `add_…_to_server`, the servicer, and its full name."""
        registrar(servicer, self._server)
        self._services.append(service_name)

    async def start(self) -> str:
        """Listen. Health answers NOT_SERVING from now on; answer the bound `host:port`.

        Raises:
            InvalidArgumentError: The address is taken or is none.
        """
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        channelz.add_channelz_servicer(self._server)  # type: ignore[arg-type]  # its stub knows no aio
        names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        await self.serving(False)
        address = self._bind()
        await self._server.start()
        return address

    async def serving(self, ready: bool) -> None:  # noqa: FBT001 - reads as the sentence it is
        """Tell probes whether calls should come here, for every service and for the server as a whole."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if ready else states.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, state)

    async def drain(self, deadline_seconds: float) -> int:
        """Say NOT_SERVING, wait until no call runs, then stop; answer how many calls were cut off.

        Whoever owns endless streams ends them itself, before or meanwhile.
        """
        await self.serving(False)
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._in_flight.idle()
        except TimeoutError:
            _log.warning("drain deadline passed with calls running", calls=self.in_flight)
        left = self.in_flight
        # A call that came in at the very last may still end, unless time is up already.
        await self.stop(0 if left else LAST_CALLS_SECONDS)
        return left

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening, give running calls so long, then end them. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)

    def _bind(self) -> str:
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(self._listen)
            else:
                port = self._server.add_secure_port(self._listen, self._credentials)
        except (RuntimeError, ValueError) as error:
            raise self._unusable() from error
        if self._listen.startswith(("unix:", "unix-abstract:")):
            return self._listen
        if port == 0:
            raise self._unusable()
        return f"{self._listen.rpartition(':')[0]}:{port}"

    def _unusable(self) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"cannot listen on {self._listen}: it is taken, or no address of this machine",
            reason="ADDRESS_UNUSABLE",
            remedy="Stop what listens there, or give another --listen; port 0 takes a free one.",
            metadata={"listen": self._listen},
            violations=[Violation("listen", f"cannot listen on {self._listen}", "ADDRESS_UNUSABLE")],
        )
