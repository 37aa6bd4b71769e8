"""A key's bucket is fixed for ever, and the same as GrowthBook's where keys are ASCII."""

import pytest

from enchain.chains import cohort, routes
from enchain.chains.errors import MalformedError
from enchain.v1 import chain_pb2


@pytest.mark.parametrize(
    ("seed", "key", "expected"),
    [
        ("seed", "a", 505),
        ("seed", "b", 2696),
        ("foo", "ab", 2575),
        ("foo", "def", 2019),
        ("89123klj", "8952klfjas09ujkasdf", 1240),
        ("90850943850283058242805", "123", 7516),
        ("()**(%$##$%#$#", '___)((*":&', 128),
    ],
)
def test_buckets_are_those_of_growthbook_version_2(seed: str, key: str, expected: int) -> None:
    assert cohort.bucket(seed, key) == expected


@pytest.mark.parametrize(
    ("key", "expected"), [("größe", 2521), ("東京", 1791), ("🚀", 3339), ("e\u0301", 1459), ("\ud800", 5937)]
)
def test_other_keys_are_hashed_as_utf_8(key: str, expected: int) -> None:
    # Our own vectors: they hold as long as the hash does not change, which it never may.
    assert cohort.bucket("site", key) == expected


@pytest.mark.parametrize(
    ("key", "expected"), [("größe", 371), ("東京", 92), ("🚀", 675), ("e\u0301", 140), ("\ud800", 213)]
)
def test_other_keys_fall_into_layers_as_utf_8(key: str, expected: int) -> None:
    # Our own vectors, too.
    assert cohort.layer_slot("all", key) == expected


def test_the_share_that_holds_the_bucket_is_chosen() -> None:
    chains = ("workloads/site/chains/a@1", "workloads/site/chains/b@1")
    route = routes.check(
        chain_pb2.Route(
            name="workloads/site/route",
            seed="seed",
            shares=[
                chain_pb2.RouteShare(chain=chains[0], start=0, end=505),
                chain_pb2.RouteShare(chain=chains[1], start=505, end=10_000, arm="b"),
            ],
        )
    )

    # The bucket of "a" is 505: the first that the second share holds.
    assert cohort.choose(route, "a") == cohort.Choice(chains[1], "b", 505, 505, 10_000)


def test_a_route_with_a_gap_is_not_guessed_at() -> None:
    with pytest.raises(MalformedError):
        cohort.choose(chain_pb2.Route(seed="seed"), "a")
