"""Statistics of profiles: the same to the last bit whatever order and split, and not too large."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.profiles.reader import ProfileReader
from controlplane.profiles.statistics import CODES_MAX, HOURS_MAX, Statistics
from controlplane.profiles.view import profile_of
from enchain.state.codec import VALUE_BYTES_MAX, decode, encode
from enchain.v1 import operation_pb2
from tests.harness.outbox import Entry
from tests.harness.profiles import CANCELLED, CLEAN, PARTIAL, SUCCEEDED, UNKNOWN, ended, step, used

READER = ProfileReader()
SUBJECT = "site/configure.terraform@1.15.0"
WEEK_HOURS = 7 * 24
VERBS = st.sampled_from(
    [operation_pb2.VERB_PROVISION, operation_pb2.VERB_UPDATE, operation_pb2.VERB_DEPROVISION]
)
STEPS = st.builds(
    lambda made, cpu, memory, cost, currency, reported: (
        used(made, cpu=cpu, memory=memory, cost=cost, currency=currency) if reported else made
    ),
    st.builds(
        step,
        st.none() | st.floats(0, 4000),
        outcome=st.sampled_from([SUCCEEDED, SUCCEEDED, SUCCEEDED, CLEAN, PARTIAL, UNKNOWN, CANCELLED]),
        code=st.sampled_from(["", "NO_QUOTA", "bad code", *(f"CODE_{n:02}" for n in range(CODES_MAX + 6))]),
        in_flight=st.integers(0, 2000),
        attempts=st.integers(0, 10),
    ),
    st.floats(0, 5000),
    st.integers(0, 2**36),
    st.floats(0, 1000),
    st.sampled_from(["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "nonsense"]),
    st.booleans(),
)
ENTRIES = st.lists(
    st.builds(
        lambda one, hour, verb: ended(one, hour=hour, verb=verb),
        STEPS,
        st.integers(0, 10 * WEEK_HOURS),
        VERBS,
    ),
    max_size=40,
)


def folded(*batches: list[Entry]) -> Statistics:
    """Fold batches one after the other, each time as it is read from the store."""
    statistics = READER.empty(SUBJECT)
    for batch in batches:
        concerned = [entry for entry in batch if READER.subjects(entry)]
        statistics = decode(Statistics, encode(READER.fold(statistics, concerned)))
    return statistics


@settings(max_examples=150)
@given(
    entries=ENTRIES, order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 40), max_size=5)
)
def test_any_order_and_any_split_give_the_same_to_the_last_bit(
    entries: list[Entry], order: Random, cuts: list[int]
) -> None:
    shuffled = list(entries)
    order.shuffle(shuffled)
    ends = sorted({0, *cuts, len(shuffled)})
    batches = [shuffled[start:end] for start, end in pairwise(ends)]

    assert folded(*batches) == folded(entries)


@given(entries=ENTRIES)
def test_a_profile_says_nothing_impossible(entries: list[Entry]) -> None:
    profile = profile_of(folded(entries))

    for verb in (profile.provision, profile.update, profile.deprovision):
        assert 0 <= verb.success <= 1
        assert abs(verb.success + sum(verb.failures.values()) - (1 if verb.weight else 0)) < 1e-9
        length = verb.duration
        quantiles = [each.ToTimedelta() for each in (length.p50, length.p90, length.p95, length.p99)]
        assert quantiles == sorted(quantiles)
        assert [each.in_flight for each in verb.concurrency] == sorted(
            {each.in_flight for each in verb.concurrency}
        )
        assert len(verb.failures) <= CODES_MAX + 1


def test_the_fullest_statistics_are_far_below_what_can_be_stored() -> None:
    random = Random(5)
    statistics = READER.empty(SUBJECT)
    for hour in range(0, 16 * WEEK_HOURS, 7):
        entries = []
        for number in range(12):
            seconds = 0.001 * 1.02 ** random.uniform(0, 1000)
            made = step(
                seconds,
                outcome=random.choice([SUCCEEDED, SUCCEEDED, CLEAN]),
                code=f"{random.randrange(90):02}".rjust(64, "C"),
                in_flight=random.randrange(1, 2000),
            )
            currency = random.choice(["AAA", "BBB", "CCC", "DDD", "EEE"])
            used(
                made,
                cpu=seconds,
                memory=random.randrange(2**36),
                cost=random.uniform(0, 9),
                currency=currency,
            )
            verb = list(operation_pb2.Verb.values())[1 + number % 3]
            entries.append(ended(made, hour=hour, verb=verb))
        statistics = READER.fold(statistics, entries)

    assert len(statistics.provision.hours) == HOURS_MAX
    assert len(encode(statistics)) < 0.75 * VALUE_BYTES_MAX
