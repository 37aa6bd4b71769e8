"""The rules of the ledger, as pure decisions: what is begun, joined, refused, and left as a tombstone."""

from datetime import UTC, datetime, timedelta

import pytest

from enchain.chains.errors import AlreadyExistsError, ConflictError, DeadlineError, EnchainError
from enchain.sdk import ledger as rules
from enchain.sdk.calls import Key, Token
from enchain.sdk.ledger import Ask, Decision, Ledger, Method, Standing, Verdict, decide
from enchain.v1 import operation_pb2

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FIRST = Key(operation_pb2.VERB_PROVISION, 1)
SECOND = Key(operation_pb2.VERB_UPDATE, 2)
DESTROY = Key(operation_pb2.VERB_DEPROVISION, 2)
SUCCESS = {"outcome": "OUTCOME_SUCCEEDED"}


def asked(
    method: Method,
    key: Key = FIRST,
    revision: int = 1,
    *,
    epoch: int = 1,
    fingerprint: str = "a",
    deadline: datetime | None = LATER,
    busy: bool = False,
) -> Ask:
    return Ask(
        method,
        key,
        Token(epoch, revision),
        NOW,
        deadline,
        fingerprint,
        "i",
        busy,
        {"outcome": "OUTCOME_CANCELLED"},
    )


def after(*asks: Ask) -> Ledger:
    ledger = Ledger("uid/step")
    for ask in asks:
        decision = decide(ledger, ask)
        assert decision.ledger is not None, decision.error
        ledger = decision.ledger
    return ledger


def refusal(decision: Decision) -> EnchainError:
    assert decision.verdict is Verdict.REFUSE
    assert decision.ledger is None
    assert decision.error is not None
    return decision.error


def test_an_unseen_key_is_begun_and_recorded_with_its_token() -> None:
    decision = decide(Ledger("uid/step"), asked(Method.APPLY, revision=7))

    assert decision.verdict is Verdict.BEGIN
    assert decision.ledger is not None
    assert decision.ledger.token == Token(1, 7)
    assert decision.ledger.entries["provision-1"].standing is Standing.STARTED


def test_a_known_key_is_joined_and_not_begun_again() -> None:
    ledger = after(asked(Method.APPLY))

    decision = decide(ledger, asked(Method.APPLY, revision=2))

    assert decision.verdict is Verdict.JOIN
    assert decision.ledger is not None
    assert decision.ledger.entries["provision-1"].token == Token(1, 2)


def test_a_finished_key_is_joined_even_after_its_deadline() -> None:
    ledger = rules.finished(after(asked(Method.APPLY)), FIRST, SUCCESS)

    decision = decide(ledger, asked(Method.APPLY, deadline=NOW))

    assert decision.verdict is Verdict.JOIN
    assert decision.entry is not None
    assert decision.entry.result == SUCCESS


def test_a_known_key_with_other_parameters_is_refused() -> None:
    error = refusal(decide(after(asked(Method.APPLY)), asked(Method.APPLY, fingerprint="b")))

    assert isinstance(error, AlreadyExistsError)
    assert error.reason == "PARAMETERS_DIFFER"


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("before", [Method.GET, Method.CANCEL, Method.APPLY])
def test_a_lower_token_is_refused_whatever_was_asked_before(method: Method, before: Method) -> None:
    ledger = after(asked(before, revision=9))

    error = refusal(decide(ledger, asked(method, revision=8)))

    assert isinstance(error, ConflictError)
    assert error.reason == "STALE_TOKEN"


def test_a_token_of_an_earlier_epoch_is_lower_however_high_its_revision() -> None:
    ledger = after(asked(Method.GET, epoch=2, revision=1))

    assert refusal(decide(ledger, asked(Method.APPLY, epoch=1, revision=99))).reason == "STALE_TOKEN"


def test_a_destroy_of_a_work_never_seen_closes_it_to_late_applies_of_its_token() -> None:
    ledger = after(asked(Method.DESTROY, DESTROY))

    assert refusal(decide(ledger, asked(Method.APPLY, FIRST))).reason == "STALE_GENERATION"


def test_an_apply_that_succeeded_is_not_answered_once_it_was_destroyed() -> None:
    ledger = rules.finished(after(asked(Method.APPLY)), FIRST, SUCCESS)
    ledger = rules.finished(decide(ledger, asked(Method.DESTROY, DESTROY)).ledger or ledger, DESTROY, SUCCESS)

    assert refusal(decide(ledger, asked(Method.APPLY, FIRST))).reason == "STALE_GENERATION"


def test_nothing_begins_after_its_deadline() -> None:
    error = refusal(decide(Ledger("uid/step"), asked(Method.APPLY, deadline=NOW)))

    assert isinstance(error, DeadlineError)


