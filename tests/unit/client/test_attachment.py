"""What a client does when its stream breaks: pure decisions."""

import pytest

from enchain.chains.errors import EnchainError, InvalidArgumentError, UnavailableError, UnsettledError
from enchain.client.attachment import BACKOFF_SECONDS_MAX, Attachment, goes_on
from enchain.v1 import operation_pb2

State = operation_pb2.Operation


def event(sequence: int, **kind: object) -> operation_pb2.OperationEvent:
    return operation_pb2.OperationEvent(operation="tenants/t/operations/o", sequence=sequence, **kind)  # type: ignore[arg-type]  # a oneof by name


def test_the_operation_and_the_last_durable_event_are_remembered() -> None:
    attachment = Attachment().seen(event(3)).seen(event(0))

    assert (attachment.operation, attachment.sequence) == ("tenants/t/operations/o", 3)


def test_a_durable_event_is_known_once_seen_and_progress_never_is() -> None:
    attachment = Attachment().seen(event(2))

    assert attachment.knows(event(1))
    assert attachment.knows(event(2))
    assert not attachment.knows(event(3))
    assert not attachment.knows(event(0))


HELD = event(1, state_changed=operation_pb2.OperationStateChanged(state=State.STATE_HELD))


@pytest.mark.parametrize(
    ("last", "ended", "held"),
    [
        (event(1, ended=operation_pb2.OperationEnded()), True, False),
        (HELD, False, True),
        (
            event(1, state_changed=operation_pb2.OperationStateChanged(state=State.STATE_RUNNING)),
            False,
            False,
        ),
        (event(1, step_ended=operation_pb2.StepEnded()), False, False),
    ],
)
def test_an_operation_is_over_when_it_ended_and_may_be_when_it_is_held(
    last: operation_pb2.OperationEvent, ended: bool, held: bool
) -> None:
    attachment = Attachment().seen(last)

    assert (attachment.ended, attachment.held) == (ended, held)


def test_a_held_operation_that_is_gone_on_with_is_not_held_and_progress_does_not_change_that() -> None:
    assert Attachment().seen(HELD).seen(event(0)).held
    assert not Attachment().seen(HELD).seen(event(2)).held


def test_waiting_grows_with_failures_is_bounded_and_is_forgotten_by_success() -> None:
    attachment = Attachment()
    waits = []
    for _ in range(8):
        waits.append(attachment.backoff_seconds(1.0))
        attachment = attachment.failed()

    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_SECONDS_MAX
    assert attachment.seen(event(1)).backoff_seconds(1.0) == 0.0


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (UnavailableError("gone"), True),
        (UnsettledError("no answer"), True),
        (InvalidArgumentError("wrong"), False),
        (EnchainError("else"), False),
    ],
)
def test_only_a_failed_peer_is_replaced_by_another(error: EnchainError, answer: bool) -> None:
    assert goes_on(error) is answer
