"""OTLP's `MetricsService`: what OpenTelemetry SDKs and Collectors export to.

`controlplane.main` registers it on every replica. The history is where the leader is, so another replica
hands exports on to it. Whatever fails is answered as UNAVAILABLE or RESOURCE_EXHAUSTED with a time to wait,
upon which senders send again; that is safe, since samples that came before are left out as duplicates.
"""

from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as otlp_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from controlplane.demand.intake import Intake
from controlplane.rpc.callers import Context
from controlplane.rpc.leader import FORWARDED
from enchain.chains.errors import EnchainError, ExhaustedError, UnavailableError
from enchain.process.channels import OpenChannel, open_channel
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import presence_pb2

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"

ANSWER_SECONDS = 8.0
"""How long the leader may take. Senders wait 10 s by default."""

HANDED_ON_MAX = 32
"""Exports that are on their way to the leader at once."""

RETRY_SECONDS = 2.0
"""After which sending again may help: an election takes about so long."""


class LeadersMetrics:
    """The leader's metrics service, asked by another replica.

    A channel is opened for each export, since leaders change; gRPC lets those of one address share a
    connection.

    Args:
        store: Where the leader's presence is.
        tls: Certificates of this replica; None in plain text.
        channels: Opens the channel.
    """

    def __init__(
        self, store: Store, *, tls: TlsFiles | None = None, channels: OpenChannel = open_channel
    ) -> None:
        self._store = store
        self._tls = tls
        self._channels = channels
        self._running = 0

    async def export(self, request: ExportMetricsServiceRequest) -> ExportMetricsServiceResponse:
        """Hand an export on.

        Raises:
            UnavailableError: No replica leads, or the leader does not answer.
            ExhaustedError: Too many are on their way, or the leader has too many.
        """
        if self._running >= HANDED_ON_MAX:
            raise ExhaustedError(
                f"{self._running} exports are on their way to the leader already",
                reason="TOO_MANY_EXPORTS",
                remedy="Export again in a moment, less often, or to the leader itself.",
                retry_after=RETRY_SECONDS,
            )
        self._running += 1
        try:
            return await self._hand_on(request, await self._leader())
        finally:
            self._running -= 1

    async def _leader(self) -> str:
        item = await self._store.get(keys.leader("controlplane"))
        if item is None:
            raise no_leader("no replica of the control plane leads")
        return decode(presence_pb2.LeaderPresence, item.value, key=item.key).address

    async def _hand_on(
        self, request: ExportMetricsServiceRequest, address: str
    ) -> ExportMetricsServiceResponse:
        channel = self._channels(address, tls=self._tls)
        stub_of: Any = otlp_grpc.MetricsServiceStub  # generated without types
        try:
            answer: ExportMetricsServiceResponse = await stub_of(channel).Export(
                request, timeout=ANSWER_SECONDS, metadata=((FORWARDED, "1"),)
            )
        except grpc.aio.AioRpcError as failure:
            raise _explained(from_rpc_error(failure), address) from failure
        finally:
            await channel.close(None)
        return answer


def _explained(error: EnchainError, address: str) -> EnchainError:
    """Answer what the leader said where it said when to send again; else say that it did not take it."""
    if isinstance(error, ExhaustedError | UnavailableError) and error.retry_after is not None:
        return error
    return no_leader(f"the leader at {address} did not take the export: {error.message}")


def no_leader(why: str) -> UnavailableError:
    """Say that an export reached nobody who takes it, and when to send it again."""
    return UnavailableError(
        why,
        reason="NO_LEADER",
        remedy="Send it again: one is elected within the time of the leader's lease.",
        retry_after=RETRY_SECONDS,
    )


class MetricsServicer(otlp_grpc.MetricsServiceServicer):
    """Receives metrics.

    Args:
        intake: Takes them in where this replica leads.
        leader: Takes them where another one does.
    """

    def __init__(self, intake: Intake, leader: LeadersMetrics) -> None:
        self._intake = intake
        self._leader = leader

    async def Export(  # noqa: N802 - the method's name on the wire
        self, request: ExportMetricsServiceRequest, context: Context
    ) -> ExportMetricsServiceResponse:
        """Take one export in, or hand it on once."""
        if self._intake.is_open:
            return await self._intake.export(request)
        if any(key == FORWARDED for key, _ in context.invocation_metadata() or ()):
            raise no_leader("the export was handed on to a replica that does not lead any more, or not yet")
        return await self._leader.export(request)
