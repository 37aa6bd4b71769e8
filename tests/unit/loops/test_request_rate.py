"""Request rates: counted by minute and verb, in any order, over one day."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controlplane.demand.request_rate import WINDOW_MINUTES, RequestRateReader
from enchain.state.codec import VALUE_BYTES_MAX, encode
from enchain.v1 import operation_pb2
from tests.harness.outbox import START, Entry, Statistics, counted, entry

READER = RequestRateReader()
DAY = WINDOW_MINUTES

VERBS = st.sampled_from(
    [operation_pb2.VERB_PROVISION, operation_pb2.VERB_UPDATE, operation_pb2.VERB_DEPROVISION]
)
ENTRIES = st.lists(
    st.builds(lambda minute, verb: entry(minute, verb=verb), st.integers(0, 3 * DAY), VERBS), max_size=30
)


def folded(*batches: list[Entry]) -> Statistics:
    """Fold batches one after the other."""
    statistics = READER.empty("site")
    for batch in batches:
        statistics = READER.fold(statistics, batch)
    return statistics


def test_requests_are_counted_in_the_minute_of_their_admission() -> None:
    statistics = folded([entry(2), entry(0), entry(2, verb=operation_pb2.VERB_UPDATE), entry(2)])

    assert statistics.workload == "workloads/site"
    assert statistics.first_minute.ToDatetime(START.tzinfo) == START
    assert list(statistics.provisions) == [1, 0, 2]
    assert list(statistics.updates) == [0, 0, 1]
    assert list(statistics.deprovisions) == [0, 0, 0]
    assert statistics.requests == 4


def test_what_is_more_than_a_day_older_than_the_newest_leaves_the_lists_and_stays_in_the_sum() -> None:
    statistics = folded([entry(0), entry(5)], [entry(DAY)])

    assert len(statistics.provisions) == DAY
    assert (counted(statistics), statistics.requests) == (2, 3)
    assert (statistics.provisions[4], statistics.provisions[-1]) == (1, 1)


def test_an_entry_that_comes_more_than_a_day_late_is_in_the_sum_only() -> None:
    statistics = folded([entry(2 * DAY)], [entry(0)])

    assert (counted(statistics), statistics.requests) == (1, 2)


def test_what_was_given_stays_as_it_is() -> None:
    before = folded([entry(0)])
    kept = before.SerializeToString()

    READER.fold(before, [entry(1)])

    assert before.SerializeToString() == kept


@given(entries=ENTRIES, order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 30)))
def test_any_order_and_any_split_give_the_same(entries: list[Entry], order: object, cuts: list[int]) -> None:
    shuffled = list(entries)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random, which hypothesis hides
    ends = sorted({0, *cuts, len(shuffled)})
    batches = [shuffled[start:end] for start, end in pairwise(ends)]

    assert folded(*batches) == folded(entries)


@given(entries=ENTRIES)
def test_the_lists_hold_exactly_those_of_the_last_day(entries: list[Entry]) -> None:
    minutes = [each.create_time.seconds // 60 for each in entries]
    within = [minute for minute in minutes if minute > max(minutes) - DAY]

    statistics = folded(entries)

    assert (counted(statistics), statistics.requests) == (len(within), len(entries))


def test_statistics_that_somebody_edited_are_folded_all_the_same() -> None:
    edited = folded([entry(0)])
    edited.updates.extend([7] * 3 * DAY)

    statistics = READER.fold(edited, [entry(0)])

    assert len(statistics.provisions) == len(statistics.updates) == DAY
    assert statistics.requests == 2


def test_the_fullest_statistics_can_be_stored() -> None:
    full = folded([entry(0), entry(DAY - 1)])
    for counts in (full.provisions, full.updates, full.deprovisions):
        counts[:] = [2**31 - 1] * DAY
    full.requests = 2**63 - 1 - DAY

    assert len(encode(READER.fold(full, [entry(5)]))) < VALUE_BYTES_MAX
