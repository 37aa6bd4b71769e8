"""What a chain switch is to those who decide about it: its record, what is seen, what is answered.

`rules`, `machine` and everything around them speak in these. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from controlplane.switching import states
from controlplane.switching.states import State
from enchain.chains.routes import chains_of
from enchain.v1 import chain_pb2

Switch: TypeAlias = chain_pb2.ChainSwitch

WORSE = frozenset({"FAILS_MORE", "SLOWER"})
"""Verdicts that take a chain back."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is, as far as a switch is concerned.

    Attributes:
        route: The route, with its etag; None where there is none.
        elder: An older switch of the workload that is under way.
        fault: Why its chains cannot be used.
        short: Instances of the new chain that are missing, a line for each engine version.
        convergence: How far routers are.
        running: Operations that run on chains which have no share any more.
        held: Operations there that wait for a person.
        unserved: Steps of the old chain that nobody could do.
        surplus: Instances that are still to stop, a line for each engine version.
        launches: Instances that were launched for it.
        evidence: How the new chain does against the old one; None while it is not watched.
    """

    route: chain_pb2.Route | None = None
    elder: str = ""
    fault: str = ""
    short: Sequence[str] = ()
    convergence: chain_pb2.Convergence | None = None
    running: Sequence[str] = ()
    held: Sequence[str] = ()
    unserved: Sequence[str] = ()
    surplus: Sequence[str] = ()
    launches: Sequence[str] = ()
    evidence: chain_pb2.SwitchEvidence | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule decides.

    Attributes:
        following: The next state; the same one where it stays.
        description: What was found, in words.
        reason: Why it is rolled back, as a stable code.
        shares: Where the route is to go with it; empty: it stays where it is.
        cancels: Operations to be asked to stop.
    """

    following: State
    description: str = ""
    reason: str = ""
    shares: Sequence[chain_pb2.RouteShare] = ()
    cancels: Sequence[str] = ()


def origin(switch: Switch) -> chain_pb2.Route:
    """Answer where a switch found the route. Its field is named `from`, which Python reserves."""
    route: chain_pb2.Route = getattr(switch, "from")
    return route


def lost(switch: Switch, route: chain_pb2.Route | None) -> frozenset[str]:
    """Answer the chains that a switch took all buckets from, and that have none now."""
    now = chains_of(route) if route is not None else ()
    return frozenset(chains_of(origin(switch))) - {*now, *chains_of(switch.to)}


def watched(switch: Switch, now: datetime) -> bool:
    """Say whether its chain is in force and still watched."""
    if not switch.HasField("activate_time") or switch.state not in {states.CONVERGING, states.DRAINING}:
        return False
    return now < switch.activate_time.ToDatetime(UTC) + switch.watch_timeout.ToTimedelta()
