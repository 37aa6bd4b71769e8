"""What a batch of outbox entries adds up to, for several readers, and how many entries one takes."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import Int64Value

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops import folding
from controlplane.loops.folding import ENTRIES_MAX, PLACES_MAX, Place
from controlplane.loops.parsed import Parsed
from controlplane.loops.pending import Pending
from enchain.chains.errors import MalformedError
from enchain.state.store import OPS_MAX, Batch, Event, EventKind, KeyValue
from enchain.v1 import operation_pb2
from tests.harness.outbox import START, Entry, entry


class BucketReader:
    """Counts by bucket, to have a second reader."""

    name = "buckets"
    kind = Int64Value

    def subjects(self, each: Entry) -> Collection[str]:
        return (str(each.bucket),) * 2 if each.bucket else ()  # named twice, and counted once

    def empty(self, subject: str) -> Int64Value:
        del subject
        return Int64Value()

    def fold(self, statistics: Int64Value, entries: Sequence[Entry]) -> Int64Value:
        return Int64Value(value=statistics.value + len(entries))


READERS = (RequestRateReader(), BucketReader())


def test_every_reader_gets_the_entries_that_concern_it() -> None:
    mine, other = entry(workload="site"), entry(workload="shop")
    mine.bucket = 7

    entries = [mine, other, mine]
    wanted = [folding.places(READERS, each) for each in entries]
    folded = folding.fold(READERS, {Place("buckets", "7"): Int64Value(value=40)}, entries, wanted)

    assert {
        place: getattr(made, "requests", getattr(made, "value", 0)) for place, made in folded.items()
    } == {
        Place("buckets", "7"): 42,
        Place("request-rate", "shop"): 1,
        Place("request-rate", "site"): 2,
    }


def test_a_batch_is_no_larger_than_a_transaction_takes() -> None:
    one, many = [Place("a", "x")], [Place("a", str(number)) for number in range(PLACES_MAX - 1)]

    assert folding.fitting([]) == 0
    assert folding.fitting([one] * 3) == 3
    assert folding.fitting([one] * 200) == ENTRIES_MAX
    assert folding.fitting([many, one, one, [Place("b", "y")]]) == 3
    assert 1 + ENTRIES_MAX + PLACES_MAX <= OPS_MAX


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (operation_pb2.OutboxEntry(workload="workloads/site"), "NO_TIME"),
        (entry(61), "IMPOSSIBLE_TIME"),
        (entry(-100_000_000), "IMPOSSIBLE_TIME"),
    ],
)
def test_an_entry_of_an_impossible_time_is_refused(wrong: Entry, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        folding.check(wrong, START)

    assert caught.value.reason == reason


def test_a_clock_that_is_a_little_ahead_is_no_fault() -> None:
    folding.check(entry(50), START + timedelta(seconds=1))


def test_an_entry_without_a_workload_is_refused() -> None:
    with pytest.raises(MalformedError, match="workload"):
        folding.places(READERS, Entry(workload="nonsense"))


def _seen(*names: str, kind: EventKind = EventKind.PUT) -> Batch:
    return Batch(1, tuple(Event(kind, KeyValue(name, b"{}", 1, 1)) for name in names))


def test_what_waits_is_taken_in_the_order_in_which_it_came_and_only_once() -> None:
    pending = Pending()

    pending.note(_seen("b", "a"))
    pending.note(_seen("b"))

    assert [item.key for item in pending.take(1)] == ["b"]
    assert [item.key for item in pending.take(9)] == ["a"]
    assert len(pending) == 0


def test_what_somebody_else_took_waits_no_more() -> None:
    pending = Pending()
    pending.note(_seen("a", "b"))

    pending.note(_seen("a", kind=EventKind.DELETE))

    assert [item.key for item in pending.take(9)] == ["b"]


def test_what_is_too_much_is_forgotten_and_a_sweep_asked_for() -> None:
    pending = Pending(size_max=2)

    pending.note(_seen("a", "b", "c", "d", "a"))

    assert (len(pending), pending.sweep, pending.overflows) == (2, True, 1)
    pending.clear()
    assert (len(pending), pending.sweep) == (0, False)


def test_a_value_is_parsed_once_and_known_by_its_bytes_alone() -> None:
    parsed = Parsed()

    parsed.note("key", b'{"tenant":"a"}', Entry(tenant="noted"))

    parsed.message(Entry, "key", b'{"tenant":"a"}').tenant = "changed by a reader"
    assert parsed.message(Entry, "key", b'{"tenant":"a"}').tenant == "noted"
    assert parsed.message(Entry, "key", b'{"tenant":"b"}').tenant == "b"
    assert parsed.message(operation_pb2.ActiveOperation, "key", b"{}") == operation_pb2.ActiveOperation()


def test_what_was_parsed_longest_ago_is_forgotten_where_it_becomes_too_much() -> None:
    parsed = Parsed(size_max=2)

    for key in ("a", "b", "a", "c"):
        parsed.note(key, b"{}", Entry(tenant=f"noted of {key}"))

    assert len(parsed) == 2
    assert parsed.message(Entry, "a", b"{}").tenant == "noted of a"
    assert parsed.message(Entry, "b", b"{}").tenant == ""
