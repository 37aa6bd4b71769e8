"""Deadlines that are allowed, backoff that stays within its bounds, records that stay within their budget."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.routing import budgets, deadlines, journaling
from enchain.chains.errors import DeadlineError
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2, workload_pb2
from tests.harness.pipelines import NOW, chain_of, provision_of


@given(attempt=st.integers(1, 50), jitter=st.floats(0, 0.999))
def test_backoff_grows_to_its_maximum_and_no_further(attempt: int, jitter: float) -> None:
    retry = workload_pb2.Retry()
    waited = deadlines.retry_backoff(retry, attempt, jitter)

    assert timedelta() <= waited <= timedelta(seconds=min(2 ** (attempt - 1), 30))


@given(asks=st.integers(1, 100), jitter=st.floats(0, 0.999))
def test_asking_again_never_turns_into_a_storm(asks: int, jitter: float) -> None:
    assert timedelta(milliseconds=50) <= deadlines.ask_backoff(asks, jitter) <= timedelta(seconds=15)


def test_a_timeout_may_not_exceed_the_workloads() -> None:
    chain = chain_pb2.Chain()
    chain.timeout.FromSeconds(60)

    assert deadlines.operation_timeout(None, chain) == timedelta(seconds=60)
    assert deadlines.operation_timeout(timedelta(seconds=59), chain) == timedelta(seconds=59)
    for asked, reason in ((61, "DEADLINE_TOO_LONG"), (0.9, "DEADLINE_TOO_SHORT"), (-1, "DEADLINE_TOO_SHORT")):
        with pytest.raises(DeadlineError) as refused:
            deadlines.operation_timeout(timedelta(seconds=asked), chain)
        assert refused.value.reason == reason


def test_the_oldest_events_make_room_for_the_new_ones() -> None:
    operation = provision_of(chain_of()).operation
    for number in range(400):
        journaling.adopted(operation, f"routers/{number}", "x" * 200, NOW)
    budgets.fit(operation)

    assert budgets.size_of(operation) <= budgets.RECORD_BYTES_MAX
    assert operation.events[-1].sequence == operation.last_sequence == 401
    assert operation.events[0].sequence > 1


def test_details_of_diagnostics_go_before_the_record_gets_too_large() -> None:
    operation = provision_of(chain_of()).operation
    for step in operation.steps:
        step.diagnostics.add(summary="it failed", detail="x" * 40_000)
    budgets.fit(operation)

    assert budgets.size_of(operation) <= budgets.RECORD_BYTES_MAX
    assert operation.steps[0].diagnostics[0].truncated
    assert operation.steps[0].diagnostics[0].summary == "it failed"


@given(st.text(max_size=200), st.integers(0, 400))
def test_the_quick_look_at_a_size_never_errs_on_the_wrong_side(text: str, count: int) -> None:
    operation = operation_pb2.Operation(name=text)
    operation.diagnostics.extend(diagnostic_pb2.Diagnostic() for _ in range(count))
    operation.cancel_requested = True

    if operation.ByteSize() <= budgets.SMALL_WIRE_BYTES:
        assert budgets.size_of(operation) <= budgets.RECORD_BYTES_MAX