def test_a_key_cancelled_before_it_was_begun_ends_as_cancelled() -> None:
    ledger = after(asked(Method.CANCEL))

    decision = decide(ledger, asked(Method.APPLY))

    assert decision.verdict is Verdict.JOIN
    assert decision.entry is not None
    assert decision.entry.result == {"outcome": "OUTCOME_CANCELLED"}


def test_a_running_key_that_is_cancelled_begins_no_further_run() -> None:
    ledger = after(asked(Method.APPLY), asked(Method.CANCEL))

    assert ledger.entries["provision-1"].cancelled


def test_an_apply_waits_its_turn_while_an_earlier_one_lives() -> None:
    ledger = after(asked(Method.APPLY))

    error = refusal(decide(ledger, asked(Method.APPLY, SECOND, busy=True)))

    assert error.reason == "WORK_RUNNING"
    assert error.retry_after is not None


def test_a_destroy_supersedes_an_apply_that_runs() -> None:
    decision = decide(after(asked(Method.APPLY)), asked(Method.DESTROY, DESTROY, busy=True))

    assert decision.verdict is Verdict.BEGIN
    assert decision.superseded == ("provision-1",)
    assert decision.ledger is not None
    assert rules.fault_of_run(decision.ledger, FIRST, NOW) is not None
    assert rules.fault_of_run(decision.ledger, DESTROY, NOW) is None


def test_the_first_result_recorded_is_the_result() -> None:
    ledger = rules.finished(after(asked(Method.APPLY)), FIRST, SUCCESS)

    again = rules.finished(ledger, FIRST, {"outcome": "OUTCOME_FAILED_PARTIAL"})

    assert again is ledger


def test_no_run_begins_once_a_newer_caller_has_turned_to_another_key() -> None:
    ledger = after(asked(Method.APPLY), asked(Method.GET, DESTROY, revision=2))

    fault = rules.fault_of_run(ledger, FIRST, NOW)

    assert fault is not None
    assert fault.reason == "STALE_TOKEN"


def test_runs_go_on_beginning_when_a_newer_caller_asks_for_the_same_key() -> None:
    ledger = after(asked(Method.APPLY), asked(Method.GET, FIRST, revision=2))

    assert rules.fault_of_run(ledger, FIRST, NOW) is None


def test_old_keys_are_forgotten_and_their_generations_stay_closed() -> None:
    ledger = Ledger("uid/step")
    for generation in range(1, rules.ENTRIES_MAX + 3):
        key = Key(operation_pb2.VERB_UPDATE, generation)
        decision = decide(ledger, asked(Method.APPLY, key))
        assert decision.ledger is not None
        ledger = rules.finished(decision.ledger, key, SUCCESS)

    assert len(ledger.entries) == rules.ENTRIES_MAX
    late = asked(Method.APPLY, Key(operation_pb2.VERB_PROVISION, 1))
    assert refusal(decide(ledger, late)).reason == "STALE_GENERATION"


def test_the_newest_handle_is_that_of_the_newest_key_unless_it_is_destroyed() -> None:
    ledger = rules.with_handle(after(asked(Method.APPLY)), FIRST, {"schema": "x/1"})

    assert rules.newest_handle(ledger, SECOND) == {"schema": "x/1"}

    ledger = rules.finished(ledger, FIRST, SUCCESS)
    ledger = rules.finished(decide(ledger, asked(Method.DESTROY, DESTROY)).ledger or ledger, DESTROY, SUCCESS)
    assert rules.newest_handle(ledger, Key(operation_pb2.VERB_PROVISION, 3)) is None


def test_the_handle_of_what_failed_clean_leads_nowhere() -> None:
    clean = {"outcome": "OUTCOME_FAILED_CLEAN"}
    ledger = rules.with_handle(after(asked(Method.APPLY)), FIRST, {"schema": "x/1"})
    ledger = rules.finished(ledger, FIRST, clean)

    assert rules.newest_handle(ledger, DESTROY) is None
    assert rules.is_gone(ledger, DESTROY)


def test_what_an_update_that_failed_clean_left_alone_still_stands() -> None:
    ledger = rules.with_handle(after(asked(Method.APPLY)), FIRST, {"schema": "x/1"})
    ledger = rules.finished(ledger, FIRST, SUCCESS)
    ledger = decide(ledger, asked(Method.APPLY, SECOND)).ledger or ledger
    ledger = rules.finished(ledger, SECOND, {"outcome": "OUTCOME_FAILED_CLEAN"})

    assert rules.newest_handle(ledger, Key(operation_pb2.VERB_DEPROVISION, 3)) == {"schema": "x/1"}
    assert not rules.is_gone(ledger)
