"""Sketches of durations: quantiles within 1 % of the exact ones, the same whatever order and split."""

import math
from itertools import accumulate
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from controlplane.profiles.sketch import ACCURACY, BINS_MAX, GAMMA, SECONDS_MAX, SECONDS_MIN, Sketch
from enchain.v1 import learned_pb2

SECONDS = st.floats(0, SECONDS_MAX)
WEIGHTS = st.integers(0, 8).map(lambda halvings: 0.5**halvings)
WEIGHED = st.lists(st.tuples(SECONDS, WEIGHTS), max_size=60)
NARROW = st.lists(st.tuples(st.floats(0.5, 20), WEIGHTS), min_size=1, max_size=60)
SHARES = st.floats(0.0, 1.0)


def sketched(*batches: list[tuple[float, float]]) -> Sketch:
    """Add batches, each kept and taken up again."""
    sketch = Sketch()
    for batch in batches:
        for seconds, weight in batch:
            sketch.add(seconds, weight)
        sketch = Sketch.of(sketch.message())
    return sketch


def exact(durations: list[tuple[float, float]], share: float) -> float:
    """The shortest duration that at least this share of the weight does not exceed."""
    wanted = share * sum(weight for _, weight in durations)
    ascending = sorted(durations)
    reached = accumulate(weight for _, weight in ascending)
    return next(seconds for (seconds, _), weight in zip(ascending, reached, strict=True) if weight >= wanted)


@given(durations=NARROW, share=SHARES)
def test_any_quantile_is_within_a_hundredth_of_the_exact_one(
    durations: list[tuple[float, float]], share: float
) -> None:
    wanted = exact(durations, share)

    assert abs(sketched(durations).quantile(share) - wanted) <= wanted * ACCURACY * (1 + 1e-9)


@given(durations=st.lists(st.tuples(SECONDS, WEIGHTS), min_size=1, max_size=60), share=SHARES)
def test_so_it_is_over_the_whole_range_where_the_shortest_count_as_nothing(
    durations: list[tuple[float, float]], share: float
) -> None:
    counted = [(seconds if seconds >= SECONDS_MIN else 0.0, weight) for seconds, weight in durations]
    wanted = exact(counted, share)

    assert abs(sketched(durations).quantile(share) - wanted) <= wanted * ACCURACY * (1 + 1e-9)


@given(durations=WEIGHED, order=st.randoms(use_true_random=False), cut=st.integers(0, 60))
def test_the_order_and_the_split_do_not_matter(
    durations: list[tuple[float, float]], order: Random, cut: int
) -> None:
    shuffled = list(durations)
    order.shuffle(shuffled)

    assert sketched(shuffled[:cut], shuffled[cut:]).message() == sketched(durations).message()


@given(one=WEIGHED, other=WEIGHED)
def test_merging_is_adding(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> None:
    merged = sketched(one)
    merged.merge(sketched(other))

    assert merged.message() == sketched(one, other).message()


@given(
    indices=st.lists(st.integers(-340, 730), min_size=BINS_MAX + 1, max_size=3 * BINS_MAX),
    order=st.randoms(use_true_random=False),
    cut=st.integers(1, 3 * BINS_MAX),
)
def test_where_there_are_too_many_bins_the_highest_stay_whatever_the_order(
    indices: list[int], order: Random, cut: int
) -> None:
    durations = [(GAMMA ** (index - 0.5), 1.0) for index in indices]
    shuffled = list(durations)
    order.shuffle(shuffled)
    kept = sketched(durations).message()

    assert len(kept.bins) <= BINS_MAX
    assert sketched(shuffled[:cut], shuffled[cut:]).message() == kept
    assert math.fsum(kept.weights) == len(indices)
    assert abs(sketched(durations).quantile(0.99) / exact(durations, 0.99) - 1) <= ACCURACY * (1 + 1e-9)


@given(durations=NARROW, halvings=st.integers(0, 10))
def test_fading_changes_weights_and_no_quantile(durations: list[tuple[float, float]], halvings: int) -> None:
    whole, faded = sketched(durations), sketched(durations)
    faded.fade(halvings)

    assert faded.weight == whole.weight * 0.5**halvings
    assert [*faded.quantiles([0.1, 0.5, 0.95])] == [*whole.quantiles([0.1, 0.5, 0.95])]
    assert math.isclose(faded.mean, whole.mean)


@given(durations=NARROW)
def test_mean_and_variation_are_those_of_the_durations(durations: list[tuple[float, float]]) -> None:
    weight = sum(each for _, each in durations)
    mean = sum(seconds * each for seconds, each in durations) / weight
    variance = sum(each * (seconds - mean) ** 2 for seconds, each in durations) / weight
    sketch = sketched(durations)

    assert abs(sketch.mean - mean) <= 2**-12
    assert abs(sketch.variation - math.sqrt(variance) / mean) <= 0.025


def test_what_is_no_weight_is_no_bin() -> None:
    edited = learned_pb2.DurationSketch(
        weight=math.nan, sum=-1, zeros=math.inf, bins=[1, 2, 3, 4, 5], weights=[1.0, math.nan, -1.0, math.inf]
    )

    assert Sketch.of(edited) == Sketch(bins={1: 1.0})


def test_a_sketch_of_nothing_says_nothing() -> None:
    sketch = Sketch()

    assert (sketch.mean, sketch.variation, sketch.quantile(0.5)) == (0.0, 0.0, 0.0)
    sketch.add(math.nan)
    assert (sketch.mean, sketch.variation, sketch.quantile(0.5)) == (0.0, 0.0, 0.0)
