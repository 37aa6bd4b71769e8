"""Assignment for any seed, key, weights and coverage: the definition is kept, and nobody is in two arms."""

from hypothesis import example, given
from hypothesis import strategies as st

from enchain.chains import assignment, cohort
from enchain.chains.assignment import Assigner, Reason
from enchain.chains.enrolment import enrolment_of
from enchain.chains.units import Attributes
from tests.harness.stored_experiments import experiment

texts = st.text(max_size=40)


@st.composite
def weights(draw: st.DrawFn) -> dict[str, float]:
    """Hundredths of a percent for 2 to 8 arms, 100 % in all."""
    edges = sorted(draw(st.sets(st.integers(1, 9_999), min_size=1, max_size=7)))
    lengths = [end - start for start, end in zip([0, *edges], [*edges, 10_000], strict=True)]
    return {f"arm-{number}": length / 100 for number, length in enumerate(lengths)}


def plain_hash(text: str) -> int:
    """FNV-1a of 32 bits as it is defined, byte by byte: http://www.isthe.com/chongo/tech/comp/fnv."""
    state = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogatepass"):
        state = (state ^ byte) * 0x01000193 % 2**32
    return state


any_texts = st.text(st.characters(exclude_categories=()), max_size=40)
"""With halves of surrogate pairs, which UTF-8 has no bytes for."""


def test_the_plain_hash_is_the_published_one() -> None:
    assert [plain_hash(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


@given(seed=any_texts, key=any_texts)
@example(seed="\ud800", key="\udc00")
def test_a_bucket_is_the_hash_of_the_hash(seed: str, key: str) -> None:
    assert cohort.bucket(seed, key) == plain_hash(str(plain_hash(seed + key))) % 10_000


@given(layer=any_texts, key=any_texts)
def test_a_part_of_a_layer_is_the_hash_of_key_and_layer(layer: str, key: str) -> None:
    assert cohort.layer_slot(layer, key) == plain_hash(f"{key}__{layer}") % 1_000


@given(arms=weights(), low=st.floats(0.01, 100), high=st.floats(0.01, 100))
def test_ranges_keep_apart_and_only_grow_with_coverage(
    arms: dict[str, float], low: float, high: float
) -> None:
    low, high = sorted((low, high))
    before, after = (experiment(weights=arms, coverage=coverage).phases[0].ranges for coverage in (low, high))
    whole = assignment.ranges(experiment(weights=arms).arms, 100)

    reached = 0
    for small, large, most in zip(before, after, whole, strict=True):
        assert reached == most.start == small.start == large.start
        assert small.start < small.end <= large.end <= most.end
        reached = most.end
    assert reached == cohort.BUCKETS


@given(arms=weights(), coverage=st.floats(0.01, 100), key=texts)
def test_the_arm_is_the_one_whose_range_has_the_bucket(
    arms: dict[str, float], coverage: float, key: str
) -> None:
    of = experiment(weights=arms, coverage=coverage)

    bucket, place = Assigner(of).hashed(key)

    owners = [part.arm for part in of.phases[0].ranges if part.start <= bucket < part.end]
    assert owners == ([place.arm] if place else [])


@given(edges=st.sets(st.integers(0, 1_000), min_size=2, max_size=12), key=texts, forced=texts)
def test_of_all_experiments_in_a_layer_at_most_one_takes_a_request(
    edges: set[int], key: str, forced: str
) -> None:
    parts = list(zip(sorted(edges), sorted(edges)[1:], strict=False))
    enrolment = enrolment_of(
        experiment(
            f"e{number}", seed=str(number), layer="l", part=part, forced={forced: "a"} if number else {}
        )
        for number, part in enumerate(parts)
    )
    assert enrolment is not None

    found = enrolment.of_request(Attributes(key))

    taking = [one.experiment for one in enrolment.explain(key) if one.reason == Reason.ENROLLED]
    assert len(taking) <= 1
    assert found.reason is Reason.FORCED or taking == ([found.experiment] if found.place else [])
