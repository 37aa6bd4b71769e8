"""Taking in what is pushed: exports of OpenTelemetry SDKs and Collectors, on the replica that leads.

`controlplane.rpc.metrics` calls it. Each export is one transaction of the history; what is left out of it is
answered in the words of OTLP's partial success, and counted.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from controlplane.demand.appending import Rejected
from controlplane.demand.history import History, closed
from controlplane.demand.otlp import Decoded, decode
from controlplane.demand.samples import WORDS, Reason
from controlplane.demand.signals import Source
from controlplane.demand.workloads import Workloads
from enchain.chains.errors import ExhaustedError
from enchain.process.telemetry import meter

AT_ONCE_MAX = 32
"""Exports that are taken in at once; more are refused, and sent again a little later."""

RETRY_SECONDS = 1.0

_meter = meter(__name__)
_taken = _meter.create_counter("enchain.demand.samples", "{sample}", "Samples of demand that were taken in.")
_passed = _meter.create_counter(
    "enchain.demand.passed_samples", "{sample}", "Samples that came and are about no demand."
)
_rejected = _meter.create_counter(
    "enchain.demand.rejected_samples", "{sample}", "Samples of demand that were left out, by reason."
)


def count_taken(count: int, source: Source) -> None:
    """Count samples that were taken in."""
    _taken.add(count, {"source": source})


def count_rejected(rejected: Mapping[Reason, int], source: Source) -> None:
    """Count samples that were left out."""
    for reason, count in rejected.items():
        _rejected.add(count, {"reason": reason, "source": source})


class Intake:
    """Takes exports in.

    Args:
        history: Where they go.
        workloads: Which workloads there are.
    """

    def __init__(self, history: History, workloads: Workloads) -> None:
        self._history = history
        self._workloads = workloads
        self._running = 0

    @property
    def is_open(self) -> bool:
        """Whether this replica takes exports in; else whoever leads does."""
        return self._history.is_open and self._workloads.complete

    async def export(self, request: ExportMetricsServiceRequest) -> ExportMetricsServiceResponse:
        """Take an export in; answer how much of it was left out, and why.

        Raises:
            UnavailableError: This replica does not lead, or could not write; nothing was taken.
            ExhaustedError: Too many exports are under way; nothing was taken.
        """
        if not self.is_open:
            raise closed()
        if self._running >= AT_ONCE_MAX:
            raise ExhaustedError(
                f"{self._running} exports are being taken in already",
                reason="TOO_MANY_EXPORTS",
                remedy="Export again in a moment, or less often.",
                retry_after=RETRY_SECONDS,
            )
        self._running += 1
        try:
            # In a thread: a large export takes longer than other calls should wait.
            decoded = await asyncio.to_thread(decode, request, self._workloads.known)
            left = await self._history.append(decoded.points, _noted(decoded))
        finally:
            self._running -= 1
        return _answer(decoded, left)


def _noted(decoded: Decoded) -> Rejected:
    """Answer what can be counted against a workload."""
    return Counter((each.key, each.reason) for each in decoded.left if each.key is not None)


def _answer(decoded: Decoded, left: Rejected) -> ExportMetricsServiceResponse:
    reasons: Counter[Reason] = Counter(each.reason for each in decoded.left if each.key is None)
    for (_, reason), count in left.items():
        reasons[reason] += count
    count_rejected(reasons, Source.OTLP)
    rejected = reasons.total()
    count_taken(len(decoded.points) + len(decoded.left) - rejected, Source.OTLP)
    _passed.add(decoded.passed)
    if not rejected:
        return ExportMetricsServiceResponse()
    told = "; ".join(f"{count} {reason}: {WORDS[reason]}" for reason, count in sorted(reasons.items()))
    return ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=told)
    )
