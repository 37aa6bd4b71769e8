"""What an ended operation tells of its engines: what counts as success or failure, and what not at all."""

import pytest

from controlplane.profiles.measured import STEPS_MAX, Measured, measured
from controlplane.profiles.reader import ProfileReader
from controlplane.profiles.statistics import Statistics
from enchain.chains.errors import MalformedError
from enchain.v1 import operation_pb2
from tests.harness.outbox import Entry
from tests.harness.profiles import (
    CANCELLED,
    CLEAN,
    NOTHING,
    PARTIAL,
    SUCCEEDED,
    UNKNOWN,
    Step,
    ended,
    step,
)

Operation = operation_pb2.Operation


def told(*steps: Step, state: Operation.State.ValueType = Operation.STATE_FAILED) -> list[Measured]:
    return list(measured(ended(*steps, state=state), "site"))


@pytest.mark.parametrize(
    ("made", "succeeded", "code"),
    [
        (step(), True, ""),
        (step(None), True, ""),
        (step(outcome=CLEAN, code="NO_QUOTA"), False, "NO_QUOTA"),
        (step(outcome=PARTIAL), False, "FAILED_PARTIAL"),
        (step(None, outcome=PARTIAL, code="X"), False, "X"),
        (step(outcome=UNKNOWN, code="odd code"), False, "OTHER"),
        (step(outcome=CANCELLED, code="DEADLINE_EXCEEDED"), False, "DEADLINE_EXCEEDED"),
    ],
)
def test_what_an_engine_did_counts(made: Step, succeeded: bool, code: str) -> None:
    (call,) = told(made)

    assert (call.succeeded, call.code) == (succeeded, code)


@pytest.mark.parametrize(
    "made",
    [
        step(outcome=NOTHING),
        step(None, outcome=CLEAN),
        step(engine=""),
        step(engine="No/Engine"),
        step(version=""),
        step(name="../x"),
        step(steps=["serve", "a b"]),
    ],
)
def test_what_no_engine_did_and_what_cannot_be_named_does_not_count(made: Step) -> None:
    assert told(made) == []


def test_what_a_person_cancelled_says_nothing_of_the_engine() -> None:
    assert told(step(outcome=CANCELLED), state=Operation.STATE_CANCELLED) == []


def test_a_call_that_did_several_steps_is_measured_apart() -> None:
    calls = told(step(steps=["configure", "serve"], engine="process"), step())

    assert [call.subject for call in calls] == [
        "site/configure+serve.process@1.15.0",
        "site/configure.terraform@1.15.0",
    ]


@pytest.mark.parametrize(
    "version", ["1.2+build.7", "2026/03 β", "v" * 500, "%2F", "a@b.c", "é" * 100, "~", ".", ".."]
)
def test_a_version_may_hold_any_character_and_makes_one_key(version: str) -> None:
    reader = ProfileReader()
    entry = ended(step(version=version))
    (subject,) = reader.subjects(entry)

    assert subject.count("/") == 1
    assert len(subject) < 200
    assert reader.fold(reader.empty(subject), [entry]).provision.count == 1


def test_versions_that_are_cut_are_told_apart() -> None:
    reader = ProfileReader()
    subjects = {*reader.subjects(ended(step(version="v" * 500), step(version="v" * 499)))}

    assert len(subjects) == 2


def test_an_entry_of_many_steps_adds_to_no_more_statistics_than_a_transaction_takes() -> None:
    assert len(told(*(step(name=f"step_{number}") for number in range(60)))) == STEPS_MAX


def test_another_verb_is_measured_with_the_same_engine_and_apart() -> None:
    reader = ProfileReader()
    entries = [ended(step(2)), ended(step(3), verb=operation_pb2.VERB_DEPROVISION)]
    (subject,) = {subject for entry in entries for subject in reader.subjects(entry)}

    statistics = reader.fold(reader.empty(subject), entries)

    assert (statistics.provision.count, statistics.update.count, statistics.deprovision.count) == (1, 0, 1)
    assert list(measured(Entry(steps=[step()]), "site")) == []


@pytest.mark.parametrize("subject", ["site", "site/configure", "site/configure.terraform@", "x/y/z.a@1"])
def test_what_names_no_profile_has_no_statistics(subject: str) -> None:
    with pytest.raises(MalformedError) as caught:
        ProfileReader().empty(subject)

    assert caught.value.reason == "NO_PROFILE"


def test_an_entry_without_a_workload_is_refused() -> None:
    with pytest.raises(MalformedError) as caught:
        ProfileReader().subjects(Entry(workload="nonsense", verb=operation_pb2.VERB_PROVISION))

    assert caught.value.reason == "NO_WORKLOAD"


def test_what_was_given_stays_as_it_is() -> None:
    reader = ProfileReader()
    before = reader.fold(reader.empty("site/configure.terraform@1.15.0"), [ended(step())])
    kept = Statistics()
    kept.CopyFrom(before)

    reader.fold(before, [ended(step(outcome=CLEAN), hour=500)])

    assert before == kept
    assert SUCCEEDED
