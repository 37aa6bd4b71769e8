"""How each state of a chain switch is left: what it waits for, how long, and what its deadline brings. Pure.

`machine` goes by this table; `interrupted` says what ends a switch before its time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from controlplane.switching import states
from controlplane.switching.records import WORSE, Outcome, Seen, Switch, origin, watched
from controlplane.switching.states import State
from enchain.v1 import chain_pb2

VALIDATE_SECONDS = 30.0
WARM_SECONDS = 300.0
"""How long instances may take to be ready, where the switch does not say."""
ACTIVATE_SECONDS = 30.0
CONVERGE_SECONDS = 60.0
"""How long routers are waited for. They cannot admit on the old chain meanwhile, so it is only told."""
DRAIN_SECONDS = 24 * 3600.0
"""How long is waited for operations that finish by themselves; each has a deadline of its own."""
ABORT_SECONDS = 600.0
"""How long operations that were cancelled may take to destroy what they made."""
RETIRE_SECONDS = 120.0
"""How long instances may take to stop before the switch ends without them."""

NAMES_MAX = 3
"""How many things a description names."""

Look = Callable[[Switch, Seen, datetime], Outcome | None]
"""Decides by what is seen; None while there is nothing to decide."""

Expire = Callable[[Switch, Seen], Outcome]
"""Decides once the deadline is past and nothing was decided."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a state is left: the time it has, what is looked at, and what its deadline brings."""

    seconds: Callable[[Switch], float]
    look: Look
    expire: Expire


def interrupted(switch: Switch, seen: Seen, now: datetime) -> Outcome | None:
    """Answer what ends a switch before its time; None where nothing does."""
    if switch.state in states.BEFORE:
        return _hindered(switch, seen)
    if switch.state == states.RETIRING or not _can_go_back(switch, seen):
        return None
    back = origin(switch).shares
    if switch.abort_requested:
        return Outcome(states.ROLLED_BACK, "a person asked for its end", "ABORTED", back)
    evidence = seen.evidence
    if evidence is not None and evidence.verdict in WORSE and watched(switch, now) and not seen.unserved:
        why = evidence.description or f"the new chain does worse: {evidence.verdict}"
        return Outcome(states.ROLLED_BACK, why, evidence.verdict, back)
    return None


def _hindered(switch: Switch, seen: Seen) -> Outcome | None:
    """Say why a route that was not moved yet is not to be moved."""
    found: tuple[str, str] | None = None
    if switch.abort_requested:
        found = "ABORTED", "a person asked for its end"
    elif seen.elder:
        found = "SWITCH_RUNNING", f"{seen.elder} is under way"
    elif seen.route is None:
        found = "ROUTE_GONE", "the workload has no route any more"
    elif seen.route.HasField("pin"):
        found = "ROUTE_PINNED", f"the route is pinned: {seen.route.pin.reason or 'no reason given'}"
    elif seen.route.etag != origin(switch).etag:
        found = "ROUTE_MOVED", "the route is no longer as it was validated"
    elif seen.fault:
        found = "INVALID_CHAIN", seen.fault
    return None if found is None else Outcome(states.ROLLED_BACK, found[1], found[0])


def _can_go_back(switch: Switch, seen: Seen) -> bool:
    """The route is where the switch put it, and nobody holds it there."""
    return (
        seen.route is not None
        and not seen.route.HasField("pin")
        and seen.route.chain_switch == switch.name
        and list(seen.route.shares) == list(switch.to.shares)
    )


# --- the states


def _validate(switch: Switch, seen: Seen, now: datetime) -> Outcome:
    del switch, now
    if seen.short:
        return Outcome(states.WARMING, f"instances are missing: {_some(seen.short)}")
    return Outcome(states.ACTIVATING, "every step is served")


def _warm(switch: Switch, seen: Seen, now: datetime) -> Outcome | None:
    del switch, now
    return None if seen.short else Outcome(states.ACTIVATING, "every instance is ready and answers")


def _activate(switch: Switch, seen: Seen, now: datetime) -> Outcome | None:
    del now
    if seen.short:
        return None
    return Outcome(states.CONVERGING, "the route leads to the new chain", shares=switch.to.shares)


def _converge(switch: Switch, seen: Seen, now: datetime) -> Outcome | None:
    del now
    routers = seen.convergence.routers if seen.convergence is not None else ()
    refused = [f"{router.router}: {router.refusal}" for router in routers if router.refusal]
    if refused and _can_go_back(switch, seen):
        why = f"routers refuse it: {_some(refused)}"
        return Outcome(states.ROLLED_BACK, why, "ROUTER_REFUSED", origin(switch).shares)
    if not routers:
        return Outcome(states.DRAINING, "no router is up; one that starts reads the route as it stands")
    if all(router.converged for router in routers):
        return Outcome(states.DRAINING, f"{len(routers)} routers follow")
    return None


