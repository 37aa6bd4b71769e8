"""Routes: which chains get which cohort buckets of a workload.

The control plane makes and checks them before it writes; routers check each one they read. A route is whole
when every bucket is in exactly one share. Nothing here knows whether the chains exist.
"""

from collections.abc import Sequence

from enchain.chains.cohort import BUCKETS, HASH_VERSION
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.names import ChainName, route_name, route_workload
from enchain.v1 import chain_pb2

DEFAULT_ARM = "default"
SHARES_MAX = 32


def whole(chain: str) -> chain_pb2.Route:
    """Route that gives every bucket to one chain revision."""
    name = ChainName.parse(chain, "chain", whole=True)
    share = chain_pb2.RouteShare(chain=chain, start=0, end=BUCKETS, arm=DEFAULT_ARM)
    return chain_pb2.Route(
        name=route_name(name.workload), shares=[share], seed=name.workload, hash_version=HASH_VERSION
    )


def check(route: chain_pb2.Route, *, workload: str = "") -> chain_pb2.Route:
    """Answer the route in full: name, seed, hash version and arms filled in, shares in order.

    Args:
        route: The route as it was written.
        workload: Id of the workload that it stands under; empty to take it from the name.

    Raises:
        InvalidArgumentError: Buckets are missing or doubled, or a share names no chain of the workload.
    """
    normal = chain_pb2.Route()
    normal.CopyFrom(route)
    owner = workload or route_workload(route.name)
    faults = _fill(normal, owner)
    del normal.shares[:]
    normal.shares.extend(sorted(route.shares, key=lambda s: (s.start, s.end)))
    for share in normal.shares:
        share.arm = share.arm or DEFAULT_ARM
    for index, share in enumerate(route.shares):
        faults += _share_faults(share, owner, f"shares[{index}]")
    if not faults:
        faults += _gaps(normal.shares)
    if faults:
        raise InvalidArgumentError(
            f"the route of {owner} is not whole: {faults[0].description}",
            reason="INVALID_ROUTE",
            violations=faults,
        )
    return normal


def chains_of(route: chain_pb2.Route) -> tuple[str, ...]:
    """Names of the chains in a route, each once, in order of their shares."""
    return tuple(dict.fromkeys(share.chain for share in route.shares))


def _fill(route: chain_pb2.Route, workload: str) -> list[Violation]:
    faults = []
    if route.name and route.name != route_name(workload):
        faults.append(Violation("name", f"{route.name} is not the route of {workload}", "OTHER_WORKLOAD"))
    if route.hash_version not in (0, HASH_VERSION):
        told = f"hash version {route.hash_version} is not known; write {HASH_VERSION}"
        faults.append(Violation("hash_version", told, "UNKNOWN_HASH_VERSION"))
    if not 1 <= len(route.shares) <= SHARES_MAX:
        told = f"a route has 1 to {SHARES_MAX} shares, not {len(route.shares)}"
        faults.append(Violation("shares", told, "WRONG_NUMBER"))
    route.name = route_name(workload)
    route.seed = route.seed or workload
    route.hash_version = HASH_VERSION
    return faults


def _share_faults(share: chain_pb2.RouteShare, workload: str, field: str) -> list[Violation]:
    faults = []
    try:
        chain = ChainName.parse(share.chain, f"{field}.chain", whole=True)
    except InvalidArgumentError as error:
        faults += list(error.violations)
    else:
        if chain.workload != workload:
            told = f"{share.chain} is no chain of {workload}"
            faults.append(Violation(f"{field}.chain", told, "OTHER_WORKLOAD"))
    if not 0 <= share.start < share.end <= BUCKETS:
        told = f"{share.start} to {share.end} is no range; write 0 <= start < end <= {BUCKETS}"
        faults.append(Violation(field, told, "INVALID_RANGE"))
    return faults


def _gaps(shares: Sequence[chain_pb2.RouteShare]) -> list[Violation]:
    """Faults of shares in order: each begins where the one before ends."""
    faults, reached = [], 0
    for share in shares:
        if share.start > reached:
            told = f"no share has the buckets {reached} to {share.start}"
            faults.append(Violation("shares", told, "BUCKETS_MISSING"))
        elif share.start < reached:
            told = f"two shares have the buckets {share.start} to {min(reached, share.end)}"
            faults.append(Violation("shares", told, "BUCKETS_DOUBLED"))
        reached = max(reached, share.end)
    if reached < BUCKETS:
        told = f"no share has the buckets {reached} to {BUCKETS}"
        faults.append(Violation("shares", told, "BUCKETS_MISSING"))
    return faults
