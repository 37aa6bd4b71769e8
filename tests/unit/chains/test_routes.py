"""A route is whole: every bucket is in exactly one share."""

import pytest

from enchain.chains import routes
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import chain_pb2

A, B = "workloads/site/chains/a@1", "workloads/site/chains/b@2"


def _route(*shares: tuple[str, int, int], **fields: str | int) -> chain_pb2.Route:
    made = [chain_pb2.RouteShare(chain=chain, start=start, end=end) for chain, start, end in shares]
    return chain_pb2.Route(name="workloads/site/route", shares=made, **fields)  # type: ignore[arg-type]  # by name


def _faults(route: chain_pb2.Route, workload: str = "") -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgumentError) as caught:
        routes.check(route, workload=workload)
    return [(v.field, v.reason) for v in caught.value.violations]


def test_one_chain_gets_everything() -> None:
    route = routes.whole(A)

    assert routes.check(route) == route
    assert (route.name, route.seed, route.hash_version) == ("workloads/site/route", "site", 2)
    assert [(s.chain, s.start, s.end, s.arm) for s in route.shares] == [(A, 0, 10_000, "default")]


def test_a_route_to_no_revision_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        routes.whole("workloads/site/chains/a")


def test_shares_are_put_in_order_and_defaults_filled_in() -> None:
    route = routes.check(_route((B, 4000, 10_000), (A, 0, 4000)))

    assert [s.chain for s in route.shares] == [A, B]
    assert [s.arm for s in route.shares] == ["default", "default"]
    assert routes.chains_of(route) == (A, B)


def test_the_workload_of_the_key_stands_in_for_a_missing_name() -> None:
    route = _route((A, 0, 10_000))
    route.name = ""

    assert routes.check(route, workload="site").name == "workloads/site/route"
    assert ("name", "OTHER_WORKLOAD") in _faults(_route((A, 0, 10_000)), workload="shop")


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((), ("shares", "WRONG_NUMBER")),
        (((A, 0, 9999),), ("shares", "BUCKETS_MISSING")),
        (((A, 1, 10_000),), ("shares", "BUCKETS_MISSING")),
        (((A, 0, 5000), (B, 5001, 10_000)), ("shares", "BUCKETS_MISSING")),
        (((A, 0, 5000), (B, 4999, 10_000)), ("shares", "BUCKETS_DOUBLED")),
        (((A, 0, 10_000), (B, 0, 10_000)), ("shares", "BUCKETS_DOUBLED")),
        (((A, 0, 10_001),), ("shares[0]", "INVALID_RANGE")),
        (((A, 0, 10_000), (B, 7, 7)), ("shares[1]", "INVALID_RANGE")),
        ((("workloads/shop/chains/a@1", 0, 10_000),), ("shares[0].chain", "OTHER_WORKLOAD")),
        ((("workloads/site/chains/a", 0, 10_000),), ("shares[0].chain", "REQUIRED")),
    ],
)
def test_what_is_not_whole_is_refused(
    shares: tuple[tuple[str, int, int], ...], expected: tuple[str, str]
) -> None:
    assert expected in _faults(_route(*shares))


def test_an_unknown_hash_is_refused() -> None:
    assert ("hash_version", "UNKNOWN_HASH_VERSION") in _faults(_route((A, 0, 10_000), hash_version=1))