def _drain(switch: Switch, seen: Seen, now: datetime) -> Outcome | None:
    over = switch.drain_policy != chain_pb2.DRAIN_POLICY_FINISH and now >= _drain_end(switch)
    if over and switch.drain_policy == chain_pb2.DRAIN_POLICY_ABORT and seen.running:
        return Outcome(states.DRAINING, cancels=seen.running)
    if watched(switch, now):
        return None
    if not seen.running:
        return Outcome(states.RETIRING, f"no operation runs on the old chain{_waiting(seen)}")
    if over and switch.drain_policy == chain_pb2.DRAIN_POLICY_HAND_OVER:
        return _handed_over(switch, seen)
    return None


def _retire(switch: Switch, seen: Seen, now: datetime) -> Outcome | None:
    del switch, now
    return None if seen.surplus else Outcome(states.DONE, "nothing is left of it to do")


# --- what deadlines bring


def _undecided(switch: Switch, seen: Seen) -> Outcome:
    del switch, seen
    return Outcome(states.ROLLED_BACK, "it could not be validated in time", "VALIDATING_TIMEOUT")


def _cold(switch: Switch, seen: Seen) -> Outcome:
    del switch
    return Outcome(
        states.ROLLED_BACK, f"instances were not ready in time: {_some(seen.short)}", "WARMING_TIMEOUT"
    )


def _stuck(switch: Switch, seen: Seen) -> Outcome:
    del switch
    return Outcome(
        states.ROLLED_BACK,
        f"instances went before it was in force: {_some(seen.short)}",
        "ACTIVATING_TIMEOUT",
    )


def _unheard(switch: Switch, seen: Seen) -> Outcome:
    del switch
    routers = seen.convergence.routers if seen.convergence is not None else ()
    late = [router.router for router in routers if not router.converged]
    return Outcome(
        states.DRAINING, f"routers that do not follow yet, and admit nothing until they do: {_some(late)}"
    )


def _handed_over(switch: Switch, seen: Seen) -> Outcome:
    del switch
    return Outcome(
        states.RETIRING, f"operations go on on the old chain: {_some(seen.running)}{_waiting(seen)}"
    )


def _left(switch: Switch, seen: Seen) -> Outcome:
    del switch
    return Outcome(states.DONE, f"instances still stop: {_some(seen.surplus)}")


# --- the time each state has


def _warm_seconds(switch: Switch) -> float:
    given = switch.warm_timeout.ToTimedelta().total_seconds()
    return given if switch.HasField("warm_timeout") else WARM_SECONDS


def _drain_end(switch: Switch) -> datetime:
    return switch.activate_time.ToDatetime(UTC) + switch.drain_timeout.ToTimedelta()


def _drain_seconds(switch: Switch) -> float:
    entered = switch.phases[-1].start_time.ToDatetime(UTC)
    watch_end = switch.activate_time.ToDatetime(UTC) + switch.watch_timeout.ToTimedelta()
    ends = {
        chain_pb2.DRAIN_POLICY_HAND_OVER: _drain_end(switch),
        chain_pb2.DRAIN_POLICY_ABORT: _drain_end(switch) + timedelta(seconds=ABORT_SECONDS),
    }
    finished = entered + timedelta(seconds=DRAIN_SECONDS)
    return (max(ends.get(switch.drain_policy, finished), watch_end) - entered).total_seconds()


RULES: Mapping[State, Rule] = MappingProxyType(
    {
        states.VALIDATING: Rule(lambda _: VALIDATE_SECONDS, _validate, _undecided),
        states.WARMING: Rule(_warm_seconds, _warm, _cold),
        states.ACTIVATING: Rule(lambda _: ACTIVATE_SECONDS, _activate, _stuck),
        states.CONVERGING: Rule(lambda _: CONVERGE_SECONDS, _converge, _unheard),
        states.DRAINING: Rule(_drain_seconds, _drain, _handed_over),
        states.RETIRING: Rule(lambda _: RETIRE_SECONDS, _retire, _left),
    }
)
"""By state: how long it may last, what it waits for, and how its deadline ends it."""


def _some(things: Sequence[str]) -> str:
    more = f" and {len(things) - NAMES_MAX} more" if len(things) > NAMES_MAX else ""
    return (", ".join(things[:NAMES_MAX]) or "none") + more


def _waiting(seen: Seen) -> str:
    return f"; {len(seen.held)} held ones wait for a person" if seen.held else ""
