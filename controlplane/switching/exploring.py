"""Giving a chain of which too little is known a small part of a route, for a while. Pure.

The planning loop asks `moved` in each round, and whoever looks at switches asks whether one `explores`: such
a switch gives and takes parts, and leaves the chain that a workload is on as it is. What is being explored
stands in the route, as shares of an arm of its own; what was explored, in the records of switches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from controlplane.switching.records import Switch, origin
from enchain.chains.cohort import BUCKETS
from enchain.chains.routes import DEFAULT_ARM
from enchain.v1 import chain_pb2

ARM = "explore"
"""The arm of shares that explore; an operation keeps it."""

LONGEST = timedelta(days=1)
"""How long a chain is explored where nothing ends it before: its budget."""

REST = timedelta(days=7)
"""A chain is not explored again for so long after that began, whatever came of it."""

PART_MAX = BUCKETS // 4
"""The most buckets that explore, whatever the policy says: the others stay by far the most."""

Shares = Sequence[chain_pb2.RouteShare]


def explored(route: chain_pb2.Route) -> tuple[str, ...]:
    """Answer the chains that a route explores."""
    return tuple(dict.fromkeys(share.chain for share in route.shares if share.arm == ARM))


def settled(route: chain_pb2.Route) -> Shares:
    """Answer the shares of a route without what explores: one chain has them all, or they are as they are."""
    kept = list(dict.fromkeys(share.chain for share in route.shares if share.arm != ARM))
    return _shares(kept[0], {}) if len(kept) == 1 else list(route.shares)


def explores(switch: Switch) -> bool:
    """Say whether a switch merely gives or takes a part for exploring."""
    before, after = origin(switch), switch.to
    return bool(explored(before) or explored(after)) and list(settled(before)) == list(settled(after))


def moved(
    route: chain_pb2.Route, asked: Mapping[str, float], switches: Iterable[Switch], now: datetime
) -> Shares | None:
    """Answer the shares that a route is to have; None where it is to stay.

    Args:
        route: As it stands.
        asked: The shares of requests that a plan would give to chains so that they are measured.
        switches: The workload's records.
        now: What time it is.
    """
    running, began = explored(route), _begun(switches, now)
    kept = settled(route)
    if len(kept) != 1:
        return None  # somebody has split it by hand
    wanted = {
        chain: share
        for chain, share in asked.items()
        if share > 0
        and chain != kept[0].chain
        and (chain not in began if chain not in running else now - began.get(chain, now) < LONGEST)
    }
    return None if set(wanted) == set(running) else _shares(kept[0].chain, wanted)


def _begun(switches: Iterable[Switch], now: datetime) -> dict[str, datetime]:
    """Answer since when chains were explored of late, by the records of switches."""
    found: dict[str, datetime] = {}
    for switch in switches:
        at = switch.create_time.ToDatetime(UTC)
        if now - at < REST:
            found |= {chain: min(at, found.get(chain, at)) for chain in explored(switch.to)}
    return found


def _shares(chain: str, parts: Mapping[str, float]) -> Shares:
    """Give a chain the buckets from 0 on, and to others the last ones, in proportion to their parts."""
    whole = sum(parts.values())
    scale = min(1.0, PART_MAX / BUCKETS / whole) if whole else 0.0
    end, shares = BUCKETS, []
    for name in sorted(parts):
        start = end - max(1, int(parts[name] * scale * BUCKETS))
        shares.append(chain_pb2.RouteShare(chain=name, start=start, end=end, arm=ARM))
        end = start
    return [chain_pb2.RouteShare(chain=chain, start=0, end=end, arm=DEFAULT_ARM), *reversed(shares)]
