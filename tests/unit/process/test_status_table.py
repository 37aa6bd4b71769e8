"""The one table between errors and gRPC statuses: nothing is lost on the way there and back.

In scope: the mapping itself, with statuses as gRPC hands them to a client. Real calls are in
`tests/integration/process`.
"""

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from enchain.chains import errors
from enchain.chains.errors import (
    EnchainError,
    ExhaustedError,
    InvalidArgumentError,
    OurError,
    PreconditionError,
    UnavailableError,
    UnsettledError,
    Violation,
)
from enchain.process.statuses import DETAILS_BYTES_MAX, DETAILS_KEY, TABLE, code_of, from_rpc_error, to_status

BASES = {"CallerError", "PeerError", "EnchainError"}
KINDS = [
    kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, EnchainError) and name not in BASES
]


def received(status: status_pb2.Status, code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, status.message, None)


def bare(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details, None)


def there_and_back(error: EnchainError) -> EnchainError:
    return from_rpc_error(received(to_status(error), code_of(error)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_comes_back_as_itself_with_all_its_parts(kind: type[EnchainError]) -> None:
    sent = kind(
        "size is no number",
        reason="NO_NUMBER",
        remedy="Send a number.",
        metadata={"size": "big"},
        violations=[Violation("inputs.size", "big is no number", "NOT_A_NUMBER"), Violation("a", "b")],
        retry_after=1.25,
    )

    back = there_and_back(sent)

    assert type(back) is kind
    assert vars(back) == vars(sent)


def test_every_code_of_the_table_leads_back_to_its_first_row() -> None:
    first: dict[grpc.StatusCode, type[EnchainError]] = {}
    for kind, code in TABLE:
        first.setdefault(code, kind)

    assert {code: type(there_and_back(kind("x"))) for code, kind in first.items()} == first


def test_a_subclass_travels_as_its_nearest_row() -> None:
    class StaleEtagError(errors.ConflictError):
        default_reason = "STALE_ETAG"

    back = there_and_back(StaleEtagError("older than what stands"))

    assert type(back) is errors.ConflictError
    assert back.reason == "STALE_ETAG"


def test_precondition_and_quota_are_told_in_googles_words() -> None:
    precondition = to_status(
        PreconditionError("no instance", reason="NO_INSTANCE", metadata={"subject": "ansible"})
    )
    quota = to_status(ExhaustedError("queue is full", reason="QUEUE_FULL", retry_after=2))

    failure, exceeded = error_details_pb2.PreconditionFailure(), error_details_pb2.QuotaFailure()
    assert any(detail.Unpack(failure) for detail in precondition.details)
    assert any(detail.Unpack(exceeded) for detail in quota.details)
    assert (failure.violations[0].type, failure.violations[0].subject) == ("NO_INSTANCE", "ansible")
    assert exceeded.violations[0].description == "queue is full"


def test_an_error_with_too_much_to_say_is_cut_and_says_so() -> None:
    violations = [Violation(f"inputs.field{n}", "x" * 2000) for n in range(500)]
    sent = InvalidArgumentError("m" * 9000, metadata={"blob": "y" * 90_000}, violations=violations)

    status = to_status(sent)
    back = from_rpc_error(received(status, grpc.StatusCode.INVALID_ARGUMENT))

    assert status.ByteSize() <= DETAILS_BYTES_MAX
    assert back.violations[0].field == "inputs.field0"
    assert int(back.metadata["violationsOmitted"]) == 500 - len(back.violations)
    assert back.message.endswith("…")


def test_many_metadata_are_dropped_before_the_error_cannot_be_sent() -> None:
    sent = InvalidArgumentError("x", remedy="Do less.", metadata={f"key{n}": "v" * 500 for n in range(40)})

    status = to_status(sent)

    assert status.ByteSize() <= DETAILS_BYTES_MAX
    assert from_rpc_error(received(status, grpc.StatusCode.INVALID_ARGUMENT)).remedy == "Do less."


def test_text_that_is_no_unicode_can_still_be_sent() -> None:
    back = there_and_back(InvalidArgumentError("lone \ud800 surrogate", metadata={"x": "\udfff"}))

    assert back.message == "lone ? surrogate"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.CANCELLED, UnsettledError),
        (grpc.StatusCode.UNKNOWN, UnsettledError),
        (grpc.StatusCode.INTERNAL, UnsettledError),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidArgumentError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ExhaustedError),
    ],
)
def test_a_status_without_details_becomes_the_nearest_error(
    code: grpc.StatusCode, kind: type[EnchainError]
) -> None:
    back = from_rpc_error(bare(code, "connection refused"))

    assert type(back) is kind
    assert (back.reason, back.message) == (code.name, "connection refused")


def test_an_internal_error_is_ours_only_where_we_say_so() -> None:
    assert type(there_and_back(OurError("x"))) is OurError


def test_details_that_cannot_be_read_are_passed_over() -> None:
    trailers = grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers, "gone", None)

    back = from_rpc_error(error)

    assert (type(back), back.message, back.reason) == (errors.NotFoundError, "gone", "NOT_FOUND")
