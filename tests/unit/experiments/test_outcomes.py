"""What came of the arms of experiments: who counts, what counts, and in whatever order."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.experiments.drafts import Draft, draft_of
from controlplane.experiments.merging import in_one_currency
from controlplane.experiments.outcomes import OUTPUTS_MAX, OutcomeReader, Statistics
from controlplane.experiments.sums import clusters_of, sums_of
from enchain.state.codec import VALUE_BYTES_MAX, encode
from enchain.v1 import operation_pb2
from tests.harness.outbox import Entry, entry
from tests.harness.outcomes import CANCELLED, FAILED, NAME, SUCCEEDED, arm_of, assigned, draft

READER = OutcomeReader()


def folded(entries: Sequence[Entry], reader: OutcomeReader = READER) -> Statistics:
    """Fold entries of one subject."""
    (subject,) = {each for entry in entries for each in reader.subjects(entry)}
    return reader.fold(reader.empty(subject), entries)


def test_a_provision_adds_to_the_arm_that_is_written_in_it() -> None:
    made = assigned(7, arm="quick", phase=3)

    assert READER.subjects(made) == ("site/faster.3.quick",)
    empty = READER.empty("site/faster.3.quick")
    assert (empty.experiment, empty.phase, empty.arm) == (NAME, 3, "quick")


def forced(made: Entry) -> None:
    made.experiment_forced = True


def updating(made: Entry) -> None:
    made.verb = operation_pb2.VERB_UPDATE


def outside(made: Entry) -> None:
    made.experiment = ""


def another_workload(made: Entry) -> None:
    made.workload = "workloads/shop"


def no_phase(made: Entry) -> None:
    made.experiment_phase = 0


def no_bucket(made: Entry) -> None:
    made.bucket = 10_000


def two_dots(made: Entry) -> None:
    made.arm = "a.b"


@pytest.mark.parametrize(
    "change", [forced, updating, outside, another_workload, no_phase, no_bucket, two_dots]
)
def test_what_was_not_assigned_counts_in_no_arm(change: Callable[[Entry], None]) -> None:
    made = assigned()
    change(made)

    assert list(READER.subjects(made)) == []


def test_all_that_ends_counts_as_enrolled_and_what_is_cancelled_in_no_metric() -> None:
    early = assigned(3, state=FAILED, code="NO_PLACE")
    del early.steps[:]  # it failed before its first step
    undone = assigned(4, state=FAILED, code="NO_QUOTA", cost=2.0)
    undone.compensated = True

    made = folded([assigned(1, cost=1.0), assigned(2, state=CANCELLED, cost=9.0), early, undone])

    assert (made.operations, made.cancelled) == (4, 1)
    assert (made.metrics["success"].count, made.metrics["success"].sum) == (3, 1)
    assert (made.metrics["compensation"].count, made.metrics["compensation"].sum) == (3, 1)
    assert (made.metrics["time"].count, made.metrics["time"].sum) == (1, 10)
    assert (made.metrics["cost.EUR"].count, made.metrics["cost.EUR"].sum) == (2, 3)
    assert made.failures == {"NO_QUOTA": 1, "OTHER": 1}
    assert made.times.weight == 1
    assert [n for n in range(10_000) if made.buckets_seen[n // 8] >> n % 8 & 1] == [1, 2, 3, 4]


def test_clusters_hold_what_the_sums_hold() -> None:
    values = [(0.1 * number, number % 256) for number in range(2000)]

    made = sums_of(values)
    counts, sums = clusters_of(made)

    assert sum(counts) == made.count == 2000
    assert sum(sums) == pytest.approx(made.sum, rel=1e-12)
    assert sums[3] == pytest.approx(sum(0.1 * n for n in range(3, 2000, 256)), abs=1e-5)
    assert made.sum_squares == pytest.approx(sum(v * v for v, _ in values), rel=1e-6)


VALUES = st.floats(-2e9, 2e9)
OUTPUTS = st.dictionaries(st.sampled_from([f"n{n}" for n in range(12)]), VALUES, max_size=5)
STATES = st.sampled_from([SUCCEEDED, FAILED, CANCELLED])
ENTRIES = st.lists(
    st.builds(
        assigned,
        st.integers(0, 20_000),
        state=STATES,
        seconds=st.floats(0, 1e6),
        cost=st.floats(0, 1e8),
        currency=st.sampled_from(["EUR", "USD", "CHF", "GBP"]),
        code=st.sampled_from([f"C{n}" for n in range(40)]),
        measures=OUTPUTS,
    ),
    max_size=60,
)


@given(ENTRIES, st.randoms(use_true_random=False), st.lists(st.integers(0, 60), max_size=4))
def test_order_and_batches_change_nothing(entries: list[Entry], random: Random, cuts: list[int]) -> None:
    empty = READER.empty("site/faster.1.control")
    at_once = READER.fold(empty, entries)

    shuffled = random.sample(entries, len(entries))
    ends = [0, *sorted(min(cut, len(entries)) for cut in cuts), len(entries)]
    in_parts = empty
    for start, end in pairwise(ends):
        in_parts = READER.fold(in_parts, shuffled[start:end])

    assert encode(in_parts) == encode(READER.fold(READER.fold(empty, []), entries)) == encode(at_once)
    assert empty == READER.empty("site/faster.1.control"), "what was given stays as it is"


def test_an_arm_as_full_as_can_be_fits_a_value() -> None:
    random = Random(6)
    made = READER.empty(f"{'w' * 63}/{'e' * 63}.1000.{'a' * 63}")
    entries = [
        assigned(
            number,
            seconds=random.lognormvariate(3, 2),
            cost=random.uniform(0, 1e6),
            currency=["EUR", "USD", "CHF", "GBP", "DKK", "SEK", "NOK", "CZK", "PLN", "HUF"][number % 10],
            state=FAILED
            if number % 3 == 0
            else CANCELLED
            if number % 41 == 0
            else operation_pb2.Operation.STATE_SUCCEEDED,
            code=f"{'C' * 60}{number % 99:03}",
            measures={f"{'o' * 61}{n:02}": -random.uniform(1e8, 1e9) for n in range(10)},
        )
        for number in range(10_000)
    ]
    made = READER.fold(made, entries)
    for metric in made.metrics.values():  # as if a thousand times as many had ended
        metric.exact_sum, metric.exact_squares = metric.exact_sum + "000", metric.exact_squares + "000"
        metric.cluster_counts = b"\xff" * 1024

    assert len([name for name in made.metrics if name.startswith("outputs.")]) == OUTPUTS_MAX
    assert len(encode(made)) <= VALUE_BYTES_MAX


def test_costs_are_compared_in_the_currency_that_prevails() -> None:
    euros = folded([assigned(n, cost=1.0) for n in range(3)])
    mixed = folded([assigned(1, cost=5.0), assigned(2, cost=7.0, currency="USD")])

    (arms, before), warnings = in_one_currency([euros, mixed], [euros])

    assert [arm.metrics["cost"].sum for arm in arms] == [3, 5]
    assert [name for name in arms[1].metrics if name.startswith("cost")] == ["cost"]
    assert before[0].metrics["cost"].count == 3
    assert warnings == ["1 operations cost USD: they are left out of the cost, which is in EUR"]


@pytest.mark.parametrize(
    ("unit", "key"), [("resource", "customer-5"), ("tenant", "default"), ("requester", "person-5")]
)
def test_while_it_is_a_draft_provisions_count_for_the_arm_they_would_get(unit: str, key: str) -> None:
    known = draft_of("faster", draft(unit=unit))
    assert known is not None
    reader = OutcomeReader(lambda workload: (known,) if workload == "site" else ())
    made = assigned(5)
    made.experiment, made.experiment_phase, made.arm = "", 0, "default"

    assert list(reader.subjects(made)) == [f"site/faster.0.{arm_of('first', key)}"]
    told = folded([made], reader)
    assert (told.operations, told.phase, told.seed) == (1, 0, "first")
    assert list(reader.subjects(entry(workload="shop"))) == []


def _known(draft: Draft, _: str) -> Sequence[Draft]:
    return (draft,)


def test_a_pre_period_under_another_seed_begins_anew() -> None:
    drafts = [draft_of("faster", draft(unit="tenant", seed=seed)) for seed in ("first", "another")]
    made = entry()
    first, another = (OutcomeReader(partial(_known, known)) for known in drafts if known)
    old = first.fold(first.empty(f"site/faster.0.{arm_of('first', 'default')}"), [made, made])

    assert old.operations == 2
    assert another.fold(old, [made]).operations == 1
    assert READER.fold(old, [made]) == old, "the draft was started meanwhile"
