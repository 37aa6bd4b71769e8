"""The machine of a chain switch: where it stands, what is seen and what time it is make the next step. Pure.

`controlplane.loops.switching` asks it, stores what it answers, and asks again. It is level-triggered: it
looks at what is, never at what has just happened, so a leader that takes over goes on by asking the same
question. Each state has a deadline and an exit, which stand in `rules`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from controlplane.switching import states
from controlplane.switching.records import Outcome, Seen, Switch, watched
from controlplane.switching.rules import RULES, interrupted
from controlplane.switching.states import State, advance
from enchain.v1 import chain_pb2

EVIDENCE_SECONDS = 5.0
"""How often evidence is written while it changes nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to store and then to do.

    Attributes:
        switch: The record as it is to be; None where it stays as it is.
        route: The route as it is to be, in the same transaction; None where it stays.
        cancels: Operations to be asked to stop.
    """

    switch: Switch | None = None
    route: chain_pb2.Route | None = None
    cancels: Sequence[str] = field(default=())


def begin(switch: Switch, now: datetime) -> None:
    """Put a new record into its first state."""
    switch.state = states.VALIDATING
    switch.create_time.FromDatetime(now)
    _arrive(switch, "asked for", now)


def enter(switch: Switch, following: State, description: str, now: datetime, leader: str = "") -> None:
    """Put a record into its next state: phase, times and deadline, all but the route.

    Raises:
        OurError: The state may not follow.
    """
    switch.state = advance(switch.state, following)
    if following == states.CONVERGING:
        switch.activate_time.FromDatetime(now)
    _arrive(switch, description, now, leader)


def _arrive(switch: Switch, description: str, now: datetime, leader: str = "") -> None:
    switch.update_time.FromDatetime(now)
    phase = switch.phases.add(state=switch.state, description=description, leader=leader)
    phase.start_time.FromDatetime(now)
    if states.is_end(switch.state):
        switch.ClearField("deadline")
    else:
        switch.deadline.FromDatetime(now + timedelta(seconds=RULES[switch.state].seconds(switch)))


def step(switch: Switch, seen: Seen, now: datetime, leader: str = "") -> Step:
    """Answer what to do about a switch that has not ended.

    Args:
        switch: Its record, as it stands.
        seen: What is.
        now: What time it is.
        leader: Who asks, for the record.
    """
    rule = RULES[switch.state]
    outcome = interrupted(switch, seen, now) or rule.look(switch, seen, now)
    stays = outcome is None or outcome.following == switch.state
    if stays and switch.HasField("deadline") and now >= switch.deadline.ToDatetime(UTC):
        outcome = rule.expire(switch, seen)
    if outcome is None or outcome.following == switch.state:
        cancels = outcome.cancels if outcome is not None else ()
        return Step(switch=_noted(switch, seen, now), cancels=cancels)
    return _stepped(switch, seen, outcome, now, leader)


def _stepped(switch: Switch, seen: Seen, outcome: Outcome, now: datetime, leader: str) -> Step:
    record = Switch()
    record.CopyFrom(switch)
    route = None
    if outcome.shares and seen.route is not None:
        route = chain_pb2.Route()
        route.CopyFrom(seen.route)
        route.etag = ""
        del route.shares[:]
        route.shares.extend(outcome.shares)
        route.chain_switch = record.name
        route.update_time.FromDatetime(now)
        if outcome.following == states.CONVERGING:
            record.to.CopyFrom(route)
    if outcome.reason:
        record.rollback_reason = f"{outcome.reason}: {outcome.description}"
    if seen.evidence is not None:
        record.evidence.CopyFrom(seen.evidence)
    record.launches.extend(name for name in seen.launches if name not in record.launches)
    enter(record, outcome.following, outcome.description, now, leader)
    return Step(record, route)


def _noted(switch: Switch, seen: Seen, now: datetime) -> Switch | None:
    """Answer the record with newer evidence, for people who watch; None where there is none worth a write."""
    if seen.evidence is None or not watched(switch, now):
        return None
    known = switch.evidence
    same = (known.before, known.after, known.verdict) == (
        seen.evidence.before, seen.evidence.after, seen.evidence.verdict,
    )  # fmt: skip
    since = now - known.time.ToDatetime(UTC)
    if switch.HasField("evidence") and (same or since < timedelta(seconds=EVIDENCE_SECONDS)):
        return None
    record = Switch()
    record.CopyFrom(switch)
    record.evidence.CopyFrom(seen.evidence)
    record.update_time.FromDatetime(now)
    return record
