"""Judging a new chain against the old one, and what is learned of chains for that."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.switching.evidence import KEPT_MAX, Outcomes, SwitchEvidenceReader
from controlplane.switching.watching import Running, judge
from enchain.state.codec import VALUE_BYTES_MAX, encode
from enchain.v1 import operation_pb2

OLD = "workloads/site/chains/default@aaa"
NEW = "workloads/site/chains/other@bbb"
SINCE = datetime(2026, 11, 24, 9, tzinfo=UTC)
READER = SwitchEvidenceReader()
Operation = operation_pb2.Operation


def entry(
    at: float,
    seconds: float = 1.0,
    *,
    state: operation_pb2.Operation.State.ValueType = Operation.STATE_SUCCEEDED,
    verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
    chain: str = OLD,
) -> operation_pb2.OutboxEntry:
    """A provision that was admitted so many seconds after `SINCE`."""
    made = operation_pb2.OutboxEntry(verb=verb, state=state, chain=chain, workload="workloads/site")
    admitted = SINCE + timedelta(seconds=at)
    made.create_time.FromDatetime(admitted)
    made.end_time.FromDatetime(admitted + timedelta(seconds=seconds))
    return made


def outcomes(
    count: int, *, start: float, seconds: float = 1.0, failing: int = 0, chain: str = OLD
) -> Outcomes:
    """So many provisions one after another; the first of them fail; durations spread by a tenth."""
    entries = [
        entry(
            start + number,
            seconds * (1 + number % 11 / 100),
            state=Operation.STATE_FAILED if number < failing else Operation.STATE_SUCCEEDED,
            chain=chain,
        )
        for number in range(count)
    ]
    return READER.fold(READER.empty(chain.removeprefix("workloads/").replace("/chains/", "/")), entries)


BEFORE = outcomes(50, start=-500)


@pytest.mark.parametrize(
    ("after", "running", "verdict"),
    [
        (outcomes(30, start=1, chain=NEW), [], "NO_WORSE"),
        (outcomes(30, start=1, seconds=0.3, chain=NEW), [], "NO_WORSE"),
        (outcomes(30, start=1, seconds=1.15, chain=NEW), [], "NO_WORSE"),
        (outcomes(10, start=1, seconds=3, chain=NEW), [], "SLOWER"),
        (outcomes(10, start=1, failing=8, chain=NEW), [], "FAILS_MORE"),
        (outcomes(3, start=1, chain=NEW), [], "TOO_FEW"),
        (outcomes(0, start=1, chain=NEW), [Running(60.0)] * 10, "SLOWER"),
        (outcomes(0, start=1, chain=NEW), [Running(0.5, held=True)] * 10, "FAILS_MORE"),
        (outcomes(30, start=-100, seconds=9, failing=30, chain=NEW), [], "TOO_FEW"),
    ],
    ids=["equal", "faster", "hardly slower", "slower", "failing", "few", "hanging", "held", "of another day"],
)
def test_the_verdict_says_how_the_new_chain_does(
    after: Outcomes, running: list[Running], verdict: str
) -> None:
    evidence = judge([BEFORE], [after], running, since=SINCE, now=SINCE)

    assert evidence.verdict == verdict
    assert evidence.description


def test_the_evidence_says_what_was_counted() -> None:
    slow = outcomes(10, start=1, seconds=3, chain=NEW)

    evidence = judge([BEFORE], [slow], [], since=SINCE, now=SINCE)

    assert (evidence.before.chain, evidence.after.chain) == (OLD, NEW)
    assert (evidence.before.operations, evidence.after.operations) == (50, 10)
    assert evidence.after.p95_seconds > evidence.after.mean_seconds > 3
    assert "3.1" in evidence.description


def test_only_provisions_that_were_not_cancelled_count() -> None:
    assert READER.subjects(entry(0)) == ("site/default@aaa",)
    assert READER.subjects(entry(0, state=Operation.STATE_CANCELLED)) == ()
    assert READER.subjects(entry(0, verb=operation_pb2.VERB_UPDATE)) == ()
    assert READER.subjects(entry(0, chain="")) == ()


def test_the_newest_are_kept_in_whatever_order_they_come() -> None:
    entries = [entry(number, number + 1) for number in range(4)]
    found = set()
    for order in permutations(entries):
        known = READER.fold(READER.empty("site/default@aaa"), order[:2])
        found.add(READER.fold(known, order[2:]).SerializeToString(deterministic=True))

    assert len(found) == 1


@given(st.lists(st.integers(0, 3 * KEPT_MAX), min_size=KEPT_MAX, max_size=2 * KEPT_MAX), st.randoms())
def test_what_is_kept_of_many_is_the_newest_however_they_are_split(times: list[int], rng: object) -> None:
    whole = READER.fold(READER.empty("site/default@aaa"), [entry(at) for at in times])
    shuffled = list(times)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's own Random
    parted = READER.empty("site/default@aaa")
    for start in range(0, len(shuffled), 50):
        parted = READER.fold(parted, [entry(at) for at in shuffled[start : start + 50]])

    assert parted == whole
    assert list(whole.admitted) == [(SINCE.timestamp() + at) for at in sorted(times)[-KEPT_MAX:]]


def test_a_full_value_stays_far_below_what_may_be_stored() -> None:
    full = READER.fold(
        READER.empty("site/default@aaa"), [entry(at + 0.123, 12345.678) for at in range(KEPT_MAX)]
    )

    assert len(encode(full)) < VALUE_BYTES_MAX / 3
