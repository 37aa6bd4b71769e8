"""Asking instances whether they answer: registered is not yet healthy.

The leader's loop asks those that a switch waits for. It changes nothing at an instance.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import grpc

from enchain.engine.v1 import engine_pb2 as protocol
from enchain.engine.v1 import engine_pb2_grpc as protocol_grpc
from enchain.process.channels import open_channel
from enchain.process.tls import TlsFiles
from enchain.v1.engine_pb2 import EngineInstance

ANSWER_SECONDS = 2.0
"""How long an instance may take. Shaking hands does no work."""

AT_ONCE_MAX = 16


class Health(Protocol):
    """Tells which instances answer."""

    async def silent(self, instances: Sequence[EngineInstance]) -> frozenset[str]:
        """Answer the names of those that do not."""


class Handshakes:
    """Shakes hands with each.

    Args:
        tls: Certificates for channels to them; None for plain text.
    """

    def __init__(self, tls: TlsFiles | None = None) -> None:
        self._tls = tls

    async def silent(self, instances: Sequence[EngineInstance]) -> frozenset[str]:
        """Answer the names of those that do not shake hands in time."""
        limit = asyncio.Semaphore(AT_ONCE_MAX)

        async def answers(instance: EngineInstance) -> bool:
            async with limit:
                return await self._answers(instance)

        told = await asyncio.gather(*(answers(instance) for instance in instances))
        return frozenset(each.name for each, well in zip(instances, told, strict=True) if not well)

    async def _answers(self, instance: EngineInstance) -> bool:
        async with open_channel(instance.address, tls=self._tls) as channel:
            stub = protocol_grpc.ProvisioningEngineStub(channel)
            try:
                request = protocol.HandshakeRequest(caller="controlplane")
                told = await stub.Handshake(request, timeout=ANSWER_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        # Another instance may have come by the address of one that is gone.
        return bool(told.instance.name == instance.name)
