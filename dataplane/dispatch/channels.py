"""Channels to engine instances: one per address, closed when the instance is gone.

The engine calls lend stubs. A channel that is lent is left open until it is given back: an instance whose
lease has expired may still have a result to tell.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import grpc

from enchain.engine.v1 import engine_pb2_grpc
from enchain.process.channels import OpenChannel, open_channel
from enchain.process.logs import get_logger
from enchain.process.tls import TlsFiles

if TYPE_CHECKING:
    Stub: TypeAlias = engine_pb2_grpc.ProvisioningEngineAsyncStub

_log = get_logger(__name__)


class Channels:
    """Open channels by address.

    Args:
        tls: Certificates; None for plain text.
        opener: Opens them.
    """

    def __init__(self, tls: TlsFiles | None = None, *, opener: OpenChannel = open_channel) -> None:
        self._tls = tls
        self._open = opener
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._lent: Counter[str] = Counter()

    @contextmanager
    def lend(self, address: str) -> "Iterator[Stub]":
        """Lend a stub for an address."""
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._open(address, tls=self._tls, local_pool=True)
        self._lent[address] += 1
        try:
            yield engine_pb2_grpc.ProvisioningEngineStub(channel)
        finally:
            self._lent[address] -= 1

    @property
    def addresses(self) -> frozenset[str]:
        """Addresses with an open channel."""
        return frozenset(self._channels)

    async def keep(self, addresses: frozenset[str]) -> None:
        """Close the channels to all other addresses that are not lent."""
        for address in set(self._channels) - addresses:
            if self._lent[address] <= 0:
                channel = self._channels.pop(address)
                del self._lent[address]
                _log.debug("channel closed", address=address)
                await channel.close(None)

    async def close(self) -> None:
        """Close all, lent or not."""
        for channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()
