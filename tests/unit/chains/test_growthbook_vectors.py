"""GrowthBook's published vectors, for keys of ASCII: hash, ranges, variation and namespace.

Source: `packages/sdk-js/test/cases.json` of https://github.com/growthbook/growthbook, `specVersion` 0.8.0:
its lists `hash`, `getBucketRange`, `chooseVariation` and `inNamespace`. Left out are hash versions other than
ours, and weights and coverages that an experiment of ours is refused with. Keys of other scripts are hashed
otherwise by each of their SDKs; our own vectors for these are in `test_cohort`.
"""

from functools import lru_cache
from itertools import count

import pytest
from fnv_hash_fast import fnv1a_32

from enchain.chains import assignment, cohort
from enchain.chains.assignment import Reason
from enchain.v1 import experiment_pb2
from tests.harness.stored_experiments import experiment

Ranges = list[tuple[float, float]]


@pytest.mark.parametrize(
    ("seed", "key", "expected"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("89123klj", "8952klfjas09ujkasdf", 0.124),
        ("90850943850283058242805", "123", 0.7516),
        ("()**(%$##$%#$#", '___)((*":&', 0.0128),
    ],
)
def test_hash_version_2(seed: str, key: str, expected: float) -> None:
    assert cohort.bucket(seed, key) / cohort.BUCKETS == expected


@pytest.mark.parametrize(
    ("seed", "key", "expected"),
    [
        ("", "a", 0.22),
        ("", "b", 0.077),
        ("b", "a", 0.946),
        ("ef", "d", 0.652),
        ("asdf", "8952klfjas09ujk", 0.549),
        ("", "123", 0.011),
        ("", '___)((*":&', 0.563),
    ],
)
def test_hash_version_1_which_layers_go_by(seed: str, key: str, expected: float) -> None:
    assert fnv1a_32(f"{key}{seed}".encode()) % cohort.LAYER_SLOTS / cohort.LAYER_SLOTS == expected


@pytest.mark.parametrize(
    ("coverage", "weights", "expected"),
    [
        (1, [0.5, 0.5], [(0, 0.5), (0.5, 1)]),
        (0.5, [0.5, 0.5], [(0, 0.25), (0.5, 0.75)]),
        (0, [0.5, 0.5], [(0, 0), (0.5, 0.5)]),
        (1, [0.25] * 4, [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]),
        (1, [0.4, 0.6], [(0, 0.4), (0.4, 1)]),
        (1, [0.2, 0.3, 0.5], [(0, 0.2), (0.2, 0.5), (0.5, 1)]),
        (0.2, [0.2, 0.3, 0.5], [(0, 0.04), (0.2, 0.26), (0.5, 0.6)]),
    ],
)
def test_bucket_ranges(coverage: float, weights: list[float], expected: Ranges) -> None:
    arms = [
        experiment_pb2.Arm(name=f"arm-{number}", weight=100 * weight) for number, weight in enumerate(weights)
    ]

    found = assignment.ranges(arms, 100 * coverage)

    assert [(part.start / cohort.BUCKETS, part.end / cohort.BUCKETS) for part in found] == expected


@lru_cache
def key_in(bucket: int) -> str:
    """Some key of a bucket, under the seed of the experiments here."""
    return next(key for key in map(str, count()) if cohort.bucket("abc", key) == bucket)


HALVES, QUARTERS = [(0, 0.5), (0.5, 1)], [(0, 0.25), (0.5, 0.75)]


@pytest.mark.parametrize(
    ("value", "ranges", "expected"),
    [
        (0.2, HALVES, 0),
        (0.4, HALVES, 0),
        (0.6, HALVES, 1),
        (0.8, HALVES, 1),
        (0, HALVES, 0),
        (0.5, HALVES, 1),
        (0.2, QUARTERS, 0),
        (0.4, QUARTERS, -1),
        (0.6, QUARTERS, 1),
        (0.8, QUARTERS, -1),
        (0.25, QUARTERS, -1),
        (0.5, QUARTERS, 1),
        (0.5, [(0, 0.5), (0.5, 0.5), (0.5, 1)], 2),
    ],
)
def test_the_variation_that_is_chosen(value: float, ranges: Ranges, expected: int) -> None:
    names = [f"arm-{number}" for number in range(len(ranges))]
    of = experiment(weights=dict.fromkeys(names, 100 / len(ranges)))
    for part, (start, end) in zip(of.phases[0].ranges, ranges, strict=True):
        part.start, part.end = round(start * cohort.BUCKETS), round(end * cohort.BUCKETS)

    found = assignment.assign(of, key_in(round(value * cohort.BUCKETS)))

    assert (found.place and found.place.arm) == (names[expected] if expected >= 0 else None)


@pytest.mark.parametrize(
    ("key", "layer", "first"),
    [
        ("1", "namespace1", False),
        ("1", "namespace2", False),
        ("2", "namespace1", False),
        ("2", "namespace2", False),
        ("3", "namespace1", False),
        ("3", "namespace2", True),
        ("4", "namespace1", False),
        ("4", "namespace2", True),
    ],
)
def test_the_part_of_a_namespace(key: str, layer: str, first: bool) -> None:
    inside = [
        assignment.assign(experiment(layer=layer, part=part), key).reason is Reason.ENROLLED
        for part in ((0, 400), (400, 1000))
    ]

    assert inside == [first, not first]
