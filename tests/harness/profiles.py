"""Outbox entries of operations whose engines did something measurable, for tests of performance profiles."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ulid import ULID

from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.outbox import START, Entry

SUCCEEDED = diagnostic_pb2.OUTCOME_SUCCEEDED
CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
PARTIAL = diagnostic_pb2.OUTCOME_FAILED_PARTIAL
CANCELLED = diagnostic_pb2.OUTCOME_CANCELLED
UNKNOWN = diagnostic_pb2.OUTCOME_UNKNOWN
NOTHING = diagnostic_pb2.OUTCOME_UNSPECIFIED

Step = operation_pb2.OutboxStep


def step(
    seconds: float | None = 2.0,
    *,
    name: str = "configure",
    engine: str = "terraform",
    version: str = "1.15.0",
    outcome: diagnostic_pb2.Outcome.ValueType = SUCCEEDED,
    code: str = "",
    in_flight: int = 1,
    attempts: int = 1,
    steps: Sequence[str] = (),
) -> Step:
    """What an engine did in so many seconds; None where it was not timed."""
    made = Step(
        step=name,
        engine=engine,
        version=version,
        outcome=outcome,
        code=code,
        attempts=attempts,
        in_flight=in_flight,
        steps=steps,
    )
    if seconds is not None:
        made.duration.FromTimedelta(timedelta(seconds=seconds))
    return made


def used(made: Step, *, cpu: float = 0.0, memory: int = 0, cost: float = 0.0, currency: str = "EUR") -> Step:
    """Let a step say what it used up."""
    made.usage.cpu_seconds = cpu
    made.usage.peak_memory_bytes = memory
    made.usage.network_received_bytes = made.usage.network_sent_bytes = memory // 2
    if cost:
        made.usage.cost.units = int(cost)
        made.usage.cost.nanos = round((cost - int(cost)) * 1e9)
        made.usage.cost.currency_code = currency
    return made


def ended(
    *steps: Step,
    hour: float = 0,
    verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
    state: operation_pb2.Operation.State.ValueType = operation_pb2.Operation.STATE_SUCCEEDED,
    workload: str = "site",
    start: datetime = START,
) -> Entry:
    """What an operation leaves that ended so many hours after the start."""
    made = Entry(
        operation=f"tenants/default/operations/{ULID()}",
        verb=verb,
        state=state,
        tenant="default",
        workload=f"workloads/{workload}",
        steps=steps,
    )
    at = start + timedelta(hours=hour)
    made.create_time.FromDatetime(at - timedelta(seconds=30))
    made.end_time.FromDatetime(at)
    return made
