"""TCP sockets and their byte counts, asked of the kernel by its sock_diag netlink protocol.

Measuring and readiness call it. It needs no privilege. `Closings` hears of each socket that is closed, with
its final counts, so that short connections are counted too. Where the kernel does not offer sock_diag, `dump`
answers None and nothing is claimed.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LISTEN = 10
_ALL_STATES = 0xFFFFFFFF
_SOCK_DIAG_FAMILY = 4
_BY_FAMILY, _DONE, _ERROR = 20, 3, 2
_REQUEST_DUMP = 0x301
_INFO = 2
_CLOSED_TCP_GROUPS = 0b101  # TCP over IPv4 and over IPv6
_HEADER = struct.Struct("=IHHII")
_MESSAGE_BYTES = 72
_BYTES_ACKED_OFFSET = 120
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Flow:
    """One TCP socket.

    Attributes:
        cookie: Names the socket for all time.
        state: The kernel's number; 10 listens.
        port: Its own port.
        inode: By which a process's descriptor names it; 0 once it is closed.
        received: Bytes received.
        sent: Bytes sent and acknowledged.
    """

    cookie: int
    state: int
    port: int
    inode: int
    received: int
    sent: int


def dump() -> list[Flow] | None:
    """Answer every TCP socket of this network namespace; None where the kernel does not tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG_FAMILY) as link:
            link.settimeout(5)
            return [
                flow for family in (socket.AF_INET, socket.AF_INET6) for flow in _dump_family(link, family)
            ]
    except OSError:
        return None


def _dump_family(link: socket.socket, family: int) -> Iterator[Flow]:
    request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ALL_STATES)
    link.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _REQUEST_DUMP, family, 0) + request)
    while True:
        for kind, body in _messages(link.recv(_BUFFER_BYTES)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError("the kernel refuses to list its sockets")
            yield parse_flow(body)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def parse_flow(body: bytes) -> Flow:
    """Read one inet_diag message with its attributes."""
    state = body[1]
    (port,) = struct.unpack_from("!H", body, 4)
    (cookie,) = struct.unpack_from("=Q", body, 44)
    (inode,) = struct.unpack_from("=I", body, 68)
    received = sent = 0
    offset = _MESSAGE_BYTES
    while offset + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, offset)
        if kind == _INFO and length >= 4 + _BYTES_ACKED_OFFSET + 16:
            sent, received = struct.unpack_from("=QQ", body, offset + 4 + _BYTES_ACKED_OFFSET)
        offset += max(4, (length + 3) & ~3)
    return Flow(cookie, state, port, inode, received, sent)


class Closings:
    """Hears of TCP sockets that are closed, and keeps them until they are asked for.

    What exceeds `KEPT_MAX`, or the kernel's own buffer, is dropped and counted in `overflows`.
    """

    KEPT_MAX = 65536

    def __init__(self) -> None:
        self.overflows = 0
        self._link: socket.socket | None = None
        self._kept: list[Flow] = []

    def open(self) -> None:
        """Begin to listen; nothing happens where the kernel does not offer it."""
        try:
            link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _SOCK_DIAG_FAMILY)
        except OSError:
            return
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            link.bind((0, _CLOSED_TCP_GROUPS))
        except OSError:
            link.close()
            return
        self._link = link
        asyncio.get_running_loop().add_reader(link, self._hear)

    @property
    def listening(self) -> bool:
        """Whether closed sockets are heard of."""
        return self._link is not None

    def drain(self) -> tuple[Flow, ...]:
        """Answer the sockets that were closed since the last call, with their final counts."""
        self._hear()
        kept, self._kept = tuple(self._kept), []
        return kept

    def close(self) -> None:
        """Listen no more."""
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()
            self._link = None

    def _hear(self) -> None:
        while self._link is not None:
            try:
                heard = [parse_flow(body) for _, body in _messages(self._link.recv(_BUFFER_BYTES))]
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: the kernel had to drop some
                self.overflows += 1
                continue
            room = self.KEPT_MAX - len(self._kept)
            self._kept.extend(heard[:room])
            self.overflows += len(heard[room:])


def inodes_of(pids: Iterable[int]) -> frozenset[int]:
    """Answer the inodes of the sockets that processes have open."""
    return frozenset(inode for pid in pids for inode in _socket_inodes(pid))


def _socket_inodes(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names, not paths
    except OSError:  # it is gone
        return
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115 - a link to no path
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])
