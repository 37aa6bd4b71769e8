"""Errors, for people and for programs, and the code that each ends with."""

import pytest

from enchain.chains.errors import (
    AlreadyExistsError,
    ConflictError,
    DeadlineError,
    EnchainError,
    ExhaustedError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
    OurError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
    UnsettledError,
    Violation,
)
from enchain.cli import exits
from enchain.cli.running import as_dict, exit_of, in_words


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (InvalidArgumentError, exits.INVALID),
        (DeadlineError, exits.INVALID),
        (NotFoundError, exits.NOT_FOUND),
        (AlreadyExistsError, exits.CONFLICT),
        (ConflictError, exits.CONFLICT),
        (PreconditionError, exits.CONFLICT),
        (ExhaustedError, exits.UNAVAILABLE),
        (UnavailableError, exits.UNAVAILABLE),
        (UnsettledError, exits.UNAVAILABLE),
        (ForbiddenError, exits.FORBIDDEN),
        (UnauthenticatedError, exits.FORBIDDEN),
        (OurError, exits.BUG),
    ],
)
def test_every_kind_of_error_has_its_code(kind: type[EnchainError], code: int) -> None:
    assert exit_of(kind("told")) == code
    assert code in exits.EXITS


FULL = InvalidArgumentError(
    "w.yaml:3: 2 faults",
    reason="BAD",
    remedy="Mend it.",
    violations=[Violation("w.yaml:4: a", "is wrong"), Violation("w.yaml:5: b", "is missing")],
    retry_after=1.5,
)


def test_people_are_told_fault_places_remedy_and_code() -> None:
    assert in_words(FULL).splitlines() == [
        "error: w.yaml:3: 2 faults",
        "  w.yaml:4: a: is wrong",
        "  w.yaml:5: b: is missing",
        "  → Mend it.",
        "  → try again in 1.5 s",
        "  (BAD)",
    ]


def test_a_fault_that_the_message_says_already_is_not_said_twice() -> None:
    error = InvalidArgumentError("a: is wrong", violations=[Violation("a", "is wrong")])

    assert in_words(error).splitlines() == ["error: a: is wrong", "  (INVALID_ARGUMENT)"]


def test_programs_are_told_the_same_by_name() -> None:
    told = as_dict(FULL)

    assert (told["reason"], told["remedy"], told["retry_after"]) == ("BAD", "Mend it.", 1.5)
    assert told["violations"] == [
        {"field": "w.yaml:4: a", "description": "is wrong", "reason": "INVALID_FIELD"},
        {"field": "w.yaml:5: b", "description": "is missing", "reason": "INVALID_FIELD"},
    ]
