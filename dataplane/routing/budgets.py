"""Budgets of what is stored: a record keeps within 64 KiB, an outbox entry within 2 KiB.

The pipeline machine calls it whenever a record is about to be committed. Sizes are those of canonical JSON.
"""

from google.protobuf.message import Message

from enchain.chains.digests import canonical
from enchain.v1 import diagnostic_pb2, operation_pb2

RECORD_BYTES_MAX = 64 * 1024
OUTBOX_BYTES_MAX = 2 * 1024

OUTPUTS_RESERVE = 16 * 1024
"""Kept free by outputs, so that diagnostics and the end always fit."""

SMALL_WIRE_BYTES = 3 * 1024
"""Wire size below which the JSON form cannot exceed the budget: it is at most about twenty times as large."""


def size_of(message: Message) -> int:
    """Bytes of a message's canonical JSON."""
    return len(canonical(message).encode())


def fits(operation: operation_pb2.Operation, limit: int = RECORD_BYTES_MAX) -> bool:
    """Whether a record takes at most `limit` bytes."""
    return operation.ByteSize() <= min(SMALL_WIRE_BYTES, limit // 20) or size_of(operation) <= limit


def outputs_fit(operation: operation_pb2.Operation) -> bool:
    """Whether the record, its events left out, leaves room enough for all that may still come."""
    bare = operation_pb2.Operation()
    bare.CopyFrom(operation)
    del bare.events[:]
    return fits(bare, RECORD_BYTES_MAX - OUTPUTS_RESERVE)


def fit(operation: operation_pb2.Operation) -> None:
    """Bring a record within its budget in place: the oldest events go first, then what diagnostics detail."""
    while not fits(operation) and len(operation.events) > 1:
        del operation.events[: max(1, len(operation.events) // 8)]
    if fits(operation):
        return
    for diagnostics in (operation.diagnostics, *(step.diagnostics for step in operation.steps)):
        for diagnostic in diagnostics:
            _cut(diagnostic)
    for event in operation.events:
        del event.step_ended.diagnostics[:]
        del event.ended.diagnostics[:]


def fit_outbox(entry: operation_pb2.OutboxEntry) -> None:
    """Bring what is left for statistics within its budget in place: what is needed least goes first."""
    cuts = (_drop_measures, _drop_tool_times, _drop_usages, _drop_codes)
    for cut in cuts:
        if size_of(entry) <= OUTBOX_BYTES_MAX:
            return
        cut(entry)
    while size_of(entry) > OUTBOX_BYTES_MAX and entry.steps:
        entry.steps.pop()


def _drop_measures(entry: operation_pb2.OutboxEntry) -> None:
    entry.measures.clear()


def _drop_tool_times(entry: operation_pb2.OutboxEntry) -> None:
    for step in entry.steps:
        if step.HasField("usage"):
            step.usage.ClearField("tool_duration")


def _drop_usages(entry: operation_pb2.OutboxEntry) -> None:
    for step in entry.steps:
        step.ClearField("usage")


def _drop_codes(entry: operation_pb2.OutboxEntry) -> None:
    for step in entry.steps:
        step.code = ""


def _cut(diagnostic: diagnostic_pb2.Diagnostic) -> None:
    if diagnostic.detail:
        diagnostic.detail = ""
        diagnostic.truncated = True
