"""Waits until a service that was started is ready, or has failed.

The engine calls it. A probe that succeeds counts only when it is the service itself that listens: a stranger
on its port is told apart where the kernel says who listens.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from enchain.engines.process.kernel import Identity, Stat, is_running
from enchain.engines.process.sockets import LISTEN, dump, inodes_of
from enchain.engines.process.spec import Ready
from enchain.process.clock import Clock

_POLL_SECONDS = 0.05
_MOMENT_SECONDS = 0.3
_ANSWER_SECONDS = 2.0
_STATUS_LINE_BYTES = 4096


class NotReadyError(Exception):
    """The service did not become ready; the message is a sentence without its end.

    Args:
        why: What was seen.
        ended: Its process has ended.
        stranger: Somebody else listens on its port.
    """

    def __init__(self, why: str, *, ended: bool = False, stranger: bool = False) -> None:
        super().__init__(why)
        self.ended = ended
        self.stranger = stranger


async def wait_until_ready(
    ready: Ready,
    identity: Identity,
    address: tuple[str, int | None],
    *,
    clock: Clock,
    seconds: float,
    members: Callable[[], list[Stat]],
    pause: Callable[[], None],
) -> None:
    """Wait until a service answers as it should.

    Args:
        ready: The probe.
        identity: The service's process.
        address: Host and port of the service.
        clock: Time.
        seconds: How long it has.
        members: Answers the service's processes.
        pause: Called between two looks; what it raises ends the wait.

    Raises:
        NotReadyError: It ended, or did not answer in time.
    """
    begin = clock.monotonic()
    while True:
        why = await _probe(ready, address, stood=clock.monotonic() - begin)
        if not is_running(identity):
            raise NotReadyError("its process ended", ended=True)
        if not why:
            port = address[1]
            if ready.probe != "alive" and port is not None and await _is_stranger(port, members):
                raise NotReadyError(f"another process listens on its port {port}", stranger=True)
            return
        if clock.monotonic() - begin >= seconds:
            raise NotReadyError(f"it was not ready within {seconds:g} s: {why}")
        pause()
        await clock.sleep(_POLL_SECONDS)


async def _probe(ready: Ready, address: tuple[str, int | None], *, stood: float) -> str:
    """Answer why it is not ready; empty where it is."""
    host, port = address
    if ready.probe == "alive" or port is None:
        return "" if stood >= _MOMENT_SECONDS else "it has only just started"
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await _ask(ready, host, port)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
        return str(error) or type(error).__name__


async def _ask(ready: Ready, host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port, limit=_STATUS_LINE_BYTES)
    try:
        if ready.probe == "tcp":
            return ""
        writer.write(
            f"GET {ready.path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        return _read_status(await reader.readline())
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _read_status(line: bytes) -> str:
    parts = line.decode("latin-1").split(maxsplit=2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/") or not parts[1].isdecimal():  # noqa: PLR2004 - version and status
        return "it does not answer in HTTP"
    return "" if 200 <= int(parts[1]) < 400 else f"it answers with status {parts[1]}"  # noqa: PLR2004 - HTTP's success


async def _is_stranger(port: int, members: Callable[[], list[Stat]]) -> bool:
    return await asyncio.to_thread(_listens_elsewhere, port, members)


def _listens_elsewhere(port: int, members: Callable[[], list[Stat]]) -> bool:
    flows = dump()
    if flows is None:
        return False
    listening = {flow.inode for flow in flows if flow.state == LISTEN and flow.port == port}
    return bool(listening) and not listening & inodes_of(stat.pid for stat in members())
