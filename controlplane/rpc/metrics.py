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
from controlplane.rpc.leader import METADATA, RETRY_SECONDS, Leader, forwarded, not_leading
from enchain.chains.errors import EnchainError, ExhaustedError, UnavailableError

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"

ANSWER_SECONDS = 8.0
"""How long the leader may take. Senders wait 10 s by default."""

HANDED_ON_MAX = 32
"""Exports that are on their way to the leader at once."""


class LeadersMetrics:
    """The leader's metrics service, asked by another replica.

    Args:
        leader: Whoever leads.
    """

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
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
            return await self._hand_on(request)
        finally:
            self._running -= 1

    async def _hand_on(self, request: ExportMetricsServiceRequest) -> ExportMetricsServiceResponse:
        async def export(channel: grpc.aio.Channel) -> ExportMetricsServiceResponse:
            stub_of: Any = otlp_grpc.MetricsServiceStub  # generated without types
            answer: ExportMetricsServiceResponse = await stub_of(channel).Export(
                request, timeout=ANSWER_SECONDS, metadata=METADATA
            )
            return answer

        try:
            return await self._leader.ask(export)
        except EnchainError as error:
            if isinstance(error, ExhaustedError | UnavailableError) and error.retry_after is not None:
                raise
            # Senders give up on any other status; what came twice is left out as a duplicate.
            raise not_leading(f"the leader did not take the export: {error.message}") from error


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
        if forwarded(context):
            raise not_leading("the export was handed on to a replica that does not lead any more, or not yet")
        return await self._leader.export(request)
