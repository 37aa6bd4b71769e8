"""Channels: the one way in which our processes open a connection to another.

Client, planes, SDK and the store adapter call `open_channel`. It is part of the small base install and must
import little beyond gRPC. Whoever opens a channel closes it.
"""

from collections.abc import Callable, Sequence

import grpc

from enchain.process.tls import TlsFiles, channel_credentials, is_loopback
from enchain.process.tracing import client_interceptors

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""The largest message sent or received, stated on both sides. It is also gRPC's own default for receiving."""

KEEPALIVE_SECONDS = 10
"""Ping an open call's connection after so long without data, and call it dead `PING_TIMEOUT_SECONDS` later.

Servers must permit it: `enchain.process.servers` does, etcd asks for at least 5 s.
"""

PING_TIMEOUT_SECONDS = 5

Options = Sequence[tuple[str, int | str]]

OpenChannel = Callable[..., grpc.aio.Channel]
"""`open_channel`, or what stands for it where processes are simulated."""

_OPTIONS: dict[str, int | str] = {
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_SECONDS * 1000,
    "grpc.keepalive_timeout_ms": PING_TIMEOUT_SECONDS * 1000,
    # Without it a connection that went silent is noticed after a minute only, whatever the two above say.
    "grpc.http2.ping_timeout_ms": PING_TIMEOUT_SECONDS * 1000,
    # Pings only while a call is open: idle ones would be taken for abuse by servers with default settings.
    "grpc.keepalive_permit_without_calls": 0,
    # gRPC's own 1 s, growing to 2 min, would keep a client away from a peer that is back long since.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1000,
    "grpc.max_reconnect_backoff_ms": 5000,
    # An error that lists many violations needs more than the 8 KiB that gRPC grants to trailers.
    "grpc.max_metadata_size": 64 * 1024,
}


def open_channel(
    address: str,
    *,
    tls: TlsFiles | None = None,
    local_pool: bool = False,
    options: Options = (),
    traced: bool = True,
) -> grpc.aio.Channel:
    """Open a channel. It connects when it is first used, and again whenever it must.

    Args:
        address: `host:port`, or any gRPC target such as `ipv4:a:1,b:2` or `unix:/path`.
        tls: Certificates; None for plain text.
        local_pool: Share no connection with other channels of this process, so that a dead one is not reused.
        options: gRPC channel arguments that override the ones above.
        traced: Put spans around calls; not for streams that stay open for as long as the process runs.

    Raises:
        InvalidArgumentError: A certificate file cannot be used.
    """
    arguments = {**_OPTIONS, **dict(options)}
    if local_pool:
        arguments["grpc.use_local_subchannel_pool"] = 1
    if is_loopback(address):
        arguments.setdefault("grpc.enable_http_proxy", 0)  # a proxy cannot reach this machine's loopback
    interceptors = client_interceptors() if traced else []
    if tls is None:
        return grpc.aio.insecure_channel(address, options=list(arguments.items()), interceptors=interceptors)
    return grpc.aio.secure_channel(
        address, channel_credentials(tls), options=list(arguments.items()), interceptors=interceptors
    )
